"""Sessions of prearchive, archive and trash.

In: pages of sessions from the engine. Out: archive, move, rebuild, delete and restore, with
progress. The inspector uses `words`. Read `list` first (screen 3), then `session` and `actions`.
"""
