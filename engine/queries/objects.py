"""`ObjectsView` of an engine in this process: headers, images and comparisons of objects."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.api.objects import (
    ComparedRow,
    Comparison,
    ElementRow,
    ObjectHeader,
    ObjectReference,
    RecentObject,
    RowChange,
    Thumbnail,
)
from engine.errors import NotFound, UnreadableObject
from engine.identification.caches import StoredFile
from engine.index import contents
from engine.index.contents import session_row, sop_class_name
from engine.index.trails import known_trail
from engine.inspection.job import HeaderJob, HeaderResult, ThumbnailJob
from engine.inspection.run import run
from engine.model.identity import (
    MASK,
    UNASSIGNED,
    IdentifyingValue,
    IdentifyingValues,
    identifies_anywhere,
)
from engine.queries.explanations import explained
from engine.workers.pool import JobFailed, WorkerLost, Workers, WorkerTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.api.objects import ObjectTrail, ObjectWhy, Window
    from engine.identification.caches import RecentHeader
    from engine.index.contents import RecentRow
    from engine.index.reader import IndexReader
    from engine.inspection.job import Job, Result
    from engine.inspection.showings import PhiAccessLog
    from engine.intake.rules import ObjectRouter
    from engine.model.session import Session
    from engine.sessions.service import SessionService


_META_GROUP = 0x0002


def compared(
    received: Sequence[ElementRow], stored: Sequence[ElementRow], last_tag: int
) -> tuple[ComparedRow, ...]:
    """Return the rows of both headers in one order; they must not be masked.

    Args:
        received: the elements as they arrived.
        stored: the elements of the file; its file meta is not compared.
        last_tag: the greatest tag that `received` may hold; later ones are left out.
    """
    before, after = _by_path(received, last_tag), _by_path(stored, last_tag)
    rows = []
    for path in _merged(list(before), list(after)):
        old, new = before.get(path), after.get(path)
        rows.append(ComparedRow(_change(old, new), old, new))
    return tuple(rows)


def _by_path(rows: Iterable[ElementRow], last_tag: int) -> dict[str, ElementRow]:
    kept: dict[str, ElementRow] = {}
    within = False
    for row in rows:
        # Nested elements are compared if their outermost sequence is.
        if not row.depth:
            within = row.tag >> 16 != _META_GROUP and row.tag <= last_tag
        if within:
            kept[row.path] = row
    return kept


def _change(old: ElementRow | None, new: ElementRow | None) -> RowChange:
    if old is None:
        return RowChange.ADDED
    if new is None:
        return RowChange.REMOVED
    # The length counts only if a value was cut: padding alone is no change of the value.
    same = old.value == new.value and (old.length == new.length or not old.cut)
    return RowChange.EQUAL if same else RowChange.CHANGED


def _merged(before: list[str], after: list[str]) -> list[str]:
    """Return all paths in the order of elements."""
    return sorted({*before, *after}, key=_order)


def _order(path: str) -> tuple[tuple[str, int], ...]:
    """Return a sort key: an item follows its sequence, and item 2 precedes item 10."""
    parts = []
    for part in path.split("."):
        tag, _, number = part.partition("[")
        parts.append((tag, int(number[:-1]) if number else 0))
    return tuple(parts)


CPU_SECONDS: Final = 10.0
WALL_SECONDS: Final = 20.0
MEMORY_BYTES: Final = 2 * 1024**3
"""Decoders allocate what an image claims as its size, so the kernel limits them."""


class ObjectQueries:
    """Reads objects in a worker process; for all threads."""

    def __init__(
        self,
        session_service: SessionService,
        reader: IndexReader,
        router: ObjectRouter,
        phi_access_log: PhiAccessLog,
    ) -> None:
        self._session_service = session_service
        self._reader = reader
        self._router = router
        self._phi_access_log = phi_access_log
        self._workers: Workers[Job, Result] = Workers(
            run,
            processes=1,
            cpu_seconds=CPU_SECONDS,
            wall_seconds=WALL_SECONDS,
            memory_bytes=MEMORY_BYTES,
        )

    def close(self) -> None:
        """End the worker process that reads objects."""
        self._workers.close()

    def recent(
        self, *, receiver: str = "", calling_ae_title: str = "", limit: int = 50
    ) -> tuple[RecentObject, ...]:
        """Return the objects that arrived last, newest first."""
        with self._reader.reading() as connection:
            rows = contents.newest(connection, receiver, calling_ae_title, limit)
        kept = {recent.header.sop_instance_uid: recent for recent in self._router.recent()}
        return tuple(_recent(row, kept.get(row.sop_instance_uid)) for row in rows)

    def first_of_sessions(self, receiver: str, limit: int) -> tuple[StoredFile, ...]:
        """Return one stored object of each of the newest sessions, of one receiver if named."""
        with self._reader.reading() as connection:
            rows = contents.files_of_newest(connection, receiver, limit)
        return tuple(
            StoredFile(
                *(row.at, row.session.receiver, row.calling_ae_title),
                self._session_service.folder(row.session) / row.file,
            )
            for row in rows
        )

    def header(self, reference: ObjectReference, *, as_received: bool = False) -> ObjectHeader:
        """Return the elements of an object, with identifying values masked."""
        header = self._header(reference, as_received)
        return replace(header, elements=masked(header.elements))

    def compare(self, reference: ObjectReference) -> Comparison:
        """Compare a stored object's header with the one received, masked."""
        return masked_comparison(self._comparison(reference))

    def shown(
        self, reference: ObjectReference, actor: str, *, as_received: bool = False
    ) -> ObjectHeader:
        """Return a header unmasked, and record in the journal who saw it."""
        header = self._header(reference, as_received)
        # After the header was read: what could not be read was not shown.
        self.record_phi_access(reference, actor)
        return header

    def shown_comparison(self, reference: ObjectReference, actor: str) -> Comparison:
        """Return a comparison unmasked, and record in the journal who saw it."""
        comparison = self._comparison(reference)
        self.record_phi_access(reference, actor)
        return comparison

    def record_phi_access(self, reference: ObjectReference, actor: str) -> None:
        """Record in the journal that identifying values of an object were shown."""
        if reference.file:
            uid = self._instance(reference)
        else:
            uid = self.received(reference).header.sop_instance_uid or ""
        self._phi_access_log.note(actor, uid, reference.session or None)

    def record_file_shown(self, uid: str, actor: str) -> None:
        """Record in the journal that identifying values of a file were shown, unless just now."""
        self._phi_access_log.note_all(actor, (uid,))

    def trail(self, reference: ObjectReference) -> ObjectTrail:
        """Return all arrivals of an object, and its sessions."""
        uid = reference.sop_instance_uid or self._instance(reference)
        self._session_service.require_rows_of_instance(uid)
        with self._reader.reading() as connection:
            return known_trail(connection, uid)

    def why(self, reference: ObjectReference) -> ObjectWhy:
        """Explain where an object is filed, masked."""
        return self._why(reference, shown=False)

    def shown_why(self, reference: ObjectReference, actor: str) -> ObjectWhy:
        """Explain where an object is filed, unmasked; the journal records who saw it."""
        why = self._why(reference, shown=True)
        self.record_phi_access(reference, actor)
        return why

    def _why(self, reference: ObjectReference, *, shown: bool) -> ObjectWhy:
        trail = self.trail(reference)
        wanted = (reference.session, reference.file)
        stored = (s for s in reversed(trail.steps) if (s.session, s.file) == wanted)
        # Without a file the reference is about the newest arrival, stored or not.
        arrival = next(stored, trail.steps[-1])
        there = replace(reference, session=arrival.session or 0, file=arrival.file)
        recent = self._kept(reference.sop_instance_uid or self._instance(reference))
        return explained(
            self._router, trail, arrival, recent, partial(self.path, there), shown=shown
        )

    def _instance(self, reference: ObjectReference) -> str:
        self._session_service.require_rows(reference.session)
        with self._reader.reading() as connection:
            return contents.instance_of(connection, reference)

    def _kept(self, uid: str) -> RecentHeader | None:
        recent = self._router.recent()
        return next((one for one in recent if one.header.sop_instance_uid == uid), None)

    def thumbnail(
        self,
        reference: ObjectReference,
        *,
        frame: int = 1,
        width: int = 256,
        height: int = 256,
        window: Window | None = None,
    ) -> Thumbnail:
        """Return one frame of a stored object."""
        path = self.path(reference)
        try:
            made = self.run(ThumbnailJob(str(path), frame, width, height, window))
        except UnreadableObject as error:
            return Thumbnail(frame=frame, problem=error.detail, remedy=error.remedy)
        assert isinstance(made, Thumbnail)
        return made

    def _header(self, reference: ObjectReference, as_received: bool) -> ObjectHeader:
        if as_received or not reference.file:
            recent = self.received(reference)
            result, size = self._read(_job_of(recent)), recent.header.size_bytes
        else:
            path = self.path(reference)
            result, size = self._read(HeaderJob(str(path))), _size(path)
        return ObjectHeader(
            reference=reference,
            elements=result.elements,
            complete=result.complete,
            transfer_syntax=sop_class_name(result.transfer_syntax_uid),
            sop_class=sop_class_name(result.sop_class_uid),
            bytes=size,
            frames=result.frames,
            has_pixels=result.has_pixels,
            anonymized_by=result.anonymized_by,
        )

    def _comparison(self, reference: ObjectReference) -> Comparison:
        recent = self.received(reference)
        received = self._read(_job_of(recent))
        stored = self._read(HeaderJob(str(self.path(reference))))
        last_tag = max((row.tag for row in received.elements if not row.depth), default=0)
        last_tag = max(last_tag, recent.header.last_tag)
        rows = compared(received.elements, stored.elements, last_tag)
        return Comparison(rows, last_tag, complete=received.complete and stored.complete)

    def run(self, job: Job) -> Result:
        """Run a job in the worker process.

        Raises:
            UnreadableObject: if it takes too long, or if the process dies of it.
        """
        with _worker_errors_translated():
            return self._workers.run(job)

    def session(self, reference: ObjectReference) -> Session:
        """Return the session of a stored object; raises as `header` does."""
        self._session_service.require_rows(reference.session)
        with self._reader.reading() as connection:
            contents.instance_of(connection, reference)
            return session_row(connection, reference.session)

    def _read(self, job: HeaderJob) -> HeaderResult:
        result = self.run(job)
        assert isinstance(result, HeaderResult)
        if result.problem:
            raise UnreadableObject(result.problem, "look at the file with another program")
        return result

    def path(self, reference: ObjectReference) -> Path:
        """Return the file of an object that is in the index; no other name becomes a path."""
        session = self.session(reference)
        path = self._session_service.folder(session) / reference.file
        # The index may be older than the disk: somebody may have put a link in place of the file.
        if path.is_symlink() or not path.is_file():
            raise NotFound("the object is not where it was", "look at the list again")
        return path

    def received(self, reference: ObjectReference) -> RecentHeader:
        """Return an object's header as it arrived; raises as `header` does."""
        uid = reference.sop_instance_uid
        if not uid and reference.file:
            uid = self._instance(reference)
        recent = self._kept(uid)
        if recent is not None:
            return recent
        raise NotFound(
            "what was received is not in memory any more",
            "only the last 20 headers of each receiver are kept, until the engine stops",
        )


