"""DICOM data sets as bytes: elements, headers, files (PS3.5, PS3.10).

In: bytes of peers or files, which may be anything. Out: places of elements and their values; never
an unbounded copy. Read `elements` first, which knows all encodings. Reception goes on with
`dataset` and `header`, anonymization and inspection with `raw_elements`.
"""
