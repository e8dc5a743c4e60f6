"""Checks once a minute: free space, silent senders, the clock; and writes the metrics to a file.

Free space is checked without any sender too, so that a full storage is reported before the next
object. The file is for node_exporter's textfile collector; it stays when the engine has ended.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from engine.events.monitoring import SenderHeard, SenderSilent
from engine.host.data_directory import replace_file
from engine.metrics import OTHER_SENDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.metrics import SenderCounts
    from engine.monitoring.monitoring import Monitoring
    from engine.sessions.trash import ExpiryClock


DAYS_JUDGED = 8
"""Only so many of the last days of a kind count: working days, or days of weekends."""
# Fewer days are no habit: a new caller would be reported at once.
DAYS_NEEDED = 4
USUAL_SHARE = 0.75
SILENT_HOURS = 2
"""A caller is silent after so many usual hours without an object."""
DAYS_KEPT = 40
_LOOK_BACK = timedelta(days=7)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SenderHours:
    """The hours of one caller."""

    since: date
    """The first day that is known."""
    days: Mapping[date, int] = field(default_factory=dict)
    """By local day, the hours in which something came, as bits."""
    last: datetime | None = None
    """The local hour in which something came last."""

    def with_object_at(self, at: datetime) -> SenderHours:
        """Return the hours after an object came, in local time; old days are forgotten."""
        day, bit = at.date(), 1 << at.hour
        hour = at.replace(minute=0, second=0, microsecond=0)
        # Once an hour there is something new: the file is not written for each object.
        if self.days.get(day, 0) & bit and self.last == hour:
            return self
        kept = {d: bits for d, bits in self.days.items() if (day - d).days < DAYS_KEPT}
        return SenderHours(
            max(self.since, day - timedelta(days=DAYS_KEPT)),
            kept | {day: kept.get(day, 0) | bit},
            hour,
        )

    def is_usual(self, day: date, hour: int) -> bool:
        """Tell whether something usually comes in an hour of such a day."""
        before = (day - timedelta(days=number) for number in range(1, DAYS_KEPT))
        alike = [d for d in before if d >= self.since and _is_weekend(d) == _is_weekend(day)]
        judged = alike[:DAYS_JUDGED]
        sent = sum(bool(self.days.get(d, 0) & 1 << hour) for d in judged)
        return len(judged) >= DAYS_NEEDED and sent >= USUAL_SHARE * len(judged)

    def silent_hours(self, now: datetime) -> int:
        """Return how many usual hours are over since the last object, at most those of a week."""
        if self.last is None:
            return 0
        # The present hour is not over, and does not count.
        hour = now.replace(minute=0, second=0, microsecond=0) - _HOUR
        first = max(self.last, now - _LOOK_BACK)
        silent = 0
        while hour > first:
            silent += self.is_usual(hour.date(), hour.hour)
            hour -= _HOUR
        return silent

    def is_silent(self, now: datetime) -> bool:
        """Tell whether the caller should have sent something by now, in local time."""
        return self.silent_hours(now) >= SILENT_HOURS

    def to_record(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "since": self.since.isoformat(),
            "days": {day.isoformat(): bits for day, bits in self.days.items()},
            "last": self.last.isoformat() if self.last else None,
        }

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SenderHours:
        """Return the hours that a record describes.

        Raises:
            ValueError, TypeError, KeyError: if it is none.
        """
        days, last = raw["days"], raw["last"]
        # The file may be damaged: it must not fill the memory.
        if not isinstance(days, dict) or len(days) > 2 * DAYS_KEPT:
            raise ValueError("days")
        return cls(
            date.fromisoformat(str(raw["since"])),
            {date.fromisoformat(day): int(bits) for day, bits in days.items()},
            datetime.fromisoformat(str(last)) if last else None,
        )


def _is_weekend(day: date) -> bool:
    return day.weekday() >= 5


TICK_SECONDS = 60.0
SENDERS_REMEMBERED = 200
MOST_BYTES = 4 * 1024 * 1024

_logger = logging.getLogger(__name__)


class SilenceDetector:
    """Learns when each sender usually sends, and keeps that in a file; used by one thread."""

    def __init__(self, file: Path, journal: Journal) -> None:
        self._file = file
        self._journal = journal
        self._hours = _read(file)
        self._saved = dict(self._hours)
        self._silent: set[str] = set()

    def check(self, senders: Iterable[SenderCounts], now: datetime) -> None:
        """Note who sent since the last check, and report once each sender that fell silent."""
        for sender in senders:
            if sender.last_object_at is not None and sender.calling_ae_title != OTHER_SENDERS:
                self._record_sender(sender.calling_ae_title, _local(sender.last_object_at))
        for name, hours in self._hours.items():
            if name not in self._silent and hours.is_silent(_local(now)):
                self._silent.add(name)
                since, count = f"{hours.last:%Y-%m-%d %H:%M}", hours.silent_hours(_local(now))
                self._journal.record(SenderSilent(calling_ae_title=name, since=since, hours=count))
        if self._hours != self._saved:
            self._save()

    def _record_sender(self, name: str, at: datetime) -> None:
        before = self._hours.get(name)
        # Limited: a peer may call itself anything, and each title is kept for good.
        if before is None and len(self._hours) >= SENDERS_REMEMBERED:
            return
        before = before or SenderHours(at.date())
        after = before.with_object_at(at)
        if after == before:
            return
        self._hours[name] = after
        if name in self._silent:
            self._silent.discard(name)
            self._journal.record(SenderHeard(calling_ae_title=name))

    def _save(self) -> None:
        record = {name: hours.to_record() for name, hours in self._hours.items()}
        replace_file(self._file, json.dumps(record).encode())
        self._saved = dict(self._hours)


class WatchThread:
    """The thread that checks once a minute."""

    def __init__(
        self,
        monitoring: Monitoring,
        silence: SilenceDetector,
        clock: Clock,
        metrics_file: Path,
        look_at_storage: Callable[[], object],
        expiry: ExpiryClock,
        write_sums: Callable[[], object],
    ) -> None:
        self._monitoring = monitoring
        self._silence = silence
        self._clock = clock
        self._metrics_file = metrics_file
        self._look_at_storage = look_at_storage
        self._expiry = expiry
        self._write_sums = write_sums
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Check a last time, and end the thread."""
        self._stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Do all checks once, and write the metrics."""
        self._look_at_storage()
        self._expiry.keep()
        self._write_sums()
        self._silence.check(self._monitoring.counters().senders, self._clock.now())
        replace_file(self._metrics_file, self._monitoring.metrics(), 0o640)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            # Not the condition of the loop: after the stop there is one more check, which writes
            # the file.
            stopping = self._stopping.wait(TICK_SECONDS)
            try:
                self.check()
            except OSError as error:
                _logger.warning(
                    "the metrics or the hours of senders can't be written: %s", error.strerror
                )
            except Exception:
                # An unforeseen fault must not end the thread.
                _logger.exception("the check of each minute failed; trying again")


def _read(path: Path) -> dict[str, SenderHours]:
    """Return the hours that an earlier run learned; none if they can't be read."""
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(MOST_BYTES))
        return {str(name): SenderHours.parse(hours) for name, hours in raw.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _logger.warning("the hours of senders can't be read; they are learned anew")
        return {}


def _local(at: datetime) -> datetime:
    """Return a moment as local time without zone: working hours follow the wall clock."""
    return at.astimezone().replace(tzinfo=None)
