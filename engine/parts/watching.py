"""What looks after the engine itself: metrics, health, alerts, and senders that fall silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerting.dispatcher import AlertDispatcher
from engine.metrics_listener import MetricsListener
from engine.model.metrics_address import MetricsAddress
from engine.monitoring import Monitoring
from engine.monitoring_events import MetricsUnavailable
from engine.watch import SilenceWatch, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.clock import Clock
    from engine.journal import Journal
    from engine.model.configuration import Configuration
    from engine.parts.follow_ups import FollowUps
    from engine.parts.intake import Intake
    from engine.parts.storage import Storage
    from engine.settings import EngineSettings
    from engine.view import EngineSnapshot


def start_alerts(
    journal: Journal, clock: Clock, configuration: Callable[[], Configuration], opened: ExitStack
) -> None:
    """Tell others of what goes wrong from now on; `opened` ends that."""
    alerts = AlertDispatcher(journal, clock, lambda: configuration().site.alerts)
    alerts.start()
    opened.callback(alerts.stop)


class Watching:
    """Looks at the other parts; every method is called by the engine."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        intake: Intake,
        follow_ups: FollowUps,
        clock: Clock,
        snapshot: Callable[[], EngineSnapshot],
        dead: Callable[[], tuple[str, ...]],
        configuration: Callable[[], Configuration],
    ) -> None:
        """Connect it; nothing is looked at yet."""
        self._settings = settings
        self._journal = storage.journal
        self.monitoring = Monitoring(
            intake.metrics,
            storage.index,
            clock,
            snapshot,
            dead,
            intake.guard.refusal,
            follow_ups.forwarding.desk.destinations,
            storage.journal.record,
            configuration,
        )
        silence = SilenceWatch(settings.sender_hours_file, storage.journal)
        self._watch = Watch(
            *(self.monitoring, silence, clock, settings.metrics_file),
            *(intake.guard.refusal, storage.expiry),
        )

    def start(self, opened: ExitStack) -> None:
        """Serve metrics and begin to look; `opened` ends that."""
        self._serve_metrics(opened)
        self._watch.start()
        opened.callback(self._watch.stop)

    def _serve_metrics(self, opened: ExitStack) -> None:
        """Let metrics be read over HTTP, if that is wanted; no reception depends on it."""
        if not self._settings.metrics:
            return
        try:
            place = MetricsAddress.parse(self._settings.metrics)
            opened.callback(MetricsListener(place, self.monitoring).close)
        except OSError as error:
            why = error.strerror or str(error)
            self._journal.record(MetricsUnavailable(address=self._settings.metrics, why=why))
