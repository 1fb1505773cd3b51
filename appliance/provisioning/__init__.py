"""The USB stick: settings come to the box, are tried, and take effect whole or not at all."""
