"""Objects on disk: durable, never overwritten, never through a link.

`incoming` holds the files that arrive, `areas` and `scans` say where they belong, `files` and
`folders` move them. Used by `engine.intake` and `engine.sessions`. Read `incoming` first.
"""
