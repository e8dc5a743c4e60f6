"""Builds one session: waits for its objects, reads and sorts them, and notes the outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineError, SessionConflict, TransitionNotAllowed
from engine.events.sessions import SessionArchived, SessionBuilt, SessionFailed
from engine.index.operations import OperationKind, Request
from engine.model.project import PetMr
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.context import describe_error, is_full, project_of
from engine.sessions.folders.building import Moved, build
from engine.sessions.folders.transfer import remove_time_stamp
from engine.sessions.reconcile import adopt, differences_of, require_readable
from engine.sessions.rereading import require_rows
from engine.sessions.separation import pet_scans
from engine.storage.files import flush_folder, holds_files, remove_empty_folders, remove_file
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.index.operations import Plan
    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.folders.documents import BuiltSession
    from engine.sessions.planner import Planner
    from engine.sessions.runner import OperationRunner
    from engine.storage.scans import StoredObject

DIRECT_ARCHIVE = "direct archive"
FAILED_DIRECTLY = "Attempt to direct-archive failed"
"""XNAT's words for it (9.7)."""
FOUND_BY_BUILD = "found on disk when its session was built"
PET_MR_RULE = "the PET/MR setting"
UNREADABLE = "what is in its folder can't be read as objects; rebuild it, or delete it"
SEPARATED = "its PET scans become a session of their own"


