"""The DICOM web services of the box: search and pictures, to read (PS3.18)."""
