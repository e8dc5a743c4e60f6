"""The index of everything that arrived: the final state of each object, and its session (SQLite).

`store` is the index of a running engine, `writer` its one writer of rows; `listing`, `contents`,
`senders` and `traces` answer questions by connections of their own. Read `schema` first.
"""
