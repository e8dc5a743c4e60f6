"""Reads the audit log of this and earlier runs of the engine."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from engine.events import RecordedEvent, Severity
from engine.events.event import UnknownEvent
from engine.events.log_file import EventLog

if TYPE_CHECKING:
    from pathlib import Path

    from engine.events.log_file import Record

MOST = 5_000
"""Events in one answer."""


def audited(path: Path, limit: int) -> tuple[RecordedEvent, ...]:
    """Return the newest events of an audit log, oldest first, as far as they can be read."""
    kept: deque[RecordedEvent] = deque(maxlen=min(max(0, limit), MOST))
    with suppress(OSError), EventLog(path) as log:
        kept.extend(filter(None, map(_recorded, log.all())))
    return tuple(kept)


def _recorded(record: Record) -> RecordedEvent | None:
    """Return the event of a line; None if the line does not say when it happened."""
    try:
        at = datetime.fromisoformat(str(record.get("at")))
        sequence = int(str(record.get("sequence")))
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    words = {name: str(record.get(name, "")) for name in _WORDS}
    return RecordedEvent(sequence, at, UnknownEvent(severity=_severity(record), **words))


_WORDS = ("topic", "message", "receiver", "calling_ae_title", "association")


def _severity(record: Record) -> Severity:
    try:
        return Severity(str(record.get("severity")))
    except ValueError:
        return Severity.INFO
