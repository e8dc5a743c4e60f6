"""The audit log: who saw identifying values, written and read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from engine.events import IdentifyingValuesShown, RecordedEvent, Severity
from engine.events.event import UnknownEvent
from engine.events.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from engine.events import Event
    from engine.events.event_log import Record
    from engine.host.clock import Clock
    from engine.index.traces import TraceKey


SUPPRESS_SECONDS: Final = 60.0
"""A form asks anew at every key press: the same object is recorded once in this time."""
_SOP_INSTANCE_UID: Final = 0x00080018
_LONGEST_ACTOR: Final = 200
_MOST_REMEMBERED: Final = 1_000


class PhiAccessLog:
    """Records in the journal who saw identifying values; any thread."""

    def __init__(self, report: Callable[[Event], object], key: TraceKey, clock: Clock) -> None:
        """Take the journal, and the key of the hashes that stand for the objects."""
        self._report = report
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When each object was shown last to whom; guarded by the lock."""

    def note(self, actor: str, sop_instance_uid: str, session: int | None = None) -> None:
        """Record that the identifying values of an object were shown."""
        self._record(actor, (self._hash(sop_instance_uid),), session)

    def note_all(self, actor: str, sop_instance_uids: Iterable[str]) -> None:
        """Record the same of several objects, except those that were recorded a moment ago."""
        hashes = dict.fromkeys(map(self._hash, sop_instance_uids))
        with self._lock:
            new = tuple(found for found in hashes if self._is_new(actor, found))
        if new:
            self._record(actor, new, None)

    def _is_new(self, actor: str, found: str) -> bool:
        now = self._clock.monotonic()
        last = self._last.get((actor, found))
        if last is not None and now - last < SUPPRESS_SECONDS:
            return False
        self._last[actor, found] = now
        self._last.move_to_end((actor, found))
        # Forgotten ones are only recorded once more.
        while len(self._last) > _MOST_REMEMBERED:
            self._last.popitem(last=False)
        return True

    def _record(self, actor: str, hashes: tuple[str, ...], session: int | None) -> None:
        first, *others = hashes
        self._report(
            IdentifyingValuesShown(
                by=actor[:_LONGEST_ACTOR], object=first, session=session, others=tuple(others)
            )
        )

    def _hash(self, sop_instance_uid: str) -> str:
        return self._key.hash(_SOP_INSTANCE_UID, sop_instance_uid).hex()


MOST = 5_000
"""Events in one answer."""


def audited(path: Path, limit: int) -> tuple[RecordedEvent, ...]:
    """Return the newest events of an audit log, oldest first, as far as they can be read."""
    kept: list[Record] = []
    with suppress(OSError), EventLog(path) as log:
        limit = min(max(0, limit), MOST)
        kept = log.newest(limit, lambda record: _recorded(record) is not None)
    return tuple(filter(None, map(_recorded, kept)))


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