def masked(elements: tuple[ElementRow, ...]) -> tuple[ElementRow, ...]:
    """Hide the identifying values of a header."""
    return tuple(hidden for row in elements if (hidden := _masked(row)))


def masked_comparison(comparison: Comparison) -> Comparison:
    """Hide the identifying values of both headers, also where a script has copied them."""
    known = IdentifyingValues(
        IdentifyingValue(row.value, row.vr, row.private)
        for row in (compared.received for compared in comparison.rows)
        if row is not None
        and row.identifying
        and (row.private or identifies_anywhere(row.tag, row.vr))
    )
    return replace(comparison, rows=tuple(_masked_pair(row, known) for row in comparison.rows))


def _masked_pair(row: ComparedRow, known: IdentifyingValues) -> ComparedRow:
    received, stored = _masked(row.received), _masked(row.stored)
    # Unchanged elements are what they were: only what a script wrote can be a copy.
    if stored is not None and row.change in {RowChange.CHANGED, RowChange.ADDED}:
        stored = _hidden(stored) if known.appear_in(stored.value) else stored
    return replace(row, received=received, stored=stored)


def _masked(row: ElementRow | None) -> ElementRow | None:
    if row is None or not (row.identifying and row.value):
        return row
    return _hidden(row)


def _hidden(row: ElementRow) -> ElementRow:
    # The first bytes would show the value, too.
    return replace(row, value=MASK, masked=True, first_bytes=b"")


