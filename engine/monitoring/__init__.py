"""The state of the engine: metrics, health, silent senders, and alerts.

In: events of the journal and the state of the parts. Out: metrics as text, health, alerts to
people. Read `monitoring` first; `alerts` decides which events people must hear of.
"""
