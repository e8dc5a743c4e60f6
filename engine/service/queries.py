"""Builds the groups that answer questions about objects, scripts, sessions and history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.index.reader import IndexReader
from engine.queries.commitments import CommitmentQueries
from engine.queries.history import HistoryQueries
from engine.queries.objects import ObjectQueries
from engine.queries.scripts import ScriptQueries
from engine.queries.senders import SenderQueries
from engine.queries.sessions import SessionQueries
from engine.queries.study_routes import StudyRouteQueries

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.host.clock import Clock
    from engine.reception.associations import Associations
    from engine.service.intake import Intake
    from engine.service.processors import ConfigurationAccess
    from engine.service.storage import Storage
    from engine.sessions.service import SessionService
    from engine.settings import EngineSettings


class ViewGroups:
    """The groups of `EngineView` that read the index and the files."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        intake: Intake,
        session_service: SessionService,
        associations: Associations,
        clock: Clock,
        access: ConfigurationAccess,
        notify_commitments: Callable[[], object],
        resources: ExitStack,
    ) -> None:
        """Build them; `resources` closes them."""
        # In SQLite's WAL mode a connection of its own neither waits for the writer nor stops it.
        reader = IndexReader(settings.index_file)
        resources.callback(reader.close)
        router, journal, current = intake.router, storage.journal, access.current
        self.objects = ObjectQueries(session_service, reader, router, intake.phi_access_log)
        resources.callback(self.objects.close)
        self.scripts = ScriptQueries(self.objects, router, current)
        self.sessions = SessionQueries(session_service, reader, journal, current, intake.trace_key)
        self.history = HistoryQueries(storage.store, current, access.repairing, access.apply)
        self.senders = SenderQueries(reader, associations, clock)
        self.commitments = CommitmentQueries(
            settings.state_file, clock, journal.record, notify_commitments
        )
        self.study_routes = StudyRouteQueries(settings.state_file, current, clock, journal.record)
