"""The event journal: a ring in memory for the console, JSON lines on disk for everybody else.

The audit log is a second file: what people did. Other events never push its lines out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from engine.events import Event, EventPage, Listener, RecordedEvent, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper
    from pathlib import Path

    from engine.host.clock import Clock

RING_EVENTS = 5_000
FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 5

_logger = logging.getLogger(__name__)


class Journal:
    """Records events in order; every method may be called from any thread."""

    def __init__(
        self,
        clock: Clock,
        log_file: Path | None = None,
        least: Severity = Severity.INFO,
        *,
        audit_file: Path | None = None,
    ) -> None:
        """Begin with no events.

        Args:
            clock: when events happen.
            log_file: where they are written too.
            least: the least severity that is written there; memory has all.
            audit_file: where audited events of every severity are written too.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: deque[RecordedEvent] = deque(maxlen=RING_EVENTS)
        self._next_sequence = 1
        self._listeners: list[Listener] = []
        self._followers: tuple[Listener, ...] = ()
        self._written = frozenset(list(Severity)[list(Severity).index(least) :])
        self._file = _LineFile(log_file) if log_file else None
        self._audit = _LineFile(audit_file) if audit_file else None

    def record(self, event: Event) -> RecordedEvent:
        """Append an event, then tell the subscribers if it is urgent."""
        with self._lock:
            recorded = RecordedEvent(self._next_sequence, self._clock.now(), event)
            self._next_sequence += 1
            self._ring.append(recorded)
            if self._file is not None and event.severity in self._written:
                self._file.write(recorded)
            if self._audit is not None and event.is_audited():
                self._audit.write(recorded)
            listeners = (*self._followers, *(self._listeners if event.urgent else ()))
        for listener in listeners:
            _tell(listener, recorded)
        return recorded

    def events_since(self, sequence: int, limit: int) -> EventPage:
        """Return at most `limit` events from `sequence` on, oldest first."""
        with self._lock:
            newest_first = iter(reversed(self._ring))
            wanted = []
            for recorded in newest_first:
                if recorded.sequence < sequence:
                    break
                wanted.append(recorded)
            coming = self._next_sequence
            first_kept = self._ring[0].sequence if self._ring else coming
        wanted.reverse()
        page = tuple(wanted[:limit])
        following = page[-1].sequence + 1 if page else max(sequence, coming)
        return EventPage(page, following, max(0, first_kept - max(sequence, 1)))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each urgent event, from the thread that records it.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def follow(self, listener: Listener) -> None:
        """Call `listener` with every event, urgent or not; it must return at once."""
        with self._lock:
            self._followers = (*self._followers, listener)

    def close(self) -> None:
        """Close the files; events recorded later stay in memory only."""
        with self._lock:
            for file in filter(None, (self._file, self._audit)):
                file.close()
            self._file = self._audit = None


def should_report_repeat(times: int) -> bool:
    """Tell whether a repetition is worth a line: the 1st, 10th, 100th and so on."""
    return str(times).rstrip("0") == "1"


def _tell(listener: Listener, recorded: RecordedEvent) -> None:
    try:
        listener(recorded)
    except Exception:
        # A console that breaks must not break the reception that has news for it.
        _logger.exception("a subscriber of the journal failed")


class _LineFile(RotatingFileHandler):
    """Appends JSON lines with rotation; a full disk costs lines, never a reception."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
        )
        self._path = path
        self._complained = False
        self._size = 0
        """Of the file, which nobody else writes to."""

    def _open(self) -> TextIOWrapper:
        def readable_by_the_owner(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, opener=readable_by_the_owner)

    def write(self, recorded: RecordedEvent) -> None:
        """Append one event."""
        record = {"sequence": recorded.sequence, "at": recorded.at.isoformat()}
        line = json.dumps(record | recorded.event.to_record(), default=str)
        try:
            self._append(line + "\n")
        except (OSError, ValueError):
            self._complain()

    def _append(self, line: str) -> None:
        """Write a line of ASCII; unlike `emit`, without asking for the file's state each time."""
        stream = self._opened()
        if self._size and self._size + len(line) > self.maxBytes:
            self.doRollover()
            stream = self._opened()
        stream.write(line)
        stream.flush()
        self._size += len(line)

    def _opened(self) -> TextIOWrapper:
        if self.stream is None:
            self.stream = self._open()
            self._size = os.fstat(self.stream.fileno()).st_size
        return self.stream

    def close(self) -> None:
        """Close the file, even if its last lines can't be written any more."""
        with contextlib.suppress(OSError):
            super().close()

    def _complain(self) -> None:
        """Say once that lines are being lost."""
        if not self._complained:
            self._complained = True
            _logger.warning("%s can't be written; events stay in memory only", self._path.name)
