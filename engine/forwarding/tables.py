"""The tables of the forwarding queue, and their rows."""

from __future__ import annotations

from typing import NamedTuple

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS destinations (
    id INTEGER PRIMARY KEY,
    mark INTEGER,
    mark_at TEXT NOT NULL DEFAULT '',
    sent INTEGER NOT NULL DEFAULT 0,
    bytes_sent INTEGER NOT NULL DEFAULT 0,
    last_sent_at TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    last_error_at TEXT NOT NULL DEFAULT '',
    next_attempt_at TEXT NOT NULL DEFAULT '',
    asked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination INTEGER NOT NULL,
    object INTEGER NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at TEXT NOT NULL DEFAULT '',
    failed INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (destination, object)
);
CREATE INDEX IF NOT EXISTS items_due ON items (destination, failed, due_at, id);
"""


class Item(NamedTuple):
    """One object on its way to one destination."""

    id: int
    destination: int
    """The number of its processor."""
    object: int
    """The number of the object's row in the index."""
    sop_instance_uid: str
    queued_at: str
    """UTC, ISO 8601."""
    attempts: int
    reason: str
    """What went wrong last."""


ITEM_COLUMNS = ", ".join(Item._fields)


class DestinationRow(NamedTuple):
    """What is known of one destination."""

    id: int
    sent: int
    bytes_sent: int
    last_sent_at: str
    last_error: str
    last_error_at: str
    next_attempt_at: str
    asked: int
    queued: int
    failed: int
    oldest_queued_at: str
