"""One model of how the box is."""
