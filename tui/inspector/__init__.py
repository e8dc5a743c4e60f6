"""The inspector: one DICOM object in full.

In: header, image and trail of one object from the engine. Out: text to copy, and a routing rule for
an element. Sessions and receivers open it. Read `screen` first.
"""
