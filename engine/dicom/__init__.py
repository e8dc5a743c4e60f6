"""DICOM data sets as bytes: elements, headers, files (PS3.5, PS3.10).

In: bytes of peers or files, which may be anything. Out: places of elements and their values; never
an unbounded copy. Read `elements` first, then `dataset` and `header`.
"""
