"""Forward copy: stored objects sent on to other AEs from a queue that outlives every crash.

`follower` reads the rows of stored objects in their order and queues each for the destinations that
want it, together with the number of the last row that it has seen: one transaction of `queue`. So
no sender waits for it, and an object that was stored and not yet queued when the engine was killed
is queued at the next start. `sender` sends: each object at least once, and again if the engine is
killed before it could note the answer.
"""
