"""What the box is tried with: PACS that nobody here wrote, real studies, a generated volume.

Shared by the tests, `tools/demo` and `tools/bench`; nothing of it runs on the box.
"""
