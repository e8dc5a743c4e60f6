"""The history of the configuration.

In: revisions from the engine. Out: undo, and the restore of a revision. Only `tui.app` opens it,
through `tui.places`. Read `screen` first, then `diff`.
"""
