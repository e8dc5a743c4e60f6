"""Receiving processes: they own associations, and the engine's main process owns all the rest.

`processes` and `process` are the side of the main process, `receiver` and `remote` the other one;
`link` is between them. Read `processes` first.
"""
