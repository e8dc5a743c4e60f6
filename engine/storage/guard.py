"""Watches the free space: warns when it runs low, refuses objects before it is used up."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources
from engine.events.monitoring import StorageLow, StorageRefuses, StorageSuffices
from engine.storage.incoming import out_of_resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.events import Event
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.limits import Limits

CHECK_SECONDS = 0.1
"""How long one look at the storage is valid; the reserve covers what arrives meanwhile."""
REPORT_SECONDS = 1.0
"""The least time between two reports of the state."""


class FreeSpace(NamedTuple):
    """The file system that objects go to."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Free space below which to warn and to refuse; the greater of bytes and percent."""

    low_bytes: int
    reserve_bytes: int

    @classmethod
    def of(cls, limits: Limits, space: FreeSpace) -> Thresholds:
        """Return the thresholds of a site's limits on a file system of this size."""

        def of_total(percent: int) -> int:
            return space.total_bytes * percent // 100

        return cls(
            max(limits.low_space_bytes, of_total(limits.low_space_percent)),
            max(limits.reserve_bytes, of_total(limits.reserve_percent)),
        )


class StorageGuard:
    """Watches one file system; for all threads."""

    def __init__(
        self,
        data_dir: Path,
        folder_fd: int,
        marker: str,
        limits: Callable[[], Limits],
        bytes_rate: Callable[[], float],
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._marker = data_dir / marker if marker else None
        self._folder_fd = folder_fd
        self._limits = limits
        self._bytes_rate = bytes_rate
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[Limits | None, int, Thresholds] = (None, 0, Thresholds(0, 0))
        """Limits and size of the storage, and the thresholds computed from them."""
        self._told: type[Event] = StorageSuffices
        self._told_at = clock.monotonic() - REPORT_SECONDS
        self.refused = ""
        """The last answer of `refusal`, valid until `next_check_at`."""
        self.next_check_at = 0.0

    @property
    def reserve_bytes(self) -> int:
        """Less free space than that is refused; 0 before the first look."""
        return self._known[2].reserve_bytes

    def refusal(self) -> str:
        """Return why no object can be stored now; empty if objects can be stored."""
        now = self._clock.monotonic()
        # Not locked: two threads may both look, and get the same answer.
        if now >= self.next_check_at:
            self.refused = self._look()
            self.next_check_at = now + CHECK_SECONDS
        return self.refused

    def _look(self) -> str:
        if self._marker is not None and not self._marker.exists():
            why = "the storage is not mounted: its marker file is missing"
            self._report(StorageRefuses(reason=why))
            return why
        try:
            space = self._space()
        except OutOfResources as error:
            self._report(StorageRefuses(reason=error.detail))
            return error.detail
        return self._judge(space)

    def _judge(self, space: FreeSpace) -> str:
        thresholds = self._thresholds(space)
        if space.free_bytes < thresholds.reserve_bytes:
            free, wanted = (n // 1_000_000 for n in (space.free_bytes, thresholds.reserve_bytes))
            why = f"only {free:,} MB free on the storage, {wanted:,} MB required"
            self._report(StorageRefuses(reason=why))
            return why
        if space.free_bytes < thresholds.low_bytes:
            left = space.free_bytes - thresholds.reserve_bytes
            self._report(StorageLow(free_bytes=space.free_bytes, full_in_seconds=self._until(left)))
        elif self._told is not StorageSuffices:
            self._report(StorageSuffices(free_bytes=space.free_bytes))
        return ""

    def _thresholds(self, space: FreeSpace) -> Thresholds:
        """Return the thresholds, computed again only if limits or size have changed."""
        limits = self._limits()
        known_limits, known_total, thresholds = self._known
        if known_limits is not limits or known_total != space.total_bytes:
            thresholds = Thresholds.of(limits, space)
            self._known = limits, space.total_bytes, thresholds
        return thresholds

    def _until(self, left_bytes: int) -> float | None:
        """Forecast when `left_bytes` are used up at the present rate; None if nothing arrives."""
        rate = self._bytes_rate()
        return left_bytes / rate if rate > 0 else None

    def _space(self) -> FreeSpace:
        try:
            status = os.fstatvfs(self._folder_fd)
        except OSError as error:
            raise out_of_resources(error) from error
        # f_bavail, not f_bfree: the blocks that are reserved for root are no use to the engine.
        return FreeSpace(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)

    def _report(self, event: Event) -> None:
        """Record a change of the state, at most once in `REPORT_SECONDS`."""
        now, kind = self._clock.monotonic(), type(event)
        with self._lock:
            if kind is self._told or now - self._told_at < REPORT_SECONDS:
                return
            self._told, self._told_at = kind, now
        self._journal.record(event)
