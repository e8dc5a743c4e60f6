"""What answers a console about objects, scripts, sessions, history and senders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.answers.history import HistoryAnswers
from engine.answers.objects import ObjectAnswers
from engine.answers.scripts import ScriptAnswers
from engine.answers.senders import SenderAnswers
from engine.answers.sessions import SessionAnswers
from engine.answers.study_routes import StudyRouteAnswers
from engine.sessions.reader import IndexReader

if TYPE_CHECKING:
    from contextlib import ExitStack

    from engine.clock import Clock
    from engine.parts.intake import Intake
    from engine.parts.storage import Storage
    from engine.processor_keeping import ConfigurationAccess
    from engine.reception.associations import Associations
    from engine.session_keeping import SessionKeeping
    from engine.settings import EngineSettings


class Answers:
    """The groups of `EngineView` that read the index and the files."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        intake: Intake,
        keeping: SessionKeeping,
        associations: Associations,
        clock: Clock,
        access: ConfigurationAccess,
        opened: ExitStack,
    ) -> None:
        """Connect them; `opened` closes them."""
        reader = IndexReader(settings.index_file)
        opened.callback(reader.close)
        router, journal, current = intake.router, storage.journal, access.current
        self.objects = ObjectAnswers(keeping, reader, router, intake.showings)
        opened.callback(self.objects.close)
        self.scripts = ScriptAnswers(self.objects, router, current)
        self.sessions = SessionAnswers(keeping, reader, journal, current)
        self.history = HistoryAnswers(storage.store, current, access.changing, access.apply)
        self.senders = SenderAnswers(reader, associations, clock)
        self.study_routes = StudyRouteAnswers(
            settings.study_routes_file, current, clock, journal.record
        )
