"""Runs one operation on one session: plan, begin, execute, finish."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineError, SessionConflict, SessionError, TransitionNotAllowed
from engine.events import counted
from engine.events.sessions import (
    ScansRemoved,
    SessionArchived,
    SessionConflicts,
    SessionDeleted,
    SessionFailed,
    SessionMoved,
    SessionRelabelled,
    SessionRestored,
    SessionSeparated,
    SessionUndone,
)
from engine.index.operations import OperationKind
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.context import describe_error, is_full, project_of
from engine.sessions.folders.building import Moved, build
from engine.sessions.folders.staging import (
    lost_copies,
    part_in_place,
    put_in_place,
    remove_staging,
    stage,
    staging_of,
)
from engine.sessions.folders.transfer import carry_out, has_moved, undo_move, with_free_names
from engine.sessions.ledger import Withdrawn
from engine.sessions.reconcile import compare, repair, require_readable
from engine.sessions.rereading import require_rows
from engine.storage.files import make_folder, remove_empty_folders, write_atomically
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.events.sessions import SessionEvent
    from engine.index.operations import Operation, Plan, Request
    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.folders.staging import Staged
    from engine.sessions.planner import Planner

STAYS = (
    "it stays in the archive, because the way to the prearchive is blocked (clear it, then rebuild"
    " the session)"
)

NOT_SEPARATED = (
    "its PET scans are not separated, because the separation was cancelled; rebuild the session to"
    " separate them"
)

_logger = logging.getLogger(__name__)


class OperationRunner:
    """Carries out requests, one after the other."""

    def __init__(self, session_context: SessionContext, planner: Planner) -> None:
        self._context = session_context
        self._planner = planner

    def perform(self, operation: Operation) -> None:
        """Carry out a request, or go on with one that was begun."""
        session, request = self._context.ledger.session(operation.session), operation.request
        plan = operation.plan or self._begin(session, request)
        if plan is not None:
            self.carry_out(session, request, plan)

    def carry_out(self, session: Session, request: Request, plan: Plan) -> None:
        """Make every step of a plan that was begun; what fails is tried again later."""
        # An object on its way would be left behind by the move.
        if not self._context.wait_for_writers(session.id):
            return
        try:
            # A cancelled plan is undone before any further step. If the session has moved as a
            # whole, the plan is completed instead.
            if plan.withdrawn and self._is_undone(session, plan):
                return
            self._require_no_link(session, plan)
            # Before the move: an object must not be in the archive for a moment without the
            # anonymization of its project.
            if plan.anonymizes and not self._anonymize(session, plan):
                return
            plan = self._move(session, plan)
            if request.kind is OperationKind.FALL_BACK:
                self._write_log(session, plan)
        except Withdrawn:
            self.carry_out(session, request, replace(plan, withdrawn=True))
            return
        except (EngineError, OSError) as error:
            self._fail(session, plan, error)
            return
        # The rows after the files: after a crash before this line the plan is repeated, and each
        # step finds that it is done.
        self._context.ledger.finish(session.id, plan)
        self._context.journal.record(_event(session, request, plan))
        if request.kind is OperationKind.ARCHIVE:
            self._context.archived(session)

    def _move(self, session: Session, plan: Plan) -> Plan:
        """Move the objects and give their rows away; return the plan as it was carried out."""
        free = with_free_names(self._context.areas, session, plan)
        if free is not plan:  # a name was taken after the plan was made
            # Kept before the first file moves: after a crash the same names must be taken.
            self._context.ledger.amend(session.id, free)
        carry_out(self._context.areas, session, free)
        if free.into is not None:
            self._context.ledger.note_merge(session.id, free)
            # Sessions of the prearchive are built when the plan is complete.
            if free.area is SessionArea.ARCHIVE:
                self._rebuild(free.into)
        return free

    def _is_undone(self, session: Session, plan: Plan) -> bool:
        """Undo a cancelled request; return False if the session has moved as a whole."""
        if has_moved(self._context.areas, session, plan):
            return False
        folder = self._context.areas.folder(session)
        if plan.into is not None:
            self._put_back(session, plan)
        self._context.areas.require_no_link(session.area, session.folder)
        if plan.anonymizes:
            self._context.ledger.note_anonymized(session.id, part_in_place(folder, plan))
            remove_staging(folder, roots=self._context.areas.roots)
        try:
            self._build(session, folder)
        except EngineError as error:
            self._refuse(session, error)
            return True
        if plan.leaves_rest and plan.area is not SessionArea.TRASH:
            self._context.ledger.refuse(session.id, SessionStatus.ERROR, NOT_SEPARATED)
        else:
            self._context.ledger.return_to_queue(session.id)
        return True

    def _put_back(self, session: Session, plan: Plan) -> None:
        try:
            undo_move(self._context.areas, session, plan)
        except NotADirectoryError:
            self._require_no_link(session, plan)  # its error names the link
            raise

    def _begin(self, session: Session, request: Request) -> Plan | None:
        """Decide on a plan and keep it; a refusal ends the request."""
        plan = None
        try:
            plan = self._decide(session, request)
        finally:
            if plan is None:
                remove_staging(self._context.areas.folder(session), roots=self._context.areas.roots)
        return plan

    def _decide(self, session: Session, request: Request) -> Plan | None:
        try:
            # Checked before planning, as planning reads the folder; the places of the plan are
            # checked after it.
            self._context.areas.require_no_link(session.area, session.folder)
            require_rows(self._context, session.id)
            plan = self._planner.plan(session, request, self._staged(session, request))
            self._require_no_link(session, plan)
            return self._context.ledger.begin(session.id, request, plan)
        except TransitionNotAllowed:
            raise
        except SessionConflict as conflict:
            self._context.ledger.refuse(session.id, SessionStatus.CONFLICT, conflict.detail)
            self._context.journal.record(
                SessionConflicts(
                    session=session.id, project=project_of(session), reason=conflict.detail
                )
            )
        except (EngineError, OSError) as error:
            self._refuse(session, error)
        return None

    def _require_no_link(self, session: Session, plan: Plan) -> None:
        places = {(session.area, session.folder), (plan.area, plan.folder)}
        if plan.trash:
            places |= {(SessionArea.TRASH, each) for each in (plan.trash, plan.skipped_trash)}
        for area, folder in places:
            self._context.areas.require_no_link(area, folder)

    def _staged(self, session: Session, request: Request) -> Staged | None:
        """Anonymize copies of a session's objects, if its project wants that before the archive."""
        if request.kind is not OperationKind.ARCHIVE or session.project is None:
            return None
        step = self._context.scripts.of(session.project)
        if step is None:
            return None
        self._require_known_objects(session)
        files = self._context.ledger.due_files(session.id)
        if not files:
            return None
        folder = self._context.areas.folder(session)
        return stage(
            self._context.scripts, step, session, folder, files, roots=self._context.areas.roots
        )

    def _require_known_objects(self, session: Session) -> None:
        """Refuse to archive objects without a row: the project's script would not see them."""
        rows = self._context.ledger.stored_rows(session.id)
        found = compare(self._context.areas.folder(session), rows)
        require_readable(found)
        unknown = found.unknown
        if unknown:
            verb = "is" if len(unknown) == 1 else "are"
            raise SessionError(
                f"{counted(len(unknown), 'object')} in its folder {verb} not in the index, so that"
                " no script would see it; stop the engine and run: dicomdock check --adopt"
            )

    def _anonymize(self, session: Session, plan: Plan) -> bool:
        """Put anonymized objects in their places; return False if a copy is lost."""
        folder = self._context.areas.folder(session)
        if not folder.exists():  # it has moved already
            return True
        lost = lost_copies(folder, plan)
        put_in_place(folder, plan, roots=self._context.areas.roots)
        self._context.ledger.note_anonymized(session.id, plan, lost=lost)
        if lost:
            gone = f"anonymized copies are gone ({len(lost)})"
            self._refuse(session, SessionError(f"{gone}; rebuild the session"))
            return False
        if plan.into is None:
            self._build(session, folder)
        return True

    def _build(self, session: Session, folder: Path) -> None:
        """Write the documents of a session anew: they show its objects before the change."""
        repair(self._context, session)
        moved: list[Moved] = []
        try:
            files = self._context.ledger.stored_files(session.id)
            objects = [self._context.read(folder, file) for file in files]
            built = build(
                *(session, folder, objects, moved),
                *(self._context.areas.roots, self._context.pet_mr(session.project)),
            )
        finally:
            self._context.ledger.note_files(session.id, moved)
        self._context.ledger.note_built(session.id, built)

    def _rebuild(self, into: int) -> None:
        """Write the documents of a session that another one was merged into.

        If that is not possible, they stay as they were: the merge is complete. If the disk is full,
        it is tried again.
        """
        archived = self._context.ledger.session(into)
        folder = self._context.areas.folder(archived)
        try:
            self._build(archived, folder)  # repairs first what a crash left of such a rebuild
        except (EngineError, OSError) as error:
            if is_full(error):
                raise
            why = f"merged, but its documents are as before: {describe_error(error)}"
            self._context.ledger.recount(into)
            self._context.ledger.note_reason(into, why)
            self._report_failure(archived, why)
        remove_empty_folders(folder / SCANS, roots=self._context.areas.roots)

    def _write_log(self, session: Session, plan: Plan) -> None:
        """Write the reason of a fallback into the session's folder too (XNAT 9.7)."""
        logs = self._context.areas.path(plan.area, plan.folder) / "logs"
        line = f"{self._context.clock.now().isoformat(timespec='seconds')} {plan.reason}\n"
        try:
            make_folder(logs, roots=self._context.areas.roots)
            write_atomically(
                logs / f"directArchive{session.id}.log",
                line.encode(),
                roots=self._context.areas.roots,
            )
        except OSError as error:
            _logger.warning("session %d: its log can't be written: %s", session.id, error.strerror)

    def _fail(self, session: Session, plan: Plan, error: EngineError | OSError) -> None:
        """Refuse a plan that changed nothing on the disk; retry one that did or that lacks room."""
        if self._is_untouched(session, plan) and not is_full(error):
            self._refuse(session, error, f"{plan.reason}; {STAYS}: " if plan.reason else "")
            return
        later = f"{describe_error(error, with_path=True)}; it will be tried again"
        if session.reason != later:  # reported once: retries may go on for days
            for each in filter(None, (session.id, plan.into if plan.leaves_rest else None)):
                self._context.ledger.note_reason(each, later)
            self._report_failure(session, f"{describe_error(error)}; it will be tried again")

    def _is_untouched(self, session: Session, plan: Plan) -> bool:
        """Tell whether a plan has changed nothing on the disk yet."""
        if plan.into is not None or has_moved(self._context.areas, session, plan):
            return False
        return not (plan.anonymizes and staging_of(self._context.areas.folder(session)).exists())

    def _refuse(self, session: Session, error: EngineError | OSError, before: str = "") -> None:
        """End a request with an error; `before` is put in front of its reason."""
        why = f"{before}{describe_error(error, with_path=True)}"
        self._context.ledger.refuse(session.id, SessionStatus.ERROR, why)
        self._report_failure(session, f"{before}{describe_error(error)}")

    def _report_failure(self, session: Session, why: str) -> None:
        self._context.journal.record(
            SessionFailed(session=session.id, project=project_of(session), reason=why)
        )


