"""The image of the box: made from Debian packages, and run in a virtual machine."""
