"""Implements `MonitoringView`: counters, metrics and health of a running engine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from engine.api import ReceiverState
from engine.api.status import Health
from engine.config.masking import revealed_target
from engine.errors import EngineError, NotDelivered
from engine.events import ImportBegun, ImportEnded, SecretsShown, counted
from engine.events.monitoring import AlertTried
from engine.host.terminal import visible
from engine.index.listing import WorkWaiting, work_waiting
from engine.metrics import QueueCounts
from engine.monitoring.advice import advise
from engine.monitoring.alerts.delivery import send_test_alert
from engine.monitoring.exposition import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.api import EngineSnapshot
    from engine.api.forwarding import DestinationStatus
    from engine.api.status import Advice, ImportCounts
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.index.store import SessionIndex
    from engine.metrics import Counters, Metrics
    from engine.model.alerts import AlertTarget
    from engine.model.configuration import Configuration
    from engine.monitoring.advice import Facts


WORK_LATE_SECONDS = 900.0
"""Work on sessions is late if one has waited for longer. It is slow while objects arrive."""
LAG_SECONDS = 30.0
"""The index lags if an object's row has waited for longer."""


def judge(
    snapshot: EngineSnapshot,
    counters: Counters,
    dead: Sequence[str],
    advice: Sequence[Advice] = (),
) -> Health:
    """Return the engine's health.

    Args:
        snapshot: what the console sees.
        counters: the counters, for the lag of the index.
        dead: the parts that should run and do not.
        advice: what is unwise.
    """
    enabled = [status for status in snapshot.receivers if status.receiver.enabled]
    listening = sum(status.state is ReceiverState.LISTENING for status in enabled)
    problems = tuple(_problems(snapshot, counters, dead))
    notes = () if snapshot.recovery is None else (str(snapshot.recovery),)
    # Not if all receivers are off on purpose: that is no state that another dock would mend.
    serves = bool(listening or not enabled)
    ready = not dead and not snapshot.storage.refusal and serves
    return Health(not dead, listening, len(enabled), problems, notes, tuple(advice), ready)


def _problems(snapshot: EngineSnapshot, counters: Counters, dead: Sequence[str]) -> Iterator[str]:
    yield from (f"{part} does not run" for part in dead)
    if snapshot.storage.refusal:
        yield f"every caller is rejected: {snapshot.storage.refusal}"
    if snapshot.configuration_problem:
        yield "the configuration file is refused, the last good settings are in force"
    for status in snapshot.receivers:
        if status.failure is not None:
            yield f"{status.receiver.label} can't listen: {status.failure.reason}"
    # A batch takes 50 ms: such a wait means that the index can't be written.
    if counters.longest_wait_seconds > LAG_SECONDS:
        yield f"the index is {counters.longest_wait_seconds:.0f} s behind"
    if counters.longest_session_wait_seconds > WORK_LATE_SECONDS:
        minutes = counters.longest_session_wait_seconds / 60
        waiting = counted(counters.sessions_waiting, "session")
        verb = "waits" if counters.sessions_waiting == 1 else "wait"
        yield f"{waiting} {verb} to be worked on, the first for {minutes:.0f} min"
    if counters.rows_lost:
        lost = counted(counters.rows_lost, "row")
        verb = "is" if counters.rows_lost == 1 else "are"
        yield f"{lost} of the index {verb} lost; stop the engine and run: dicomdock check --adopt"


_LONGEST_COMMAND = 40


