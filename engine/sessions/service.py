"""The parts that work on sessions, built for an engine or for a single command."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from engine.config.store import ConfigurationStore
from engine.dicom.part10 import body_offset
from engine.errors import EngineError, ProcessingFailed
from engine.events.journal import Journal
from engine.host.lock import EngineLock
from engine.host.wakeup import WakeupPipe
from engine.index.database import translate_sqlite_errors
from engine.index.store import SessionIndex
from engine.sessions.adoption import adopt_findings
from engine.sessions.audit import audit
from engine.sessions.context import SessionContext, SessionPolicy
from engine.sessions.folders.staging import Interrupted
from engine.sessions.folders.stored_objects import read_stored, same_data_set
from engine.sessions.ledger import SessionRepository
from engine.sessions.planner import Planner
from engine.sessions.rereading import require_rows, require_rows_of_instance
from engine.sessions.worker import Lifecycle, Pace, SessionWorker
from engine.settings import Durability
from engine.state.routes import StudyRoutes
from engine.state.schema import repair
from engine.storage.areas import Areas
from engine.workers.scripts import ScriptRunner, ScriptVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.index.operations import Plan, Request
    from engine.model.anonymization import Anonymization
    from engine.model.configuration import Configuration
    from engine.model.session import Session
    from engine.sessions.adoption import Adopted
    from engine.sessions.audit import Audit
    from engine.sessions.recovery import Recovery
    from engine.sessions.trash import ExpiryClock
    from engine.settings import EngineSettings
    from engine.storage.scans import StoredObject


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class ProjectScripts:
    """The `engine.sessions.folders.staging.ArchiveScripts` of an engine; for all threads."""

    def __init__(self, runner: ScriptRunner, configuration: Callable[[], Configuration]) -> None:
        self._runner = runner
        self._configuration = configuration
        self._stopping = threading.Event()

    def of(self, project: str) -> Anonymization | None:
        """Return the anonymization of a project; None if it has none."""
        return self._configuration().projects.anonymizations.get(project)

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        """Anonymize a file into one that exists; return whether the object is to be kept."""
        if self._stopping.is_set():
            raise Interrupted
        with _opened(source, os.O_RDONLY) as original, _opened(target, os.O_RDWR) as copy:
            result = self._runner.run_scripts(original, copy, (step,), labels)
            if result.verdict is ScriptVerdict.REJECTED:
                return False
            if body_offset(copy) is None:
                raise ProcessingFailed(f"{step.script_name}: it left no DICOM file")
        return True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Begin no further object inside the block; `run` raises `Interrupted`."""
        self._stopping.set()
        yield
        self._stopping.clear()


_logger = logging.getLogger(__name__)


