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
from typing import TYPE_CHECKING, BinaryIO

from engine.events import Event, EventPage, Listener, RecordedEvent, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import TextIOWrapper
    from pathlib import Path
    from typing import Self

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


LONGEST_LINE = 1 << 20
"""Longer ones are passed over; the engine writes none."""

Record = dict[str, object]


class EventLog:
    """The log from its oldest line to its newest, across rotation; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Look at a log that need not be there yet; older parts are beside it."""
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def all(self) -> Iterator[Record]:
        """Yield what is there, oldest first; `added` goes on from its end."""
        self._file = _opened(self._path)
        seen = {_identity(self._file)} if self._file else set()
        older = []
        for number in range(1, FILES_KEPT + 1):
            file = _opened(self._path.with_name(f"{self._path.name}.{number}"))
            if file is None:
                continue
            if _identity(file) in seen:  # it was renamed while we looked
                file.close()
                continue
            seen.add(_identity(file))
            older.append(file)
        for file in reversed(older):
            with file:
                yield from _records(file.read().splitlines())
        yield from self.added()

    def added(self) -> Iterator[Record]:
        """Yield what was added since the last look."""
        if self._file is None:
            self._file = _opened(self._path)
        if self._file is None:
            return
        yield from self._whole_lines(self._file)
        newer = _opened(self._path)
        if newer is None:
            return
        if _identity(newer) == _identity(self._file):
            newer.close()
            return
        # Rotated: what was written to the old file before that is read, the new one begins.
        yield from self._whole_lines(self._file)
        self._file.close()
        self._file, self._rest = newer, b""
        yield from self._whole_lines(newer)

    def _whole_lines(self, file: BinaryIO) -> Iterator[Record]:
        lines = (self._rest + file.read()).split(b"\n")
        self._rest = lines.pop()[: LONGEST_LINE + 1]
        yield from _records(lines)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        return None


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _records(lines: list[bytes]) -> Iterator[Record]:
    for line in lines:
        if len(line) > LONGEST_LINE:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
