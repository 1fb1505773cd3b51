"""What the box holds: files on disk and the catalogue that tells of them."""
