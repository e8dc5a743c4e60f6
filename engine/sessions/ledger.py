"""Changes of a session's status and requests for them, each in one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from json import dumps
from time import monotonic
from typing import TYPE_CHECKING

from engine.errors import NotFound, SessionConflict, SessionError
from engine.host.wakeup import ChangeSignal
from engine.index.actions import note_action, note_rebuild
from engine.index.arrivals import note_finished
from engine.index.operations import (
    QUEUED_STATUS,
    WORKING_STATUS,
    OperationKind,
    Plan,
    Request,
)
from engine.index.removed_rows import keep_rows
from engine.index.session_reader import (
    Connection,
    SessionReader,
    in_trash,
    operation_row,
    possible_session,
    session_row,
)
from engine.index.store import is_folder_in_use
from engine.index.writer import recount
from engine.model.session import (
    CANCELLABLE,
    QUEUED,
    UNFINISHED,
    ProjectScript,
    Session,
    SessionArea,
    SessionStatus,
    require_request,
    require_transition,
)
from engine.sessions.folders.patients import conflicting_patients
from engine.sessions.object_changes import (
    has_rows,
    insert_missing_rows,
    move_rows_to_merged,
    note_anonymization,
    note_duplicate,
    rename,
    rename_session,
)
from engine.sessions.separation import close_second, note_separation, open_second
from engine.state.database import stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator

    from engine.host.clock import Clock
    from engine.index.writer import ObjectRow
    from engine.sessions.folders.building import Moved
    from engine.sessions.folders.documents import BuiltSession


class Withdrawn(Exception):
    """The request was cancelled: the steps that were made must be undone."""


def withdraw(connection: sqlite3.Connection, session: Session) -> None:
    """Mark the plan of a session that is being archived or separated as cancelled.

    Args:
        connection: the index.
        session: the session; of a separation, either of the two.

    Raises:
        SessionError: if the objects belong to the other session already.
    """
    columns = "session, json_extract(plan, '$.into'), json_extract(plan, '$.leaves_rest')"
    query = (
        f"SELECT {columns} FROM operations WHERE session = :id UNION ALL"
        f" SELECT {columns} FROM operations"
        " WHERE plan IS NOT NULL AND json_extract(plan, '$.into') = :id"
    )
    # Once the rows have moved, the other session owns the files: too late to cancel.
    first, into, leaves_rest = connection.execute(query, {"id": session.id}).fetchone()
    if leaves_rest and has_rows(connection, into):
        raise SessionError("the session is separated already", "it is complete in a moment")
    if not has_rows(connection, first):
        raise SessionError("the session is merged already", "it is complete in a moment")
    connection.execute(
        "UPDATE operations SET plan = json_set(plan, '$.withdrawn', json('true'))"
        " WHERE session = ?",
        (first,),
    )


def require_wanted(connection: sqlite3.Connection, session_id: int) -> None:
    """Check that a session's plan was not cancelled.

    Raises:
        Withdrawn: if it was.
    """
    query = "SELECT json_extract(plan, '$.withdrawn') FROM operations WHERE session = ?"
    row = connection.execute(query, (session_id,)).fetchone()
    if row is not None and row[0]:
        raise Withdrawn


FORGOTTEN_AT_ONCE = 1000
"""Objects whose rows are changed in one transaction: those that arrive wait for its end."""
OUTRUN = "another session has got its place meanwhile"


class SessionRepository(SessionReader):
    """Reads and changes the rows of sessions; may be used by any thread."""

    def __init__(self, index: Connection, clock: Clock) -> None:
        super().__init__(index)
        self._clock = clock
        self._changes = ChangeSignal()

    def change(self, session_id: int, status: SessionStatus, reason: str = "") -> Session:
        """Give a session another status; no object joins it any more without being noticed.

        Raises:
            TransitionNotAllowed: if it does not follow from the present one.
        """
        with self._changing() as connection:
            require_transition(session_row(connection, session_id).status, status)
            self._set_status(connection, session_id, status, reason)
            return session_row(connection, session_id)

    def end_build(
        self,
        session_id: int,
        outcome: tuple[SessionStatus, str],
        built: BuiltSession | None = None,
        then: Request | None = None,
    ) -> SessionStatus:
        """Note the outcome of a build; a session that objects joined meanwhile is received again.

        If it is ready, the request `then` is queued in the same transaction.
        """
        status, reason = outcome
        with self._changing() as connection:
            # An object that joined during the build is in no scan and no catalog yet: build again
            # later.
            if session_row(connection, session_id).status is SessionStatus.RECEIVING_INTERRUPT:
                status, reason = SessionStatus.RECEIVING, ""
            elif built is not None:
                _set_size(connection, session_id, built)
            self._set_status(connection, session_id, status, reason)
            note_finished(connection, session_id, status, stamp(self._clock.now()))
            if then is not None and status is SessionStatus.READY:
                self._queue(connection, session_row(connection, session_id), then)
        self._index.notify_finished()
        return status

    def request_build(self, session_id: int, by: str) -> None:
        """Queue a rebuild of a session, which somebody asks for.

        Raises:
            TransitionNotAllowed: if it can't be built in its present state.
        """
        with self._changing() as connection:
            session = session_row(connection, session_id)
            require_request(session.status, SessionStatus.QUEUED_BUILDING)
            note_rebuild(connection, session, by, stamp(self._clock.now()))
            self._set_status(connection, session_id, SessionStatus.QUEUED_BUILDING, "")

    def ask(self, session_id: int, request: Request) -> None:
        """Queue an operation on a session.

        Raises:
            TransitionNotAllowed: if it is not possible in the session's present state.
            SessionError: if it makes no sense for this session.
        """
        with self._changing() as connection:
            self._queue(connection, possible_session(connection, session_id, request), request)

    def cancel(self, session_id: int) -> None:
        """Take back a request that waits, or an archiving or a separation that goes on.

        The session worker undoes what was begun. If the session has moved as a whole by then, its
        archiving is completed instead.

        Raises:
            SessionError: if nothing waits, or the session is merged or separated already.
        """
        with self._changing() as connection:
            session, operation = (
                session_row(connection, session_id),
                operation_row(connection, session_id),
            )
            if session.status in CANCELLABLE:
                withdraw(connection, session)
                return
            if session.status not in QUEUED:
                raise SessionError(
                    f"a session that is {session.status} waits for nothing",
                    "only what is queued can be cancelled",
                )
            # A queued build has no operation: it is received again, and built when it is idle.
            before = operation.previous if operation else SessionStatus.RECEIVING
            connection.execute("DELETE FROM operations WHERE session = ?", (session_id,))
            self._set_status(connection, session_id, before, session.reason)

    def wait_until_settled(self, session_id: int, seconds: float) -> Session | None:
        """Return a session once nothing waits or works on it, or after some time.

        Only changes by this process are waited for; None if the session has no row any more.
        """
        session = None
        for _ in self._changes.until(monotonic() + seconds):
            try:
                session = self.session(session_id)
            except NotFound:
                return None
            if session.status not in UNFINISHED:
                break
        return session

    def refuse(self, session_id: int, status: SessionStatus, reason: str) -> None:
        """End a request that can't be carried out, with the reason."""
        with self._changing() as connection:
            close_second(connection, session_id)
            connection.execute("DELETE FROM operations WHERE session = ?", (session_id,))
            self._set_status(connection, session_id, status, reason)

    def note_reason(self, session_id: int, reason: str) -> None:
        """Note why an operation on a session is not complete yet; its status stays."""
        with self._changing() as connection:
            status = session_row(connection, session_id).status
            self._set_status(connection, session_id, status, reason)

    def return_to_queue(self, session_id: int) -> None:
        """Give a session the status that it had before a request whose steps are undone."""
        with self._changing() as connection:
            operation = operation_row(connection, session_id)
            before = operation.previous if operation else SessionStatus.READY
            close_second(connection, session_id)
            connection.execute("DELETE FROM operations WHERE session = ?", (session_id,))
            self._set_status(connection, session_id, before, "")

    def amend(self, session_id: int, plan: Plan) -> None:
        """Keep a changed plan before its next step.

        Raises:
            Withdrawn: if it was cancelled meanwhile.
        """
        with self._changing() as connection:
            require_wanted(connection, session_id)
            connection.execute(
                "UPDATE operations SET plan = ? WHERE session = ?", (plan.to_json(), session_id)
            )

    def drop_request(self, session_id: int) -> None:
        """Forget a request that the session's state does not allow any more."""
        with self._changing() as connection:
            connection.execute(
                "DELETE FROM operations WHERE session = ? AND plan IS NULL", (session_id,)
            )

    def begin(self, session_id: int, request: Request, plan: Plan) -> Plan:
        """Keep a plan before its first step; from now on it will be completed, whatever happens.

        Returns:
            The plan, which names the session that it opens, if it does.

        Raises:
            TransitionNotAllowed: if the session's status has changed meanwhile.
            SessionConflict: if another session has got the folder meanwhile.
        """
        with self._changing() as connection:
            session = session_row(connection, session_id)
            status = WORKING_STATUS[request.kind]
            require_transition(session.status, status)
            # Asked again here: the planner looked outside of this transaction. A merge has no
            # folder of its own.
            if plan.into is None and is_folder_in_use(connection, plan.folder, session_id):
                raise SessionConflict(OUTRUN)
            if plan.leaves_rest:
                plan = open_second(connection, session, plan)
            connection.execute(
                "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (session) DO UPDATE SET plan = excluded.plan",
                (
                    *(session_id, request.kind, session.status),
                    *(request.by, stamp(self._clock.now()), dumps(asdict(request))),
                    plan.to_json(),
                ),
            )
            self._set_status(connection, session_id, status, "")  # an earlier reason is over
        return plan

    def finish(self, session_id: int, plan: Plan) -> None:
        """Note that all steps of a plan are made, and remove the operation."""
        with self._changing() as connection:
            session = session_row(connection, session_id)
            operation = operation_row(connection, session_id)
            assert operation is not None
            at = stamp(self._clock.now())
            note_action(connection, session, operation.request, plan, at)
            connection.execute("DELETE FROM operations WHERE session = ?", (session_id,))
            if plan.waits:
                connection.execute(
                    "UPDATE sessions SET auto_archive = 0 WHERE id = ?", (session_id,)
                )
            if plan.into is None:
                self._finish_move(connection, session, plan)
                # An undo is no new end: what was to follow the first one has followed.
                if operation.request.kind is not OperationKind.UNDO:
                    note_finished(connection, session_id, plan.status, at)
            elif plan.leaves_rest:
                self._set_status(connection, session_id, plan.status, plan.reason)
                in_trash = plan.area is SessionArea.TRASH
                status = SessionStatus.DELETED if in_trash else plan.status
                self._set_status(connection, plan.into, status, plan.reason)
                # Not only when they are built: a deletion may come before that.
                recount(connection, session_id)
                recount(connection, plan.into)
            else:
                self._finish_merge(connection, session_id, plan, plan.into)
        self._index.notify_finished()

    def _finish_move(self, connection: sqlite3.Connection, session: Session, plan: Plan) -> None:
        if plan.label or plan.project != session.project:
            rename_session(connection, session, plan)
        connection.execute(
            "UPDATE sessions SET area = ?, folder = ? WHERE id = ?",
            (plan.area, plan.folder, session.id),
        )
        # Anonymized for the old project or label, not for the new one.
        if plan.project != session.project or plan.reruns_script:
            connection.execute(
                "UPDATE objects SET project_script = ? WHERE session = ? AND project_script = ?",
                (ProjectScript.DUE, session.id, ProjectScript.DONE),
            )
        self._set_status(connection, session.id, plan.status, plan.reason)

    def _finish_merge(
        self, connection: sqlite3.Connection, session_id: int, plan: Plan, into: int
    ) -> None:
        connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        self._index.forget_place(session_id)
        if plan.area is SessionArea.ARCHIVE:
            keep_rows(connection, into, stamp(self._clock.now()))
            note_finished(connection, into, SessionStatus.ARCHIVED, stamp(self._clock.now()))
        # One that objects join meanwhile is built when they end.
        elif session_row(connection, into).status is not SessionStatus.RECEIVING:
            self._set_status(connection, into, plan.status, plan.reason)

    def note_anonymized(self, session_id: int, plan: Plan, *, lost: Collection[str] = ()) -> None:
        """Note what became of objects by their project's script; again has no effect."""
        with self._changing() as connection:
            note_anonymization(connection, session_id, plan, lost)

    def note_merge(self, session_id: int, plan: Plan) -> None:
        """Give the rows of merged objects to the session that has them now; again has no effect.

        Raises:
            Withdrawn: if the merge was cancelled meanwhile; no row has changed.
        """
        # A separation moves some rows; a merge moves all of them, and drops those that it replaced.
        give = note_separation if plan.leaves_rest else move_rows_to_merged
        with self._changing() as connection:
            # In one transaction with the rows: a cancel comes before it, or finds the rows gone.
            require_wanted(connection, session_id)
            give(connection, session_id, plan)

    def note_files(
        self, session_id: int, moved: Iterable[Moved], *, up_to: int | None = None
    ) -> None:
        """Note that objects of a session have other file names; of those up to a row, if given."""
        with self._changing() as connection:
            rename(connection, session_id, moved, up_to)

    def insert_missing_rows(self, rows: Iterable[ObjectRow]) -> None:
        """Give stored objects that have no row theirs."""
        with self._changing() as connection:
            insert_missing_rows(connection, rows)

    def note_duplicate(self, session_id: int, file: str, of: str) -> None:
        """Note that an object is the same as another of its session, whose file stays."""
        with self._changing() as connection:
            note_duplicate(connection, session_id, file, of)

    def note_built(self, session_id: int, built: BuiltSession) -> None:
        """Note what an archived session has become by a merge."""
        with self._changing() as connection:
            _set_size(connection, session_id, built)

    def recount(self, session_id: int) -> None:
        """Count a session's objects by their rows."""
        with self._changing() as connection:
            recount(connection, session_id)

    def forget_empty(self, session_id: int) -> bool:
        """Remove the row of a session that was found empty, unless an object came meanwhile."""
        with self._changing() as connection:
            # An object that joined since has made it RECEIVING_INTERRUPT.
            is_empty = session_row(connection, session_id).status is SessionStatus.BUILDING
            if is_empty:
                connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
                self._index.forget_place(session_id)
        return is_empty

    def forget(self, session_id: int) -> None:
        """Remove the row of a session whose files are gone for good; its objects' history stays."""
        with self._changing() as connection:
            _forget(connection, session_id)

    def forget_trash(self, entries: Iterable[str]) -> dict[str, bool]:
        """Remove the rows of the sessions in folders of the trash; their objects' history stays.

        Folders are taken in turn until their sessions have `FORGOTTEN_AT_ONCE` objects.

        Returns:
            The folders taken, and whether each may be removed: no session of it is to be restored.
        """
        taken: dict[str, bool] = {}
        forgotten, objects = list[int](), 0
        with self._changing() as connection:
            for entry in entries:
                sessions = in_trash(connection, entry)
                # A session that is queued for restoring has another status.
                taken[entry] = all(status == SessionStatus.DELETED for _, status, _ in sessions)
                if taken[entry]:
                    forgotten += (session_id for session_id, *_ in sessions)
                    objects += sum(count for *_, count in sessions)
                if objects >= FORGOTTEN_AT_ONCE:
                    break
            _forget(connection, *forgotten)
        return taken

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Yield the index for one transaction, and wake who waits for a session once it is over."""
        with self._index.changing() as connection:
            yield connection
        self._changes.notify()

    def _queue(self, connection: sqlite3.Connection, session: Session, request: Request) -> None:
        connection.execute(
            "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (
                *(session.id, request.kind, session.status),
                *(request.by, stamp(self._clock.now()), dumps(asdict(request))),
            ),
        )
        self._set_status(connection, session.id, QUEUED_STATUS[request.kind], session.reason)

    def _set_status(
        self, connection: sqlite3.Connection, session_id: int, status: SessionStatus, reason: str
    ) -> None:
        connection.execute(
            "UPDATE sessions SET status = ?, reason = ?, changed_at = ? WHERE id = ?",
            (status, reason, stamp(self._clock.now()), session_id),
        )
        # The next object must look the session up again: it may not be allowed to join any more.
        self._index.forget_place(session_id)


def _forget(connection: sqlite3.Connection, *session_ids: int) -> None:
    ids = [(session_id,) for session_id in session_ids]
    connection.executemany("UPDATE objects SET session = NULL, file = '' WHERE session = ?", ids)
    connection.executemany("DELETE FROM traces WHERE session = ?", ids)
    connection.executemany("DELETE FROM sessions WHERE id = ?", ids)


def _set_size(connection: sqlite3.Connection, session_id: int, built: BuiltSession) -> None:
    connection.execute(
        "UPDATE sessions SET modality = ?, objects = ?, bytes = ?, patients = ? WHERE id = ?",
        (
            *(built.modality, built.objects, built.bytes),
            *(conflicting_patients(built.scans), session_id),
        ),
    )