class Monitoring:
    """Answers from the state of the engine's parts; every method may be called from any thread."""

    def __init__(
        self,
        metrics: Metrics,
        index: SessionIndex,
        clock: Clock,
        snapshot: Callable[[], EngineSnapshot],
        dead: Callable[[], tuple[str, ...]],
        destinations: Callable[[], Sequence[DestinationStatus]],
        report: Callable[[Event], object],
        configuration: Callable[[], Configuration],
        commitments_waiting: Callable[[], int] = lambda: 0,
        facts: Callable[[Counters], Facts] | None = None,
    ) -> None:
        self._metrics = metrics
        self._index = index
        self._clock = clock
        self._snapshot = snapshot
        self._dead = dead
        self._destinations = destinations
        self._report = report
        self._configuration = configuration
        self._commitments_waiting = commitments_waiting
        self._facts = facts

    def counters(self) -> Counters:
        """Return the counters since the engine started, and those of the index."""
        backlog, work = self._index.backlog(), self.work_waiting()
        oldest = datetime.fromisoformat(backlog.oldest_at) if backlog.oldest_at else None
        return replace(
            self._metrics.counters(),
            sessions=self._index.counts_by_status(),
            queues=self._queues(),
            commitments_waiting=self._commitments(),
            rows_waiting=backlog.rows,
            rows_lost=backlog.lost,
            longest_wait_seconds=self._seconds_since(oldest),
            sessions_waiting=work.sessions,
            longest_session_wait_seconds=self._seconds_since(work.since),
        )

    def work_waiting(self) -> WorkWaiting:
        """Return the work on sessions that waits; none while the index can't be read."""
        idle = timedelta(seconds=self._configuration().site.sessions.idle_seconds)
        with suppress(EngineError):
            return work_waiting(self._index, self._clock.now(), idle)
        return WorkWaiting(0, None)

    def _seconds_since(self, at: datetime | None) -> float:
        # Not below zero: the clock may have been set back since.
        return max(0.0, (self._clock.now() - at).total_seconds()) if at else 0.0

    def _queues(self) -> tuple[QueueCounts, ...]:
        """Return the queues of forward copies; none while they can't be read."""
        with suppress(EngineError):
            return tuple(
                QueueCounts(d.label, d.queued, d.failed, d.sent) for d in self._destinations()
            )
        return ()

    def _commitments(self) -> int:
        """Return the storage commitments that wait; 0 while they can't be read."""
        with suppress(EngineError):
            return self._commitments_waiting()
        return 0

    def metrics(self) -> bytes:
        """Return everything as Prometheus text."""
        return render(self._snapshot(), self.counters())

    def health(self) -> Health:
        """Return the health, with all problems and all advice."""
        counters = self.counters()
        advice: tuple[Advice, ...] = ()
        if self._facts is not None:
            # A data directory that is not there now is among the problems.
            with suppress(OSError):
                advice = advise(self._facts(counters))
        return judge(self._snapshot(), counters, self._dead(), advice)

    def try_alert(self, target: AlertTarget, actor: str) -> None:
        """Send a test alert to a target, and record who did; masks stand for its secrets."""
        meant = revealed_target(target, self._configuration().site)
        try:
            send_test_alert(meant, self._clock.now())
        except NotDelivered as error:
            # A test that fails is recorded as well: it has called the target.
            self._report(AlertTried(target=target.name, by=actor, why=error.detail))
            raise
        self._report(AlertTried(target=target.name, by=actor))

    def note_secrets_shown(self, what: str, actor: str) -> None:
        """Record in the journal that secrets of the configuration file are shown."""
        self._report(SecretsShown(by=actor, what=visible(what[:_LONGEST_COMMAND])))

    def note_import(
        self, receiver: str, calling_ae_title: str, actor: str, counts: ImportCounts | None
    ) -> None:
        """Record in the journal that an import of files begins, or has ended."""
        label, calling = receiver[:_LONGEST_COMMAND], calling_ae_title[:_LONGEST_COMMAND]
        begun = ImportBegun(receiver=visible(label), calling_ae_title=visible(calling), by=actor)
        if counts is None:
            self._report(begun)
            return
        self._report(
            ImportEnded(
                receiver=begun.receiver,
                calling_ae_title=begun.calling_ae_title,
                by=actor,
                stored=counts.stored,
                duplicates=counts.duplicates,
                filtered=counts.filtered,
                failed=counts.failed,
            )
        )

    def is_alive(self) -> bool:
        """Tell whether every part that must run does, without waiting for a disk."""
        self._metrics.totals()  # waits for ever if the lock of the metrics is never released
        return not self._dead()
