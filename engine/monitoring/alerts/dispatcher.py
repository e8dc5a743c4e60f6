"""The alert thread: takes events from any thread without blocking it, and delivers alerts."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import NotDelivered, StorageUnusable
from engine.events.monitoring import AlertFailed
from engine.monitoring.alerts.delivery import deliver
from engine.monitoring.alerts.throttle import AlertThrottle, concerns
from engine.monitoring.alerts.waiting import ALL, MOST_WAITING, matter_of
from engine.state.outbox import RetryRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.events import RecordedEvent
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.alerts import AlertSettings, AlertTarget
    from engine.monitoring.alerts.throttle import Alert
    from engine.monitoring.alerts.waiting import Matter, WaitingAlert, WaitingAlerts

EVENTS_WAITING = 1_000
"""Further ones are dropped: alerts must not cost memory."""
RETRY_SECONDS = (1.0, 5.0)
"""How long after a failure a new alert is tried again, before the failure is reported."""
LONGEST_SECONDS = 3600.0
"""How long at most it waits then for further attempts."""
MAX_AGE = timedelta(days=1)
"""How long it is tried."""
PASS_SECONDS = 60.0
"""Between two attempts at a target that fails, whatever else waits for it."""
MOMENT_SECONDS = 2.0
"""How long a stop waits for an alert that is being delivered."""
_END = None

_logger = logging.getLogger(__name__)


class AlertDispatcher:
    """Listens to a journal and delivers alerts as the settings in force say.

    An alert that can't be delivered waits in the outbox, also over a restart. After a kill in the
    middle of it, it is delivered twice.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        settings: Callable[[], AlertSettings],
        outbox: WaitingAlerts,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._outbox = outbox
        self._ledger = AlertThrottle()
        self._delivered: set[int] = set()
        """Items that are still in the outbox because the storage fails: nobody is told twice."""
        self._halted = ""
        """Why the outbox can't be used, as it was logged last."""
        self._waiting: queue.Queue[RecordedEvent | None] = queue.Queue(EVENTS_WAITING)
        self._stopping, self._cut_off = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._journal.follow(self._offer)
        self._thread.start()

    def stop(self) -> None:
        """Deliver nothing more; a delivery in progress has a moment, then its command is ended."""
        self._stopping.set()
        try:
            self._waiting.put_nowait(_END)
        except queue.Full:
            _logger.debug("the thread sees that it is to stop at its next event")
        self._thread.join(MOMENT_SECONDS)
        self._cut_off.set()
        self._thread.join(MOMENT_SECONDS)

    def _offer(self, recorded: RecordedEvent) -> None:
        """Queue an event that may need an alert; returns at once."""
        if concerns(recorded.event):
            try:
                self._waiting.put_nowait(recorded)
            except queue.Full:
                _logger.warning("too many events at once, one is not looked at for alerts")

    def _run(self) -> None:
        next_pass = self._attempt(self._begin)
        while not self._stopping.is_set():
            recorded, is_due = self._next_event(next_pass)
            if is_due:
                next_pass = self._attempt(self._deliver_due)
            elif recorded is _END:
                return
            else:
                taken = self._attempt(partial(self._take, recorded))
                next_pass = min(filter(None, (taken, next_pass)), default=None)

    def _next_event(self, next_pass: float | None) -> tuple[RecordedEvent | None, bool]:
        """Wait for an event, and for a moment; return whether that has come, however many wait."""
        left = None if next_pass is None else next_pass - self._clock.monotonic()
        if left is not None and left <= 0:
            return _END, True
        try:
            return self._waiting.get(timeout=left), False
        except queue.Empty:
            return _END, True

    def _attempt(self, step: Callable[[], object]) -> float | None:
        """Do something, and return when something is due next, monotonic; None if nothing waits."""
        seconds: float | None = PASS_SECONDS
        try:
            step()
            seconds = self._idle_seconds()
        except StorageUnusable as error:
            self._log_halt(error)
        except Exception:
            # What one alert does must not silence all others.
            _logger.exception("an alert failed")
        return None if seconds is None else self._clock.monotonic() + seconds

    def _log_halt(self, error: StorageUnusable) -> None:
        """Log once for which reason the outbox can't be used."""
        if error.detail != self._halted:
            self._halted = error.detail
            _logger.warning("alerts that fail are not kept, nor tried again: %s", error.detail)

    def _idle_seconds(self) -> float | None:
        if not self._outbox.items():
            return None
        due_at = self._outbox.next_due(ALL)
        left = (due_at - self._clock.now()).total_seconds() if due_at else 0.0
        # A time further ahead was noted by a clock that was ahead.
        return min(left, LONGEST_SECONDS) if left > 0 else PASS_SECONDS

    def _begin(self) -> None:
        """Try at once what an earlier run could not deliver."""
        self._outbox.forget_waits()
        self._deliver_due()

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
        """Deliver a new alert; before it what waits of the same matter, such as what it ends."""
        matter = matter_of(target.name, alert)
        try:
            dropped = self._outbox.put(target.name, alert, self._clock.now())
            waiting = [w for w in self._items() if matter_of(w.target, w.alert) == matter]
        except StorageUnusable as error:
            # The disk may be what the alert is about.
            self._log_halt(error)
            why = self._try(target, alert, RETRY_SECONDS)
        else:
            for gone in dropped:
                self._note_failure(gone.target, "too many alerts wait, the oldest was dropped")
            why = next(filter(None, (self._deliver(target, w, RETRY_SECONDS) for w in waiting)), "")
        if why:
            self._note_failure(target.name, why)

    def _deliver_due(self) -> None:
        """Try what is due: all of a target until one fails, and nothing before what it follows."""
        now = self._clock.now()
        self._forget_delivered()
        self._give_up(now)
        self._halted = ""
        targets = {target.name: target for target in self._settings().targets}
        latest = now + timedelta(seconds=LONGEST_SECONDS)
        due = {waiting.id for waiting in self._outbox.due(ALL, now, MOST_WAITING, latest)}
        failing: set[str] = set()
        held_up: set[Matter] = set()
        for waiting in self._items():
            target, matter = targets.get(waiting.target), matter_of(waiting.target, waiting.alert)
            if self._stopping.is_set():
                return
            if target is None or waiting.alert.kind not in target.kinds:
                self._outbox.end(waiting.id)
            elif waiting.id not in due or target.name in failing or matter in held_up:
                held_up.add(matter)
            elif self._deliver(target, waiting):
                failing.add(target.name)
                held_up.add(matter)

    def _give_up(self, now: datetime) -> None:
        """Drop alerts that are too old, and report that once for each target."""
        if not self._outbox.expire(ALL, now - MAX_AGE, "too old", now):
            return
        counts = Counter(waiting.target for waiting in self._outbox.failed(ALL, MOST_WAITING))
        self._outbox.drop(ALL)
        hours = MAX_AGE.total_seconds() / 3600
        for target, count in counts.items():
            self._note_failure(target, f"{count} of its alerts dropped after {hours:.0f} hours")

    def _deliver(
        self, target: AlertTarget, waiting: WaitingAlert, waits: tuple[float, ...] = ()
    ) -> str:
        """Deliver an alert of the outbox, or let it wait; return why it could not be delivered."""
        why = self._try(target, waiting.alert, waits)
        try:
            if why:
                now, rule = self._clock.now(), RetryRule(LONGEST_SECONDS)
                attempts, chance = waiting.attempts + 1, random.random()
                self._outbox.try_again(waiting.id, attempts, why, now, rule, chance)
            else:
                self._delivered.add(waiting.id)
                self._forget_delivered()
        except StorageUnusable as error:
            self._log_halt(error)
        return why

    def _items(self) -> list[WaitingAlert]:
        return [item for item in self._outbox.items() if item.id not in self._delivered]

    def _forget_delivered(self) -> None:
        if self._delivered:
            self._outbox.end(*self._delivered)
            self._delivered.clear()

    def _try(self, target: AlertTarget, alert: Alert, waits: tuple[float, ...]) -> str:
        """Deliver an alert, again after each of some seconds; return why that failed, if it did."""
        for wait in (*waits, None):
            try:
                deliver(target, alert, self._cut_off.is_set)
            except NotDelivered as error:
                if wait is None or self._stopping.wait(wait):
                    return error.detail
            else:
                break
        return ""

    def _note_failure(self, target: str, why: str) -> None:
        self._journal.record(AlertFailed(target=target, why=why))
