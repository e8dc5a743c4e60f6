"""Once a minute: is there room, who fell silent, is the clock right, and the metrics as a file.

A storage that nobody sends to is looked at too, so that its end is told before the next sender
finds it. The file is what node_exporter's textfile collector takes, and what is left of an engine
that is gone.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from engine.events.monitoring import SenderHeard, SenderSilent
from engine.host.replaced_file import replace_file
from engine.metrics import OTHER_SENDERS
from engine.monitoring.sender_hours import SenderHours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.metrics import SenderCounts
    from engine.monitoring.monitoring import Monitoring
    from engine.sessions.trash import ExpiryClock

TICK_SECONDS = 60.0
SENDERS_REMEMBERED = 200
MOST_BYTES = 4 * 1024 * 1024

_logger = logging.getLogger(__name__)


class SilenceDetector:
    """Who usually sends when, kept in a file across runs; used by one thread."""

    def __init__(self, file: Path, journal: Journal) -> None:
        self._file = file
        self._journal = journal
        self._hours = _read(file)
        self._saved = dict(self._hours)
        self._silent: set[str] = set()

    def check(self, senders: Iterable[SenderCounts], now: datetime) -> None:
        """Take in who sent since the last look, and tell once of each who fell silent."""
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
    """The thread that looks once a minute."""

    def __init__(
        self,
        monitoring: Monitoring,
        silence: SilenceDetector,
        clock: Clock,
        metrics_file: Path,
        look_at_storage: Callable[[], object],
        expiry: ExpiryClock,
    ) -> None:
        self._monitoring = monitoring
        self._silence = silence
        self._clock = clock
        self._metrics_file = metrics_file
        self._look_at_storage = look_at_storage
        self._expiry = expiry
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time, and end."""
        self._stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Look once."""
        self._look_at_storage()
        self._expiry.keep()
        self._silence.check(self._monitoring.counters().senders, self._clock.now())
        replace_file(self._metrics_file, self._monitoring.metrics(), 0o640)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(TICK_SECONDS)
            try:
                self.check()
            except OSError as error:
                _logger.warning("what was learned can't be written: %s", error.strerror)
            except Exception:
                # One look that nobody foresaw must not end the watch.
                _logger.exception("the look once a minute failed")


def _read(path: Path) -> dict[str, SenderHours]:
    """Return what an earlier run learned; nothing if that can't be read."""
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
    """Return a moment as the wall clock shows it here, as people keep their hours."""
    return at.astimezone().replace(tzinfo=None)
