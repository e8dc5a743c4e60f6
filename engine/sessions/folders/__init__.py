"""The folders of sessions: built from objects, staged for the archive, moved.

Each step can be repeated after a crash at any point. Read `building` first, then `transfer`.
"""
