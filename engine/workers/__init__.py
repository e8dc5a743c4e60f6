"""Worker processes that can be killed: limits of time, memory and output.

Used by `engine.processing` and `engine.inspection`, and for scripts (`scripts`). Read `pool` first.
"""
