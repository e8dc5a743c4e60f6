"""The DicomEdit 6 language: from a script's text to checked statements.

Read `parse` first, then `syntax`; `check` and `lint` find mistakes before a script runs.
"""
