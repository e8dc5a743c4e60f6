"""Configuration on disk: TinyDB over an atomic file, its history, and the watcher of changes.

In: changes of the console, the commands, XNAT's interface or an editor. Out: a valid
`engine.model.configuration.Configuration`, or a refusal that names field, value and remedy.
Read `store` first (the changes), then `revisions` (how a change is made), `storage` (the file) and
`history` (the kept revisions).
"""
