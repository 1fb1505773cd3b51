"""`tools/bench`: how fast and how small the box is, beside the programs that people know."""