def _recent(row: RecentRow, kept: RecentHeader | None) -> RecentObject:
    in_session = row.session is not None and row.label is not None
    return RecentObject(
        reference=ObjectReference(row.session or 0, row.file, row.sop_instance_uid),
        at=row.at,
        receiver=row.receiver,
        calling_ae_title=row.calling_ae_title,
        sop_class=sop_class_name(row.sop_class_uid),
        modality=(kept.header.modality if kept else None) or row.modality or "",
        project=(row.project or UNASSIGNED) if in_session else "",
        label=row.label or "",
        bytes=row.bytes,
        state=row.state,
        status=row.status,
        reason=row.reason,
        as_received=kept is not None,
    )


def _job_of(recent: RecentHeader) -> HeaderJob:
    header = recent.header
    return HeaderJob(data=header.kept_bytes, transfer_syntax_uid=header.transfer_syntax_uid)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _worker_errors_translated() -> Iterator[None]:
    """Turn errors of the worker process into one that a user understands."""
    try:
        yield
    except WorkerTimeout as error:
        raise UnreadableObject("the object took too long to read", "use a viewer") from error
    except (WorkerLost, JobFailed, OSError) as error:
        raise UnreadableObject(
            f"the object can't be read ({type(error).__name__})", "use a viewer"
        ) from error
