"""Alerts: which events people must hear of, how often, and how they are told."""
