"""Alerts: which events people must hear of, how often, and how they are sent.

In: events. Out: JSON to a command or a webhook; until it is there, an item of the outbox. Read
`throttle` first, then `dispatcher`.
"""
