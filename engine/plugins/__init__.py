"""Plug-ins of other distributions: found by entry points, loaded, and called with care.

Used by `engine.identification` and `engine.processing`. Read `loading` first; `guarded` says what
becomes of a plug-in's mistakes.
"""
