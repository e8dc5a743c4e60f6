"""The event journal: a ring in memory for the console, JSON lines on disk for everybody else.

The audit log is a second file, of what people did. It rotates by itself, so that other events never
push its lines out. In the event log a flood of one kind is summed up, see `engine.events.sums`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import deque
from itertools import islice
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, BinaryIO

from engine.events import Event, EventPage, Listener, RecordedEvent, Severity
from engine.events.sums import LineBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import TextIOWrapper
    from pathlib import Path
    from typing import Self

    from engine.host.clock import Clock


RING_EVENTS = 5_000
# Both logs together take at most 2 x 6 x 10 MiB.
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
            clock: gives the times of events.
            log_file: the event log, as JSON lines.
            least: the least severity that is written to the log; memory has all events.
            audit_file: the audit log, with audited events of every severity.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: deque[RecordedEvent] = deque(maxlen=RING_EVENTS)
        self._next_sequence = 1
        self._listeners: list[Listener] = []
        self._followers: tuple[Listener, ...] = ()
        self._written = frozenset(list(Severity)[list(Severity).index(least) :])
        self._file = _LineFile(log_file) if log_file else None
        self._budget = LineBudget(clock.monotonic)
        self._audit = _LineFile(audit_file) if audit_file else None

    def record(self, event: Event) -> RecordedEvent:
        """Append an event, then call the followers, and the subscribers if it is urgent."""
        with self._lock:
            # Number, time and line are written under one lock, so the file has the order of the
            # numbers.
            recorded = RecordedEvent(self._next_sequence, self._clock.now(), event)
            self._next_sequence += 1
            self._ring.append(recorded)
            if self._file is not None and event.severity in self._written:
                self._write_sums()
                if self._budget.allows(recorded):
                    self._file.write(recorded)
            if self._audit is not None and event.is_audited():
                self._audit.write(recorded)
            # Called without the lock: a listener may record an event itself, or wait for a thread
            # that does. Followers come first: they only take notes and return at once, a console
            # may be slow.
            listeners = (*self._followers, *(self._listeners if event.urgent else ()))
        for listener in listeners:
            _tell(listener, recorded)
        return recorded

    def events_since(self, sequence: int, limit: int) -> EventPage:
        """Return at most `limit` events from `sequence` on, oldest first."""
        with self._lock:
            # From the end: a console polls for the last few of 5,000 events.
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
        """Call `listener` with every event, from the recording thread; it must return at once."""
        with self._lock:
            self._followers = (*self._followers, listener)

    def write_sums(self) -> None:
        """Write the sums of a minute that is over; for a quiet time after a flood."""
        with self._lock:
            self._write_sums()

    def _write_sums(self, *, everything: bool = False) -> None:
        if self._file is not None:
            for recorded in self._budget.sums(everything=everything):
                self._file.write(recorded)

    def close(self) -> None:
        """Close the files; events recorded later stay in memory only."""
        with self._lock:
            self._write_sums(everything=True)
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
    """Appends JSON lines with rotation. On a full disk lines are lost, but reception goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
        )
        self._path = path
        self._complained = False
        self._size = 0
        """Size of the file in bytes; nothing else writes to it."""

    def _open(self) -> TextIOWrapper:
        # The log names callers and users. The opener sets the mode at creation, so that there is no
        # moment at which others can read it; a link in its place is not followed.
        def readable_by_the_owner(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, opener=readable_by_the_owner)

    def write(self, recorded: RecordedEvent) -> None:
        """Append one event."""
        record = {"sequence": recorded.sequence, "at": recorded.at.isoformat()}
        # `json` escapes control characters, so that peer text stays on one line and in ASCII.
        line = json.dumps(record | recorded.event.to_record(), default=str)
        try:
            self._append(line + "\n")
        except (OSError, ValueError):
            self._complain()

    def _append(self, line: str) -> None:
        """Write a line of ASCII. Unlike `emit`, this makes no `stat` call for each line."""
        stream = self._opened()
        if self._size and self._size + len(line) > self.maxBytes:
            self.doRollover()
            stream = self._opened()
        stream.write(line)
        # After each line, so that a crash loses none and readers see it at once.
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
        """Log once that lines are being lost."""
        if not self._complained:
            self._complained = True
            _logger.warning("%s can't be written; events stay in memory only", self._path.name)


LONGEST_LINE = 1 << 20
"""In bytes. Longer lines are skipped; the engine writes none."""

_BLOCK_BYTES = 64 * 1024

Record = dict[str, object]


class EventLog:
    """Reads the event log across rotation; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Read the log at `path`, which need not exist yet, and its older parts beside it."""
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def newest(self, limit: int, wanted: Callable[[Record], bool] = lambda _: True) -> list[Record]:
        """Return the last wanted lines so far, oldest first; `added` continues from their end.

        It reads from the end, and no further than to the last line that it returns.
        """
        older = self._open()
        try:
            found = list(islice(filter(wanted, self._backwards(older)), limit))
        finally:
            for file in older:
                file.close()
        found.reverse()
        return found

    def _backwards(self, older: list[BinaryIO]) -> Iterator[Record]:
        if self._file is not None:
            end = os.fstat(self._file.fileno()).st_size
            lines = _lines_backwards(self._file, end)
            # The last line may be half written: its rest comes with `added`.
            self._rest = next(lines)
            try:
                yield from _records(lines)
            finally:
                self._file.seek(end)
        for file in older:
            yield from _records(_lines_backwards(file, os.fstat(file.fileno()).st_size))

    def _open(self) -> list[BinaryIO]:
        """Open the newest file, and return the older ones, the newest of them first."""
        # The newest file first: if it is rotated meanwhile, it is found twice and not missed.
        self._file = _opened(self._path)
        seen = {_identity(self._file)} if self._file else set()
        older = []
        for number in range(1, FILES_KEPT + 1):
            file = _opened(self._path.with_name(f"{self._path.name}.{number}"))
            if file is None:
                continue
            # Renamed by a rotation while this loop runs.
            if _identity(file) in seen:
                file.close()
                continue
            seen.add(_identity(file))
            older.append(file)
        return older

    def added(self) -> Iterator[Record]:
        """Yield the lines added since the last call."""
        if self._file is None:
            self._file = _opened(self._path)
        if self._file is None:
            return
        yield from self._whole_lines(self._file)
        # A rotation is noticed by the file behind the name being another one.
        newer = _opened(self._path)
        if newer is None:
            return
        if _identity(newer) == _identity(self._file):
            newer.close()
            return
        # Rotated. Lines may have been added to the old file after it was read above; only then
        # comes the new one.
        yield from self._whole_lines(self._file)
        self._file.close()
        self._file, self._rest = newer, b""
        yield from self._whole_lines(newer)

    def _whole_lines(self, file: BinaryIO) -> Iterator[Record]:
        lines = (self._rest + file.read()).split(b"\n")
        # The last line may be half written: its rest comes with the next call. One byte beyond the
        # limit is kept, so that `_records` still sees that the line is too long.
        self._rest = lines.pop()[: LONGEST_LINE + 1]
        yield from _records(lines)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        return None


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines of a file up to a place, the last first; that one is often empty."""
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        first, *lines = (file.read(end - start) + rest).split(b"\n")
        yield from reversed(lines)
        # One byte beyond the limit is kept, so that `_records` sees that the line is too long.
        rest, end = first[: LONGEST_LINE + 1], start
    yield rest


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _records(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        if len(line) > LONGEST_LINE:
            continue
        try:
            record = json.loads(line)
        # A line cut by a crash, or damaged: the others still count.
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
