"""*Forward a copy*: stored objects sent on to other AEs, from a durable queue.

Read `forwarding` first: its follower fills the queue, `sender` empties it.
"""
