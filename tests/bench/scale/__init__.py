"""What grows with the number of sessions, objects, projects, receivers and associations.

`cli` prints the table; `sessions`, `objects`, `configuration` and `live` measure its rows; `rows`
says what a row is.
"""
