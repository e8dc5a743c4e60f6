"""Plug-ins of other distributions: found by entry points, loaded, and called with care.

Used by `engine.identification` and `engine.processing`. Read `loading` first; it also says how
errors of a plug-in are handled.
"""