class SessionService:
    """Builds, archives, moves and deletes the sessions of one data directory."""

    def __init__(
        self,
        settings: EngineSettings,
        index: SessionIndex,
        journal: Journal,
        clock: Clock,
        configuration: Callable[[], Configuration],
        runner: ScriptRunner,
        expiry: ExpiryClock | None = None,
    ) -> None:
        self._configuration = configuration
        self._state_file = settings.state_file
        self.ledger = SessionRepository(index, clock)
        self._scripts = ProjectScripts(runner, configuration)
        self._session_context = SessionContext(
            *(index, self.ledger, areas_of(settings), read_stored, journal, clock),
            *(self._scripts, self._forget_route),
            lambda project: configuration().projects.archive_folder(project),
            same_data_set,
            lambda project: configuration().pet_mr(project),
            lambda: configuration().site.sessions.rerun_script_on_rename,
        )
        stopping = threading.Event()
        pace = Pace(clock, index.recorded, stopping.wait)
        self._lifecycle = Lifecycle(self._session_context, self._policy, expiry, pace)
        self._wakeup_pipe = WakeupPipe(settings.wakeup_file)
        index.rows_wanted = self._read_again_soon
        self._timer = SessionWorker(self._lifecycle, self._wakeup_pipe, stopping)

    @property
    def recovery(self) -> Recovery:
        """The sessions that an earlier run left open."""
        return self._lifecycle.recovery

    @translate_sqlite_errors()
    def begin(self, *, clean: bool) -> None:
        """Complete the plans of an earlier run, before any object arrives.

        Raises:
            StorageUnusable: if the index can't be read or written.
        """
        self._lifecycle.begin(clean=clean)

    @translate_sqlite_errors()
    def recover(self) -> None:
        """Recover the sessions that an earlier run left open, on this thread.

        Raises:
            StorageUnusable: if the index can't be read or written.
        """
        self._lifecycle.recover()

    def folder(self, session: Session) -> Path:
        """Return the folder of a session."""
        return self._session_context.areas.folder(session)

    @translate_sqlite_errors()
    def require_rows(self, session_id: int) -> None:
        """Read the rows of a session's objects again if they were removed; may take seconds.

        Raises:
            SessionError: if its folder can't be read.
        """
        require_rows(self._session_context, session_id)

    @translate_sqlite_errors()
    def require_rows_of_instance(self, sop_instance_uid: str) -> None:
        """Do the same for the sessions that may have a SOP instance, by its UID as it came."""
        require_rows_of_instance(self._session_context, sop_instance_uid)

    def read(self, folder: Path, file: str) -> StoredObject:
        """Read an object back; raises as `ReadStored` does."""
        return self._session_context.read(folder, file)

    def preview(self, session: Session, request: Request) -> Plan | tuple[str, ...]:
        """Return what archiving a session would come to; raises as `Planner.plan` does."""
        return Planner(self._session_context).preview(session, request)

    def run_requests(self) -> None:
        """Carry out queued requests on this thread."""
        self._lifecycle.run_requests()

    def audit(self, progress: Callable[[int, int], object], jobs: int | None = None) -> Audit:
        """Compare index and disk, as `engine.sessions.audit` does, without an engine."""
        at = self._session_context
        return audit(at.index, at.ledger, at.areas, live=False, progress=progress, jobs=jobs)

    @translate_sqlite_errors()
    def adopt(
        self, found: Audit, progress: Callable[[int, int], object], jobs: int | None = None
    ) -> Adopted:
        """Change the index to match the disk, as `adopt_findings` does.

        Raises:
            StorageUnusable: if the index can't be written.
        """
        return adopt_findings(self._session_context, found, progress, jobs)

    def start(self) -> None:
        """Start the thread that works on sessions."""
        self._timer.start()

    def notify(self) -> None:
        """Wake the thread, so that requests and changed settings are seen at once."""
        self._wakeup_pipe.notify()

    def adopt_soon(self, session_ids: Sequence[int], inodes: Collection[int]) -> None:
        """Give some objects a row if they lack one, on the thread of the sessions.

        Args:
            session_ids: the sessions that they may be in.
            inodes: of the objects.
        """
        self._lifecycle.adopt_soon(session_ids, inodes)
        self.notify()

    def _read_again_soon(self, session_ids: Sequence[int]) -> None:
        self._lifecycle.read_again_soon(session_ids)
        self.notify()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._timer.is_alive()

    def stop(self) -> None:
        """End the thread after the step that it is working on."""
        # Else a stop would wait until all objects of a large session are anonymized.
        with self._scripts.held_back():
            self._timer.stop()

    def close(self) -> None:
        """Close the wake-up pipe."""
        self._wakeup_pipe.close()

    def _forget_route(self, session: Session) -> None:
        """Remove the route of a study whose last session is archived: it has served its purpose."""
        study, path = session.study_instance_uid, self._state_file
        if not path.exists() or self.ledger.waits_in_prearchive(study):
            return
        try:
            with StudyRoutes(path) as routes:
                routes.fulfil(study)
        except EngineError as error:
            # The session is archived all the same; the route can be deleted by hand.
            _logger.warning("the route of an archived study is not removed: %s", error.detail)

    def _policy(self) -> SessionPolicy:
        configuration = self._configuration()
        sessions = configuration.site.sessions
        return SessionPolicy(
            idle_seconds=sessions.idle_seconds,
            trash_days=sessions.trash_days,
            archive_code=configuration.projects.archive_code,
            direct_merge=configuration.direct_merge,
            index_days=sessions.index_days,
        )


@contextmanager
def locked(settings: EngineSettings, clock: Clock) -> Iterator[None]:
    """Keep engines from a data directory inside the block.

    Raises:
        AlreadyRunning: if one runs.
    """
    lock = EngineLock.acquire(settings.lock_file, clock)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def sessions_without_engine(settings: EngineSettings, clock: Clock) -> Iterator[SessionService]:
    """Build the session service for one command, on a data directory without a running engine.

    Raises:
        AlreadyRunning: if one does.
        ConfigurationError: if the configuration file is not acceptable.
        StorageUnusable: if the index can't be used.
    """
    # The lock before anything is read: an engine that starts meanwhile would change it.
    with (
        locked(settings, clock),
        opened_sessions(settings, clock, settings.index_file) as session_service,
    ):
        yield session_service


@contextmanager
def opened_sessions(
    settings: EngineSettings, clock: Clock, index_file: Path, *, durable: bool = True
) -> Iterator[SessionService]:
    """Build the session service for a data directory that is `locked`; raises as above.

    Args:
        settings: of the data directory.
        clock: the time.
        index_file: the index to use.
        durable: False if a power cut may undo what is written, whatever the settings say.
    """
    with ExitStack() as resources:
        store = ConfigurationStore(settings.config_file, clock=clock, in_use=settings.in_use_files)
        configuration = store.load()
        journal = Journal(
            clock, settings.event_log, settings.log_level, audit_file=settings.audit_log
        )
        resources.callback(journal.close)
        repair(settings.state_file)
        index = SessionIndex(index_file, durable=durable and settings.durability is Durability.FULL)
        resources.callback(index.close)
        runner = ScriptRunner(settings.state_file)
        resources.callback(runner.close)
        session_service = SessionService(
            settings, index, journal, clock, lambda: configuration, runner
        )
        resources.callback(session_service.close)
        session_service.begin(clean=index.begin_run())
        session_service.recover()
        index.confirm_run()
        yield session_service


def areas_of(settings: EngineSettings) -> Areas:
    """Return the trees of a data directory."""
    return Areas(settings.prearchive_dir, settings.archive_dir, settings.trash_dir)
