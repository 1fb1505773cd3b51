"""From stored pixel values to 8-bit pictures."""
