"""The event log.

In: events from the engine. Out: filtered lines, marks, and a file of the shown lines. Dashboard
and receivers use `events` and `advice`. Read `screen` first, then `event_log` and `view`.
"""
