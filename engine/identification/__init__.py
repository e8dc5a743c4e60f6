"""Project, subject and session of an object: receiver rule, then site rule, then default.

In: a header and the rules in force. Out: an identity, with a trace of every step on request. Read
`evaluation` first; `sources` are the places a value may come from.
"""
