"""Storage commitment: answers peers that ask whether their objects are safe (PS3.4 annex J).

In: requests of `engine.reception`, kept in `engine.state.commitments`. Out: reports, on the
requestor's association or on a new one to a known peer. Read `service` first, then `lookup` (what
is committed) and `peers` (whom to call).
"""