def _event(session: Session, request: Request, plan: Plan) -> SessionEvent:
    number, project, by = session.id, plan.project or project_of(session), request.by
    if request.kind is OperationKind.ARCHIVE:
        return SessionArchived(session=number, project=project, by=by, into=plan.into)
    if request.kind is OperationKind.UNDO:
        return SessionUndone(session=number, project=project, by=by, action=request.action)
    if request.kind is OperationKind.REMOVE_SCANS:
        scans, removed = len(request.scans), plan.into or number
        return ScansRemoved(session=number, project=project, by=by, scans=scans, removed=removed)
    if request.kind is OperationKind.SEPARATE:
        return SessionSeparated(session=number, project=project, pet=plan.into or number)
    if request.kind is OperationKind.MOVE and plan.project == session.project:
        return SessionRelabelled(session=number, project=project, by=by)
    if request.kind is OperationKind.MOVE:
        return SessionMoved(session=number, project=project, by=by)
    if request.kind is OperationKind.DELETE:
        return SessionDeleted(session=number, project=project, by=by)
    if request.kind is OperationKind.RESTORE:
        return SessionRestored(session=number, project=project, by=by)
    if plan.status is not SessionStatus.ERROR:
        return SessionMoved(session=number, project=project, by=by)
    return SessionFailed(session=number, project=project, reason=plan.reason)
