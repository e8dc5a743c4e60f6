"""Alerts: which events people must hear of, how often, and how they are sent.

In: events. Out: JSON to a command or a webhook. Read `conditions` first, then `dispatcher`.
"""
