"""The machine that the engine runs on: clock, users, data directory, locks, terminal, waking.

Everything may use it; it uses only `engine.errors` and `engine.settings`. Read `data_directory`
first.
"""
