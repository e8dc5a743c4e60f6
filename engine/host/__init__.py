"""Clock, users, data directory, locks, terminal and wake-ups of the machine.

Every package may import it; it imports only `engine.errors` and `engine.settings`. Read
`data_directory` first.
"""
