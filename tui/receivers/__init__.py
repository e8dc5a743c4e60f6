"""Receivers: their table and panels, the screen of one receiver, its dialog and its commands.

In: `ReceiverStatus` from the snapshot. Out: new, changed and deleted receivers, echo tests, start
and stop. The dashboard uses `table`, `panel`, `failure` and `actions`. `form` holds the rules of
the dialog without Textual. Read `screen` first, then `form` and `dialog`.
"""
