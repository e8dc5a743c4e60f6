"""Reads the rows of a session's objects again from its files, if the index has forgotten them.

Whatever needs rows of a session in the archive calls `require_rows` first. The files are the
truth: what a row says besides (sender, time, association, warnings) is taken from the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import NotFound, SessionError
from engine.events import counted
from engine.index import removed_rows
from engine.index.removed_rows import RowFacts
from engine.model.anonymization import script_state
from engine.sessions import reconcile
from engine.sessions.context import describe_error
from engine.state.database import stamp
from engine.storage.files import object_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.index.writer import ObjectRow
    from engine.model.session import Session
    from engine.sessions.context import SessionContext


ROWS_AT_ONCE = 1_000
"""Rows of one transaction, which takes some milliseconds."""
_REST = 10
READ_AGAIN = "read again from its file"
"""Time and sender in such a row are those of its session."""


def require_rows(
    session_context: SessionContext, session_id: int, *, accept_loss: bool = False
) -> None:
    """Put the rows of a session's objects back if they were removed; for any thread.

    It may take 0.2 ms for each object, so the loop's thread must not call it.

    Args:
        session_context: the index and the trees.
        session_id: the session.
        accept_loss: whether a person wants the rows though objects are missing. If all are, the
            folder may only be away, as a storage that is not mounted.

    Raises:
        SessionError: if its folder can't be read, or has fewer objects than the session had.
    """
    ledger = session_context.ledger
    try:
        if ledger.session(session_id).rows_removed_at is None:
            return
        with session_context.index.rows_lock:
            session = ledger.session(session_id)
            # Another thread may have been faster.
            if session.rows_removed_at is None:
                return
            if accept_loss:
                _put_back(session_context, session, 1)
            else:
                _try_to_put_back(session_context, session)
    except NotFound:
        pass  # the caller finds that out by itself


def require_rows_of_instance(session_context: SessionContext, sop_instance_uid: str) -> None:
    """Put the rows back of all sessions that may have a SOP instance; raises as `require_rows`."""
    with session_context.index.reading() as connection:
        sessions = removed_rows.sessions_of_instance(connection, sop_instance_uid)
    for session_id in sessions:
        require_rows(session_context, session_id)


def rows_of_files(session_context: SessionContext, session: Session) -> Iterator[ObjectRow]:
    """Yield the rows that a session's files give, in the order of arrival.

    Raises:
        SessionError: if a file can't be read: it may be an object.
        OSError: if a folder can't be read.
    """
    session_context.areas.require_no_link(session.area, session.folder)
    folder = session_context.areas.folder(session)
    unreadable: list[str] = []
    files = reconcile.in_order_of_arrival(folder, object_names(folder, unreadable))
    if unreadable:
        count = counted(len(unreadable), "file")
        raise SessionError(f"{count} in its folder can't be read", "check disk and permissions")
    at = stamp(session.last_object_at)
    for name, status in files.items():
        if not reconcile.is_text(name):  # the engine makes no other names
            continue
        found = reconcile.identify(f"{folder}/{name}")
        yield reconcile.row_of_found(
            *(at, session.receiver, session.calling_ae_title, session.id, name, status.st_size),
            found,
            script_state(found.note, session.project),
            READ_AGAIN,
        )


def facts_of(row: ObjectRow) -> RowFacts:
    """Return what a row that a file gives is needed for."""
    return RowFacts(row.sop_class_uid, row.sop_instance_uid, row.project_script)


def _try_to_put_back(session_context: SessionContext, session: Session) -> None:
    """Put the rows back; what has failed is left alone for ten times as long as it took.

    A request for commitment may name each object of a session whose folder is away.
    """
    clock, unreadable = session_context.clock, session_context.index.unreadable_rows
    begin = clock.monotonic()
    until, before = unreadable.get(session.id, (begin, None))
    if before is not None and begin < until:
        raise SessionError(before.detail, before.remedy)
    try:
        _put_back(session_context, session, session.objects)
    except SessionError as error:
        end = clock.monotonic()
        unreadable[session.id] = (end + _REST * (end - begin), error)
        raise
    unreadable.pop(session.id, None)


def _put_back(session_context: SessionContext, session: Session, fewest: int) -> None:
    index = session_context.index
    try:
        rows = list(rows_of_files(session_context, session))
        _require_enough(rows, session, fewest)
    except (SessionError, OSError) as error:
        why = f"the objects of session {session.id} can't be read again: {describe_error(error)}"
        remedy = (
            f"check the folder {session.area}/{session.folder}; if objects are lost, stop the"
            " engine and run: dicomdock check --adopt"
        )
        raise SessionError(why, remedy) from error
    remove_left(session_context, session.id)
    with index.changing() as connection:
        removed_rows.begin_return(connection, session.id)
    # The last ones first: each of them gets a lower number than those before it.
    for end in range(len(rows), 0, -ROWS_AT_ONCE):
        with index.changing() as connection:
            removed_rows.put_back(connection, rows[max(0, end - ROWS_AT_ONCE) : end])
    with index.changing() as connection:
        removed_rows.end_return(connection, session.id, stamp(session_context.clock.now()))


def _require_enough(rows: list[ObjectRow], session: Session, fewest: int) -> None:
    """Refuse rows of a part of the objects: nobody would notice later that others are missing."""
    if len(rows) < min(fewest, session.objects):
        why = f"its folder has {len(rows):,} of {counted(session.objects, 'object')}"
        raise SessionError(why, "put them back")


def remove_left(session_context: SessionContext, session_id: int) -> int:
    """Remove the rows that a session without rows still has, to the last; return how many."""
    removed = 0
    while True:
        with session_context.index.changing() as connection:
            count = removed_rows.remove_some(connection, session_id, ROWS_AT_ONCE)
        removed += count
        if count < ROWS_AT_ONCE:
            return removed
