"""What `tools/stick` is made of: USB sticks for the box, made and checked on a PC."""
