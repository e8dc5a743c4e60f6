"""Backup: one tar file with all that nothing can give back, made while an engine runs.

In: a data directory. Out: one verified file, and a data directory from it.
Read `form` first (what is in a backup, and which names may be), then `writing`, `reading` (which
trusts nothing in a file), and `restoring`.
"""
