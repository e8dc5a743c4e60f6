"""Files, archives and media go to a receiver: our own (`import`), or that of a peer (`send`).

In: files, folders, ZIP and tar archives, and media with a DICOMDIR. Out: C-STORE requests, so that
each object goes the way of every other one, and what became of each file. Read `sources` first
(what is found, one after the other), then `sender` (associations and answers). What an answer comes
to says `outcomes`, from the rows of our own engine, and `commitment`, from the report of a peer.
"""
