"""The alert thread: takes events from any thread without blocking it, and delivers alerts."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from engine.errors import NotDelivered
from engine.events.monitoring import AlertFailed
from engine.monitoring.alerts.delivery import deliver
from engine.monitoring.alerts.throttle import AlertThrottle, concerns

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import RecordedEvent
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.alerts import AlertSettings, AlertTarget
    from engine.monitoring.alerts.throttle import Alert

EVENTS_WAITING = 1_000
"""Further ones are dropped: alerts must not cost memory."""
RETRY_SECONDS = (1.0, 5.0)
"""How long after a failure it is tried again, before it is given up."""
MOMENT_SECONDS = 2.0
"""How long a stop waits for what is being told."""
_END = None

_logger = logging.getLogger(__name__)


class AlertDispatcher:
    """Listens to a journal and tells what the settings in force say."""

    def __init__(
        self, journal: Journal, clock: Clock, settings: Callable[[], AlertSettings]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._ledger = AlertThrottle()
        self._waiting: queue.Queue[RecordedEvent | None] = queue.Queue(EVENTS_WAITING)
        self._stopping, self._cut_off = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._journal.follow(self._offer)
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more; what is being told is given a moment, then a command is ended."""
        self._stopping.set()
        try:
            self._waiting.put_nowait(_END)
        except queue.Full:
            _logger.debug("the thread sees that it is to stop at its next event")
        self._thread.join(MOMENT_SECONDS)
        self._cut_off.set()
        self._thread.join(MOMENT_SECONDS)

    def _offer(self, recorded: RecordedEvent) -> None:
        """Take an event that may matter; returns at once."""
        if concerns(recorded.event):
            try:
                self._waiting.put_nowait(recorded)
            except queue.Full:
                _logger.warning("too many events at once, one is not looked at for alerts")

    def _run(self) -> None:
        while (recorded := self._waiting.get()) is not _END and not self._stopping.is_set():
            try:
                self._take(recorded)
            except Exception:
                # What one alert does must not silence all others.
                _logger.exception("an alert failed")

    def _take(self, recorded: RecordedEvent) -> None:
        settings = self._settings()
        now = self._clock.monotonic()
        alert = self._ledger.judge(recorded, now, settings.repeat_seconds)
        if alert is None:
            return
        for target in settings.targets:
            if alert.kind in target.kinds and not self._stopping.is_set():
                self._report(target, alert)

    def _report(self, target: AlertTarget, alert: Alert) -> None:
        for wait in (*RETRY_SECONDS, None):
            try:
                return deliver(target, alert, self._cut_off.is_set)
            except NotDelivered as error:
                if wait is None or self._stopping.wait(wait):
                    self._journal.record(AlertFailed(target=target.name, why=error.detail))
                    return None
        return None
