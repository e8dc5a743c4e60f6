"""Objects on disk: flushed, never overwritten by accident, never through a link.

`incoming` holds arriving files, `areas` and `scans` name their places, `files` and `folders` move
them. Used by `engine.intake` and `engine.sessions`. Read `incoming` first.
"""
