"""Associations: current, ended and rejected ones, and the whitelist line for a rejected caller.

In: `AssociationStatus` from the snapshot. Out: aborts, and new whitelist lines. Dashboard,
receivers and senders use `table`, `contexts`, `actions` and `details`. Read `screen` first, then
`allow`.
"""