class Builder:
    """Builds sessions, one after the other."""

    def __init__(
        self,
        session_context: SessionContext,
        planner: Planner,
        operator: OperationRunner,
        follows: Callable[[Session], Request | None],
    ) -> None:
        """Take the parts, and `follows`, which returns the request of a session that got ready."""
        self._context = session_context
        self._planner = planner
        self._operator = operator
        self._follows = follows

    def build(self, session_id: int) -> None:
        """Build a session, and queue what comes next.

        Raises:
            TransitionNotAllowed: if it is in no state to be built in.
        """
        before = self._context.ledger.session(session_id).reason
        # The status first, then the wait: from now on an object that joins interrupts the build,
        # and those from before are waited for.
        session = self._context.ledger.change(session_id, SessionStatus.BUILDING)
        if not self._context.wait_for_writers(session_id):
            self._context.ledger.end_build(session_id, (SessionStatus.RECEIVING, ""))
            return
        try:
            self._context.areas.require_no_link(session.area, session.folder)
            require_rows(self._context, session_id)
            self._adopt(session)
            files = self._context.ledger.stored_files(session_id)
            built = self._built(session, files) if files else None
        except (EngineError, OSError) as error:
            # A full disk is no fault of the session: the build is tried again when there is room.
            if is_full(error):
                self._postpone(session, describe_error(error), before)
            else:
                self._fail(session, describe_error(error), describe_error(error, with_path=True))
        else:
            if built is not None:
                self._finish(session, built)
            # Files without a row may be objects: only a session without any file is forgotten.
            elif holds_files(self._context.areas.folder(session)):
                self._fail(session, UNREADABLE)
            else:
                self._forget(session)

    def _adopt(self, session: Session) -> None:
        """Give objects without a row one: a flush failed after they were named, or a row was lost.

        Objects that join meanwhile may not have their row yet; the next build looks at them.

        Raises:
            SessionError: if a file can't be read, which may be an object.
        """
        found = differences_of(self._context, session)
        require_readable(found)
        if found and self._context.ledger.session(session.id).status is SessionStatus.BUILDING:
            adopt(self._context, session, FOUND_BY_BUILD, found)

    def _built(self, session: Session, files: tuple[str, ...]) -> BuiltSession:
        newest = self._context.ledger.newest_row()
        folder = self._context.areas.folder(session)
        objects = [self._context.read(folder, file) for file in files]
        objects = self._without_duplicates(session, folder, objects)
        moved: list[Moved] = []
        try:
            return build(
                *(session, folder, objects, moved),
                *(self._context.areas.roots, self._context.pet_mr(session.project)),
            )
        finally:  # up to `newest`: an object that joins later may get a name that became free
            self._context.ledger.note_files(session.id, moved, up_to=newest)

    def _without_duplicates(
        self, session: Session, folder: Path, objects: list[StoredObject]
    ) -> list[StoredObject]:
        """Drop objects that arrived again, and did not meet the first because a build moved it."""
        kept: dict[tuple[str, str], list[StoredObject]] = {}
        for stored in objects:
            others = kept.setdefault((stored.sop_class_uid, stored.sop_instance_uid), [])
            path = folder / stored.file
            first = next((o for o in others if self._context.same(folder / o.file, path)), None)
            if first is None:
                others.append(stored)
            else:  # the row first: after a crash the file without a row is found again
                self._context.ledger.note_duplicate(session.id, stored.file, first.file)
                remove_file(path, roots=self._context.areas.roots)
                flush_folder(path.parent)
        left = {stored.file for others in kept.values() for stored in others}
        return [stored for stored in objects if stored.file in left]

    def _finish(self, session: Session, built: BuiltSession) -> None:
        if built.pet_mr is PetMr.SEPARATE and pet_scans(built.scans):
            self._separate(session)
            return
        direct = session.area is SessionArea.ARCHIVE
        status = SessionStatus.ARCHIVED if direct else SessionStatus.READY
        # In one transaction: after a crash between two, a ready session would never be archived.
        then = self._follows(session)
        became = self._context.ledger.end_build(session.id, (status, ""), built, then)
        if became is SessionStatus.RECEIVING:
            return
        number, project, record = session.id, project_of(session), self._context.journal.record
        scans = len(built.scans)
        record(SessionBuilt(session=number, project=project, objects=built.objects, scans=scans))
        if direct:
            scans_folder = self._context.areas.folder(session) / SCANS
            remove_empty_folders(scans_folder, roots=self._context.areas.roots)
            record(SessionArchived(session=number, project=project, by=DIRECT_ARCHIVE))
            self._context.archived(session)

    def _separate(self, session: Session) -> None:
        """Split off the PET scans as a session of their own, in the prearchive (XNAT 9.5, 9.7)."""
        if session.area is SessionArea.ARCHIVE:
            request = Request(OperationKind.FALL_BACK, by=PET_MR_RULE)
            ready = SessionStatus.QUEUED_BUILDING
            plan = replace(self._planner.plan(session, request), status=ready, reason=SEPARATED)
        else:
            request = Request(OperationKind.SEPARATE, by=PET_MR_RULE)
            plan = self._planner.plan(session, request)
        self._carry_out(session, request, plan)

    def _forget(self, session: Session) -> None:
        """Forget a session whose first object was announced and never stored."""
        if self._context.ledger.forget_empty(session.id):
            folder = self._context.areas.folder(session)
            remove_empty_folders(folder, itself=True, roots=self._context.areas.roots)
            remove_time_stamp(self._context.areas, session)
        else:
            self._context.ledger.end_build(session.id, (SessionStatus.RECEIVING, ""))

    def _postpone(self, session: Session, why: str, before: str) -> None:
        """Build the session later, when there is room; report once that it waits."""
        reason = f"{why}; it will be tried again"
        self._context.ledger.end_build(session.id, (SessionStatus.RECEIVING, reason))
        if reason != before:
            self._report_failure(session, reason)

    def _report_failure(self, session: Session, why: str) -> None:
        self._context.journal.record(
            SessionFailed(session=session.id, project=project_of(session), reason=why)
        )

    def _fail(self, session: Session, why: str, noted: str = "") -> None:
        """Note that a session can't be built; its row may say more than the event."""
        if session.area is SessionArea.ARCHIVE:
            self._fall_back(session, why)
            return
        became = self._context.ledger.end_build(session.id, (SessionStatus.ERROR, noted or why))
        if became is SessionStatus.ERROR:
            self._report_failure(session, why)

    def _fall_back(self, session: Session, why: str) -> None:
        """Bring a session that can't be archived directly to the prearchive (XNAT 9.7)."""
        request = Request(OperationKind.FALL_BACK, by=DIRECT_ARCHIVE)
        plan = replace(self._planner.plan(session, request), reason=f"{FAILED_DIRECTLY}: {why}")
        self._carry_out(session, request, plan)

    def _carry_out(self, session: Session, request: Request, plan: Plan) -> None:
        try:
            plan = self._context.ledger.begin(session.id, request, plan)
        except (TransitionNotAllowed, SessionConflict):  # an object joined: it is built again
            self._context.ledger.end_build(session.id, (SessionStatus.RECEIVING, ""))
            return
        self._operator.carry_out(session, request, plan)
