"""`tools/demo`: a PACS full of studies, and the box that fetches them, on one machine."""
