"""Processors of stored objects, and the destinations of forward copies.

In: processors, their classes and destinations from the engine. Out: changed processors, trials,
retries and drops. Read `screen` first, then `form` and `dialog`; `forwarding` shows one
destination.
"""
