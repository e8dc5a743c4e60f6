"""The trash of deleted sessions and replaced objects, and when its contents expire."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from engine.events.monitoring import ClockStepped
from engine.events.sessions import TrashPurged
from engine.host.data_directory import replace_file
from engine.model.session import SessionArea

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas


PURGE_SECONDS = 3600.0
"""Pause between two looks for old entries: the trash may have a hundred thousand of them."""
ENTRIES_AT_ONCE = 50
"""Entries whose rows are removed in one transaction: one for each took a third of the time."""

_ENTRY = re.compile(r"(\d{8}_\d{6})\d{3}_\d+")
_FORMAT = "%Y%m%d_%H%M%S"

_logger = logging.getLogger(__name__)


class Trash:
    """Removes entries that are old enough; used by one thread."""

    def __init__(
        self,
        areas: Areas,
        ledger: SessionRepository,
        journal: Journal,
        clock: Clock,
        expiry: ExpiryClock,
    ) -> None:
        self._folder = areas.trash
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._expiry = expiry
        self._look_at = 0.0
        self._old: deque[str] = deque()
        """Entries that are old enough."""
        self._forgotten: deque[str] = deque()
        """Those of them that the index no longer knows: their files are to be removed."""
        self._purged = 0

    def purge_next(self, days: float) -> bool:
        """Remove the next entry that has been there for some days; return False if none is left.

        Old entries are looked for once an hour. Entries that an operation needs stay, and so do
        sessions that are to be restored.
        """
        if not self._forgotten:
            if not self._old:
                self._look(days)
            if not self._old:
                self.report()
                return False
            self._forget_some()
        if self._forgotten:
            self._purged += self._remove(self._forgotten.popleft())
        return True

    def report(self) -> None:
        """Record how many entries were removed since the last report."""
        if self._purged:
            self._journal.record(TrashPurged(entries=self._purged))
        self._purged = 0

    def _look(self, days: float) -> None:
        if self._clock.monotonic() < self._look_at:
            return
        self._look_at = self._clock.monotonic() + PURGE_SECONDS
        # A merge that is not complete may still be undone, and takes its objects from there.
        needed = {name for plan in self._ledger.plans() for name in plan.trash_entries}
        old = sorted(self._older_than(self._expiry.now() - timedelta(days=days)))
        self._old.extend(name for name in old if name not in needed)

    def _older_than(self, moment: datetime) -> Iterator[str]:
        # Names begin with local times: a day more covers every change of the zone.
        latest = (moment + timedelta(days=1)).astimezone().strftime(_FORMAT)
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if entry.name <= latest]
        except FileNotFoundError:  # removed by hand; the next deletion makes it anew
            return
        for name in names:
            since = _since(name)
            if since is not None and since < moment:
                yield name

    def _forget_some(self) -> None:
        """Remove the rows of some entries' sessions, then their files: none can be restored then.

        After a crash in between, the next look finds the files.
        """
        taken = self._ledger.forget_trash(islice(self._old, ENTRIES_AT_ONCE))
        for _ in taken:
            self._old.popleft()
        self._forgotten.extend(name for name, may_go in taken.items() if may_go)

    def _remove(self, name: str) -> bool:
        entry = self._folder / name
        shutil.rmtree(entry, ignore_errors=True)
        if entry.exists():
            _logger.warning("an entry of the trash can't be removed: %s", name)
            return False
        return True


def put_into_trash_at(session: Session) -> datetime | None:
    """Return when a session was put into the trash; None if it is not there."""
    if session.area is not SessionArea.TRASH:
        return None
    return _since(session.folder.partition("/")[0])


def _since(name: str) -> datetime | None:
    """Return when something was put into the trash, from the name of its folder."""
    found = _ENTRY.fullmatch(name)
    if found is None:
        return None
    with suppress(ValueError):
        # A third of the time of `strptime`, which counts for a hundred thousand entries.
        return datetime.fromisoformat(found[1]).astimezone()
    return None


STEP = timedelta(minutes=1)
"""Difference between wall clock and monotonic clock that is no step yet."""
BELIEVED_AFTER = timedelta(days=1)
"""For how long a wall clock must go on after a jump forward until things expire by it.

A pause of that length between two runs is believed at once.
"""


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """The time by which things expire, at one moment."""

    at: datetime
    """The time by which things expire."""
    ahead_for: timedelta | None = None
    """For how long the wall clock has been ahead of that by more than `STEP`; None if it is not."""


class ExpiryClock:
    """Compares the clocks at each call; may be used by any thread."""

    def __init__(self, clock: Clock, journal: Journal, file: Path | None = None) -> None:
        """Go on from what an earlier run left in a file, if there is one."""
        self._clock = clock
        self._journal = journal
        self._file = file
        self._lock = threading.Lock()
        self._wall, self._monotonic = clock.now(), clock.monotonic()
        self._judged = _resumed(_read(file), self._wall)

    def now(self) -> datetime:
        """Return the time by which things are old enough to be removed or given up."""
        with self._lock:
            wall, monotonic = self._clock.now(), self._clock.monotonic()
            passed = timedelta(seconds=monotonic - self._monotonic)
            step = wall - self._wall - passed
            self._wall, self._monotonic = wall, monotonic
            self._judged = _judged(self._judged, wall, passed, stepped=abs(step) > STEP)
            at = self._judged.at
        if abs(step) > STEP:
            self._journal.record(ClockStepped(seconds=round(step.total_seconds())))
        return at

    def ahead(self) -> timedelta | None:
        """Return by how much the wall clock is ahead of what is trusted; None if it is not."""
        at = self.now()
        with self._lock:
            return None if self._judged.ahead_for is None else self._wall - at

    def keep(self) -> None:
        """Write the present state to the file, for the next run.

        Raises:
            OSError: if the file can't be written.
        """
        self.now()
        if self._file is None:
            return
        with self._lock:
            judged = self._judged
        ahead_for = judged.ahead_for.total_seconds() if judged.ahead_for is not None else None
        record = {"at": judged.at.isoformat(), "ahead_for_seconds": ahead_for}
        replace_file(self._file, json.dumps(record).encode())


def _judged(
    before: TrustedTime, wall: datetime, passed: timedelta, *, stepped: bool
) -> TrustedTime:
    at = before.at + passed
    # A clock that is behind is believed at once: it makes nothing expire too early.
    if wall <= at + STEP:
        return TrustedTime(wall)
    # Ahead for the first time, or once more: the day of waiting begins anew.
    if before.ahead_for is None or stepped:
        return TrustedTime(at, timedelta())
    ahead_for = before.ahead_for + passed
    return TrustedTime(wall) if ahead_for >= BELIEVED_AFTER else TrustedTime(at, ahead_for)


def _resumed(before: TrustedTime | None, wall: datetime) -> TrustedTime:
    """Judge the wall clock at the start, where the time without an engine is not known."""
    if before is None or wall <= before.at + BELIEVED_AFTER:
        return TrustedTime(wall)
    return replace(before, ahead_for=before.ahead_for or timedelta())


def _read(path: Path | None) -> TrustedTime | None:
    if path is None:
        return None
    try:
        raw = json.loads(path.read_bytes())
        at, ahead_for = datetime.fromisoformat(raw["at"]), raw["ahead_for_seconds"]
        return TrustedTime(
            at.astimezone(UTC), None if ahead_for is None else timedelta(seconds=ahead_for)
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        _logger.warning("%s can't be read; the present time is taken as right", path.name)
        return None
