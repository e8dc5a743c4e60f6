"""DICOM files that are edited without reading what is long: pixel data stays in the file.

Read `reading` first, then `writing`.
"""
