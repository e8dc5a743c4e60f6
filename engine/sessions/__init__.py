"""What becomes of whole sessions: built, archived, moved, merged, deleted.

In: requests of people and rules, kept in the index. Out: folders in their final places. One thread
does the work. Read `worker` first, then `planner` (what is to be done) and `runner` (doing it).
"""
