"""What follows once objects are stored: sessions are kept, objects forwarded, programs run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import LeftoversSwept, ObjectsAdopted
from engine.forwarding.forwarding import Forwarding
from engine.programs.programs import Programs
from engine.session_keeping import SessionKeeping, areas_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.clock import Clock
    from engine.model.configuration import Configuration
    from engine.parts.storage import Storage
    from engine.settings import EngineSettings


class FollowUps:
    """The threads that work on what is stored; every method is called by the engine."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        clock: Clock,
        configuration: Callable[[], Configuration],
        opened: ExitStack,
    ) -> None:
        """Open their queues; `opened` closes them."""
        self._storage = storage
        index, journal, areas = storage.index, storage.journal, areas_of(settings)
        self.keeping = SessionKeeping(
            settings, index, journal, clock, configuration, storage.runner, storage.expiry
        )
        opened.callback(self.keeping.close)
        self.forwarding = Forwarding(
            settings, index, areas, journal, clock, configuration, storage.expiry
        )
        opened.callback(self.forwarding.close)
        ledger = self.keeping.ledger
        self.programs = Programs(settings, index, ledger, areas, journal, configuration)
        opened.callback(self.programs.close)

    def recover(self) -> None:
        """Complete what an earlier engine left, before any object arrives."""
        record = self._storage.journal.record
        swept = self._storage.incoming.sweep()
        if swept:
            record(LeftoversSwept(files=swept))
        recovered = self.keeping.recover(clean=self._storage.index.begin_run())
        if recovered is not None and recovered.objects:
            record(ObjectsAdopted(objects=recovered.objects, sessions=recovered.sessions))

    def start(self, opened: ExitStack) -> None:
        """Start the threads; `opened` ends them."""
        for part in (self.keeping, self.forwarding, self.programs):
            part.start()
            opened.callback(part.stop)

    def apply(self, configuration: Configuration) -> None:
        """Follow a configuration that came into force."""
        self.forwarding.apply(configuration)
        self.programs.ring()
        self.keeping.ring()
