"""*Command*: external programs, run for sessions that became ready or archived.

Read `commands` first; `runner` takes runs from the queue.
"""
