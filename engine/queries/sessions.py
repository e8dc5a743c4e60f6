"""`SessionsView` of an engine in this process: pages, details, and requests for the lifecycle."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.api.sessions import (
    ArchivePreview,
    ScanSummary,
    SessionDetail,
    SessionMoment,
    SessionOrder,
    SessionOutcome,
    WaitingRequest,
)
from engine.errors import UnreadableObject
from engine.events.sessions import SessionCancelled, SessionRebuildAsked
from engine.index import contents
from engine.index.contents import ScanRow
from engine.index.database import translate_sqlite_errors
from engine.index.finding import find
from engine.index.listing import session_page
from engine.index.operations import OperationKind, Plan, Request
from engine.index.reader import sessions_by_project
from engine.model.session import (
    UNFINISHED,
    ObjectState,
    SessionAction,
    SessionStatus,
    possible_actions,
)
from engine.queries.session_edits import archives_itself, preview_edit, require_project
from engine.sessions.context import project_of
from engine.sessions.folders.stored_objects import scripts_of
from engine.sessions.reconcile import is_text
from engine.sessions.trash import put_into_trash_at
from engine.storage.files import object_names
from engine.storage.scans import natural_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from engine.api.sessions import EditPreview, Found, PastAction, ScanObjectPage, SessionPage
    from engine.events.journal import Journal
    from engine.index.reader import IndexReader
    from engine.index.session_reader import AskedOperation
    from engine.index.traces import TraceKey
    from engine.model.configuration import Configuration
    from engine.model.queries import SessionQuery
    from engine.model.session import Session
    from engine.sessions.service import SessionService
    from engine.storage.scans import ReadStored

LONGEST_WAIT_SECONDS = 60.0
_MOST_SCANS_READ = 200
"""One object of each scan is read for its description, of so many scans at most."""
_MOST_EVENTS = 5_000
ROWS_REMOVED = "rows of its objects removed; they are read again from its files when needed"
_ACTIONS = {OperationKind.REMOVE_SCANS: SessionAction.EDIT}
_AUTOMATIC_EVENTS = (OperationKind.FALL_BACK, OperationKind.SEPARATE)


class SessionQueries:
    """Reads through its own connection to the index; for all threads."""

    def __init__(
        self,
        session_service: SessionService,
        reader: IndexReader,
        journal: Journal,
        configuration: Callable[[], Configuration],
        trace_key: TraceKey,
    ) -> None:
        self._trace_key = trace_key
        self._session_service = session_service
        self._reader = reader
        self._journal = journal
        self._configuration = configuration

    def list(
        self,
        query: SessionQuery,
        *,
        order: SessionOrder = SessionOrder.CHANGED,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SessionPage:
        """Return a page of sessions, with the totals of all that match."""
        return session_page(
            self._reader, query, order, descending=descending, offset=offset, limit=limit
        )

    @translate_sqlite_errors()
    def by_project(self) -> Mapping[str, int]:
        """Return how many sessions each project has."""
        with self._reader.reading() as connection:
            return sessions_by_project(connection)

    @translate_sqlite_errors()
    def find(self, text: str) -> Found:
        """Look in prearchive, archive and trash."""
        with self._reader.reading() as connection:
            return find(connection, self._trace_key, text)

    @translate_sqlite_errors()
    def detail(self, session_id: int) -> SessionDetail:
        """Return everything that the console shows of a session."""
        with self._reader.reading() as connection:
            session = contents.session_row(connection, session_id)
            rows = contents.scan_rows(connection, session_id)
            states = contents.state_amounts(connection, session_id)
            sources = contents.sources(connection, session_id)
            warnings = contents.warnings(connection, session_id)
        # The connection is given back before files are read, which takes longer.
        folder = self._session_service.folder(session)
        if session.rows_removed_at is not None:
            # Not read again for a look: who leafs through the archive does not need them.
            rows = scans_of_folder(folder)
        asked = self._session_service.ledger.operation(session_id)
        others = self._session_service.ledger.of_other_subjects(session)
        return SessionDetail(
            session=session,
            folder=folder,
            scans=_summaries(folder, rows, self._session_service.read),
            states=states,
            sources=sources,
            warnings=warnings,
            duplicates=sum(part.objects for part in states if part.state == ObjectState.DUPLICATE),
            anonymized_by=scripts_of(folder / rows[0].first_file) if rows else (),
            request=_request(asked) if asked else None,
            actions=possible_actions(session),
            history=self._history(session),
            purged_at=self._purged_at(session),
            ready_at=self._ready_at(session),
            patients=tuple(filter(None, (session.patients, *_other_subjects(others)))),
            archives_itself=archives_itself(self._configuration(), session, session.project),
        )

    def objects(
        self, session_id: int, scan_id: str, *, offset: int = 0, limit: int = 100
    ) -> ScanObjectPage:
        """Return objects of a scan, in the order of their arrival."""
        self._session_service.require_rows(session_id)
        with self._reader.reading() as connection:
            contents.session_row(connection, session_id)
            return contents.scan_objects(connection, session_id, scan_id, offset, limit)

    @translate_sqlite_errors()
    def preview_archive(
        self, session_id: int, *, merge: bool = False, overwrite: bool = False
    ) -> ArchivePreview:
        """Return the result that archiving would have; changes nothing."""
        request = Request(OperationKind.ARCHIVE, "", merge=merge, overwrite=overwrite)
        # Raises for what the request itself would raise, so that the preview promises nothing else.
        session = self._session_service.ledger.possible(session_id, request)
        assert session.project is not None
        into = self._session_service.ledger.archived_as(session.project, session.label)
        plan = self._session_service.preview(session, request)
        if not isinstance(plan, Plan):
            return ArchivePreview(plan, into)
        # A plan that merges lists files; without a merge the whole folder is moved.
        added = len(plan.files) if plan.into is not None else session.objects
        return ArchivePreview((), into, added, len(plan.replaced), len(plan.skipped))

    def archive(
        self, session_id: int, actor: str, *, merge: bool = False, overwrite: bool = False
    ) -> SessionOutcome:
        """Ask for a session to be archived."""
        request = Request(OperationKind.ARCHIVE, actor, merge=merge, overwrite=overwrite)
        return self._ask(session_id, request)

    def move(self, session_id: int, project: str, actor: str) -> SessionOutcome:
        """Ask for a session to be moved to another project."""
        require_project(self._configuration(), project)
        return self._ask(session_id, Request(OperationKind.MOVE, actor, project=project))

    @translate_sqlite_errors()
    def preview_edit(
        self, session_id: int, *, project: str = "", subject: str = "", label: str = ""
    ) -> EditPreview:
        """Return what another project or other labels would come to; changes nothing."""
        request = Request(OperationKind.MOVE, "", project=project, subject=subject, label=label)
        ledger, configuration = self._session_service.ledger, self._configuration()
        return preview_edit(ledger, configuration, session_id, request)

    def edit(
        self, session_id: int, actor: str, *, project: str = "", subject: str = "", label: str = ""
    ) -> SessionOutcome:
        """Ask for another project or other labels of a session in the prearchive."""
        if project:
            require_project(self._configuration(), project)
        request = Request(OperationKind.MOVE, actor, project=project, subject=subject, label=label)
        return self._ask(session_id, request)

    def remove_scans(self, session_id: int, scans: tuple[str, ...], actor: str) -> SessionOutcome:
        """Ask for scans to be moved to the trash, from where they can be restored."""
        return self._ask(session_id, Request(OperationKind.REMOVE_SCANS, actor, scans=scans))

    @translate_sqlite_errors()
    def past_actions(self, *, limit: int = 10) -> tuple[PastAction, ...]:
        """Return the last actions of everybody, the newest first."""
        return self._session_service.ledger.newest_actions(limit)

    @translate_sqlite_errors()
    def undo(self, action: int, actor: str) -> SessionOutcome:
        """Ask to undo an action."""
        return self._ask(*self._session_service.ledger.request_of_undo(action, actor))

    def delete(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask for a session to be moved to the trash."""
        return self._ask(session_id, Request(OperationKind.DELETE, actor))

    def restore(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask to restore a session from the trash."""
        return self._ask(session_id, Request(OperationKind.RESTORE, actor))

    @translate_sqlite_errors()
    def rebuild(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask to build a session's scans and documents again."""
        self._session_service.ledger.request_build(session_id, actor)
        session = self._session_service.ledger.session(session_id)
        self._journal.record(
            SessionRebuildAsked(session=session_id, project=project_of(session), by=actor)
        )
        self._session_service.notify()
        return _outcome(session)

    @translate_sqlite_errors()
    def cancel(self, session_id: int, actor: str) -> SessionOutcome:
        """Cancel a request that waits, or a running archiving or separation."""
        self._session_service.ledger.cancel(session_id)
        session = self._session_service.ledger.session(session_id)
        self._journal.record(
            SessionCancelled(session=session_id, project=project_of(session), by=actor)
        )
        self._session_service.notify()
        return _outcome(session)

    @translate_sqlite_errors()
    def settled(self, session_id: int, *, wait_seconds: float = 10.0) -> SessionOutcome:
        """Wait until no request for a session waits or runs; return its state."""
        seconds = min(max(0.0, wait_seconds), LONGEST_WAIT_SECONDS)
        return _outcome(self._session_service.ledger.wait_until_settled(session_id, seconds))

    @translate_sqlite_errors()
    def _ask(self, session_id: int, request: Request) -> SessionOutcome:
        self._session_service.ledger.ask(session_id, request)
        # Written first, then woken: the worker reads requests from the index.
        self._session_service.notify()
        return _outcome(self._session_service.ledger.wait_until_settled(session_id, 0))

    def _history(self, session: Session) -> tuple[SessionMoment, ...]:
        """Return a session's history, from its row and from the journal."""
        moments = [
            SessionMoment(session.first_object_at, "first object received"),
            SessionMoment(session.last_object_at, "last object received"),
        ]
        if session.changed_at is not None:
            why = f": {session.reason}" if session.reason else ""
            moments.append(SessionMoment(session.changed_at, f"{session.status}{why}"))
        if session.rows_removed_at is not None:
            moments.append(SessionMoment(session.rows_removed_at, ROWS_REMOVED))
        # The journal has what this run did, as far as it is in memory; the row has the rest in
        # outline.
        moments += [
            SessionMoment(recorded.at, recorded.event.sentence())
            for recorded in self._journal.events_since(0, _MOST_EVENTS).events
            if getattr(recorded.event, "session", None) == session.id
        ]
        return tuple(sorted(moments, key=lambda moment: moment.at))

    def _ready_at(self, session: Session) -> datetime | None:
        if session.status is not SessionStatus.RECEIVING:
            return None
        idle = self._configuration().site.sessions.idle_seconds
        return session.last_object_at + timedelta(seconds=idle)

    def _purged_at(self, session: Session) -> datetime | None:
        since = put_into_trash_at(session)
        days = self._configuration().site.sessions.trash_days
        return since + timedelta(days=days) if since else None


def scans_of_folder(folder: Path) -> tuple[ScanRow, ...]:
    """Return the scans of a session by its files, as far as they can be read."""
    files: dict[str, list[tuple[str, int]]] = {}
    with suppress(OSError):
        for name in filter(is_text, object_names(folder, [])):
            size = (folder / name).stat().st_size
            files.setdefault(name.split("/")[1], []).append((name, size))
    return tuple(
        ScanRow(scan, len(found), sum(size for _, size in found), found[0][0])
        for scan, found in sorted(files.items(), key=lambda item: natural_order(item[0]))
    )


def _summaries(
    folder: Path, rows: tuple[ScanRow, ...], read: ReadStored
) -> tuple[ScanSummary, ...]:
    return tuple(
        _summary(folder, row, read if number < _MOST_SCANS_READ else None)
        for number, row in enumerate(rows)
    )


def _summary(folder: Path, row: ScanRow, read: ReadStored | None) -> ScanSummary:
    """Describe a scan by one of its objects, which may be gone or moved just now."""
    uid, modality, description = "", "", ""
    try:
        if read is not None:
            stored = read(folder, row.first_file)
            uid, modality = stored.series_instance_uid, stored.modality
            description = stored.series_description
    # The scan is shown in any case, without a description.
    except (UnreadableObject, OSError):
        pass
    return ScanSummary(row.id, uid, modality, description, row.objects, row.bytes, row.first_file)


def _request(asked: AskedOperation) -> WaitingRequest | None:
    operation = asked.operation
    if operation.request.kind in _AUTOMATIC_EVENTS:
        return None
    return WaitingRequest(
        _ACTIONS.get(operation.request.kind) or SessionAction(operation.request.kind),
        operation.request.by,
        asked.asked_at,
        begun=operation.plan is not None,
    )


def _other_subjects(others: tuple[int, ...]) -> Iterator[str]:
    if others:
        numbers = ", ".join(map(str, others))
        yield f"two subjects in one study: it is in session {numbers} too, with another subject"


def _outcome(session: Session | None) -> SessionOutcome:
    if session is None:
        return SessionOutcome(None, settled=True, text="merged into another session, or removed")
    words = str(session.status).lower().replace("_", " ")
    text = f"{words}: {session.reason}" if session.reason else words
    return SessionOutcome(session, settled=session.status not in UNFINISHED, text=text)
