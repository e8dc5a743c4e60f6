"""Screen 1: the dashboard.

In: the snapshot and the newest events. Out: receivers, associations, throughput and events on one
screen. It uses the tables and panels of receivers, associations and log. `tui.app` shows it first,
so its imports must stay few: see `tests/tui/test_first_picture.py`. Read `screen` first.
"""
