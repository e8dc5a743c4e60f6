"""What arrived and what becomes of it: the SQLite index, and the way of whole sessions.

Every plan is in the index before its first step, and every step can be repeated, so that an engine
that is killed at any point completes it (tests/engine/sessions/test_kill.py).
"""
