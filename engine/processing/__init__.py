"""Archive processors: they change, relabel, reject or forward objects, and run programs.

In: an object with its labels. Out: the same, changed, or a rejection. Read `contract` first (what a
processor is), then `chain` (in which order they run). `forward` and `command` act after an object
is stored.
"""
