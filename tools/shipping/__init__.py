"""The shipped image of the box: made by Buildroot, for x86-64 and aarch64."""
