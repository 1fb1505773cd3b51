"""The status page: how the box is, for people and for machines."""
