"""Builds the threads beside reception: sessions, forwarding, commands, metrics, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import LeftoversSwept
from engine.events.delivery import QueueSetAside
from engine.monitoring.alerts.dispatcher import AlertDispatcher
from engine.monitoring.alerts.waiting import WaitingAlerts
from engine.monitoring.monitoring import Monitoring
from engine.monitoring.watch import SilenceDetector, WatchThread
from engine.processing.command.commands import Programs
from engine.processing.forward.forwarding import Forwarding
from engine.service.facts import facts_of
from engine.sessions.service import SessionService, areas_of
from engine.state.schema import Damages

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.api import EngineSnapshot
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.service.intake import Intake
    from engine.service.storage import Storage
    from engine.settings import EngineSettings


class PostStoreWorkers:
    """The threads that work on what is stored; every method is called by the engine."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        clock: Clock,
        configuration: Callable[[], Configuration],
        resources: ExitStack,
    ) -> None:
        """Open their queues; `resources` closes them."""
        self._storage = storage
        self._state_file = settings.state_file
        index, journal, areas = storage.index, storage.journal, areas_of(settings)
        self.session_service = SessionService(
            settings, index, journal, clock, configuration, storage.runner, storage.expiry
        )
        resources.callback(self.session_service.close)
        # Before `recover`, which adds rows for what a crash left: they are to be forwarded too.
        self.forwarding = Forwarding(
            *(settings, index, areas, journal, clock, configuration, storage.expiry),
            self.session_service.require_rows,
        )
        resources.callback(self.forwarding.close)
        index.followed_to = self.forwarding.followed_to
        ledger = self.session_service.ledger
        self.programs = Programs(settings, index, ledger, areas, journal, configuration)
        resources.callback(self.programs.close)

    def recover(self) -> None:
        """Complete what must not meet arriving objects; open sessions are recovered behind."""
        record = self._storage.journal.record
        swept = self._storage.incoming.sweep()
        if swept:
            record(LeftoversSwept(files=swept))
        self.session_service.begin(clean=self._storage.index.begin_run())

    def start(self, resources: ExitStack) -> None:
        """Start the threads; `resources` ends them."""
        self._tell_damages()
        for part in (self.session_service, self.forwarding, self.programs):
            part.start()
            resources.callback(part.stop)

    def _tell_damages(self) -> None:
        """Report files found damaged since the last start, perhaps by a command."""
        with Damages(self._state_file) as damages:
            for damage in damages.all():
                self._storage.journal.record(
                    QueueSetAside(kept_as=damage.kept_as, rows=damage.rows)
                )
                # After the record: a kill in between reports it twice, not never.
                damages.forget(damage)

    def apply(self, before: Configuration | None, now: Configuration) -> None:
        """Follow a configuration that came into force; `before` is None at the start."""
        if before is None or before.processors != now.processors:
            self.forwarding.apply(now)
            self.programs.notify()
        if before is None or (before.site, before.projects) != (now.site, now.projects):
            self.session_service.notify()


def start_alerts(
    settings: EngineSettings,
    journal: Journal,
    clock: Clock,
    configuration: Callable[[], Configuration],
    resources: ExitStack,
) -> None:
    """Start the delivery of alerts; `resources` ends it."""
    outbox = resources.enter_context(WaitingAlerts(settings.state_file))
    alerts = AlertDispatcher(journal, clock, lambda: configuration().site.alerts, outbox)
    alerts.start()
    resources.callback(alerts.stop)


class MonitoringService:
    """Metrics, health and silent senders; every method is called by the engine."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        intake: Intake,
        follow_ups: PostStoreWorkers,
        clock: Clock,
        snapshot: Callable[[], EngineSnapshot],
        dead: Callable[[], tuple[str, ...]],
        configuration: Callable[[], Configuration],
        commitments_waiting: Callable[[], int],
    ) -> None:
        """Build the parts; nothing runs yet."""
        self.monitoring = Monitoring(
            intake.metrics,
            storage.index,
            clock,
            snapshot,
            dead,
            follow_ups.forwarding.desk.destinations,
            storage.journal.record,
            configuration,
            commitments_waiting,
            lambda counters: facts_of(
                settings, configuration(), counters, storage.expiry, clock.now()
            ),
        )
        silence = SilenceDetector(settings.sender_hours_file, storage.journal)
        self._watch = WatchThread(
            *(self.monitoring, silence, clock, settings.metrics_file),
            *(intake.guard.refusal, storage.expiry, storage.journal.write_sums),
        )

    def start(self, resources: ExitStack) -> None:
        """Start the thread; `resources` ends it."""
        self._watch.start()
        resources.callback(self._watch.stop)
