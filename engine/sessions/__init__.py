"""Work on whole sessions: building, archiving, moving, merging, deleting.

In: requests of people and rules, kept in the index. Out: folders in their final places. One thread
does the work. Read `worker` first, then `planner` (the steps) and `runner` (doing it).
"""
