"""Senders: every AE title and address that has called.

In: recorded senders from the engine, and current associations. Out: a filtered list, and links to
sessions, log and associations. Only `tui.app` opens it, through `tui.places`. Read `screen` first,
then `senders`.
"""
