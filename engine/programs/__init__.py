"""Command: an external program runs for each finished session, told about it on standard input.

The session's change is noted in the index with the change itself, `queue` keeps what is to run, and
`runner` runs it. Each program runs at least once for each time that its session was finished: again
if the engine ended, in whatever way, before the program did.
"""
