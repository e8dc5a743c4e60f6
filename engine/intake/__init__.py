"""The straight line of one object, from its first byte to its file.

In: C-STORE requests of `engine.reception`. Out: a file, a row of the index, and a status for the
sender. Read `pipeline` first.
"""
