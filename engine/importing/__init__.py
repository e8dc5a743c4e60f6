"""Import without a scanner: DICOM files of folders, archives and media go to a running receiver.

In: files, folders, ZIP and tar archives, and media with a DICOMDIR. Out: C-STORE requests to the
receiver's own port, so that each object goes the way of every other one, and a line of the report.
Read `sources` first (what is found, one after the other), then `sender` (associations, and what
became of each object), and `report` (the journal that an interrupted import goes on from).
"""
