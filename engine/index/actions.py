"""The actions of people on sessions, and whether each can be undone.

A row is written in the transaction that ends the action: there is one for each action that was
carried out, whatever crashes. Actions of rules have none, but an archiving that a person's rebuild
or move has led to is noted with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.api.sessions import PastAction
from engine.errors import NotFound
from engine.index.operations import AUTO_ARCHIVE, OperationKind
from engine.index.store import is_folder_in_use
from engine.model.session import SessionArea, SessionStatus

if TYPE_CHECKING:
    import sqlite3

    from engine.index.operations import Plan, Request
    from engine.model.session import Session


REBUILD = "rebuild"
EDIT = "edit"
"""A move with other labels."""
KEPT = 100
"""Rows; older ones are removed. People see ten."""
_RECORDED = frozenset(
    (
        *(OperationKind.ARCHIVE, OperationKind.MOVE, OperationKind.DELETE),
        *(OperationKind.RESTORE, OperationKind.REMOVE_SCANS),
    )
)
_RESTING = frozenset(
    (
        *(SessionStatus.READY, SessionStatus.CONFLICT, SessionStatus.ERROR),
        *(SessionStatus.ARCHIVED, SessionStatus.DELETED),
    )
)
_COLUMNS = "id, session, kind, asked_by, at, before, removed, archived, final, undone_by, undone_at"
_MERGED_SINCE = "objects of another session were merged into it since"
_CHANGED_SINCE = "the session was changed again since; undo the later action first"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a session was, and what it was called."""

    area: SessionArea
    folder: str
    project: str | None
    subject: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Action:
    """One row."""

    id: int
    session: int
    kind: str
    by: str
    at: datetime
    before: Whereabouts
    removed: int | None
    """The session in the trash that has the scans that were removed."""
    archived: bool
    """Whether its project has archived the session by itself after it."""
    final: str
    """Why it can't be undone whatever happens; empty if nothing is known against it."""
    undone_by: str
    undone_at: datetime | None


def note_rebuild(connection: sqlite3.Connection, session: Session, by: str, at: str) -> None:
    """Note that somebody asked to build a session again."""
    _insert(connection, session, REBUILD, by, at)


def note_action(
    connection: sqlite3.Connection, session: Session, request: Request, plan: Plan, at: str
) -> None:
    """Note an operation that is complete.

    Args:
        connection: the index, in the transaction that ends the operation.
        session: its row from before.
        request: the operation.
        plan: its steps.
        at: the present time.
    """
    is_merge = plan.into is not None and not plan.leaves_rest
    if request.kind is OperationKind.UNDO:
        _note_undone(connection, "id", request.action, request.by, at)
    elif request.kind is OperationKind.RESTORE:
        _note_undone(connection, "removed", session.id, request.by, at)
    if request.kind is OperationKind.ARCHIVE and request.by == AUTO_ARCHIVE:
        connection.execute(
            "UPDATE actions SET archived = 1 WHERE id ="
            " (SELECT MAX(id) FROM actions WHERE session = ? AND undone_by = '')",
            (session.id,),
        )
    elif request.kind in _RECORDED and not (is_merge and plan.area is SessionArea.PREARCHIVE):
        removed = plan.into if plan.leaves_rest else None
        kind = EDIT if request.subject or request.label else str(request.kind)
        _insert(connection, session, kind, request.by, at, removed)
    if is_merge:
        _finalize(connection, session.id, f"it was merged into session {plan.into}")
        if plan.area is SessionArea.ARCHIVE and plan.into is not None:
            _finalize(connection, plan.into, _MERGED_SINCE)


def action_row(connection: sqlite3.Connection, number: int) -> Action:
    """Return one action, inside a transaction.

    Raises:
        NotFound: if there is none of this number (any more).
    """
    row = connection.execute(f"SELECT {_COLUMNS} FROM actions WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no action {number}", "list them with: sessions undo")
    return _action_of(row)


def newest_actions(connection: sqlite3.Connection, limit: int) -> tuple[PastAction, ...]:
    """Return the last actions of everybody, the newest first."""
    query = f"SELECT {_COLUMNS} FROM actions ORDER BY id DESC LIMIT ?"
    actions = [_action_of(row) for row in connection.execute(query, (min(limit, KEPT),)).fetchall()]
    return tuple(
        PastAction(
            number=action.id,
            session=action.session,
            label=action.before.label,
            project=action.before.project,
            what=f"{action.kind}, then archived" if action.archived else action.kind,
            by=action.by,
            at=action.at,
            why_not=why_not(connection, action),
            undone_by=action.undone_by,
            undone_at=action.undone_at,
        )
        for action in actions
    )


def why_not(connection: sqlite3.Connection, action: Action) -> str:
    """Return why an action can't be undone now, in words; empty if it can."""
    if action.undone_by:
        return f"undone by {action.undone_by}"
    if action.final:
        return action.final
    if action.kind == OperationKind.RESTORE:
        return "delete the session again instead"
    if action.kind == REBUILD and not action.archived:
        return "a rebuild by itself changes nothing that could be undone"
    if action.removed is not None:
        return _why_scans_stay(connection, action.removed)
    row = connection.execute(
        "SELECT status FROM sessions WHERE id = ?", (action.session,)
    ).fetchone()
    if row is None:
        return "the session is gone: merged into another, or removed from the trash"
    # A rebuild by itself is nothing to undo.
    later = (
        "SELECT 1 FROM actions WHERE session = ? AND id > ? AND undone_by = ''"
        f" AND NOT (kind = '{REBUILD}' AND archived = 0) LIMIT 1"
    )
    if connection.execute(later, (action.session, action.id)).fetchone():
        return _CHANGED_SINCE
    if SessionStatus(row[0]) not in _RESTING:
        return f"the session is {row[0]} just now"
    before = action.before
    if before.area is SessionArea.ARCHIVE and is_folder_in_use(
        connection, before.folder, action.session
    ):
        return "another session has its place in the archive; restore it instead"
    return ""


def _why_scans_stay(connection: sqlite3.Connection, removed: int) -> str:
    row = connection.execute("SELECT status FROM sessions WHERE id = ?", (removed,)).fetchone()
    if row is None:
        return "the scans were removed from the trash for good"
    return "" if row[0] == SessionStatus.DELETED else "the scans are not in the trash any more"


def _insert(
    connection: sqlite3.Connection,
    session: Session,
    kind: str,
    by: str,
    at: str,
    removed: int | None = None,
) -> None:
    before = {
        "area": session.area,
        "folder": session.folder,
        "project": session.project,
        "subject": session.subject,
        "label": session.label,
    }
    cursor = connection.execute(
        "INSERT INTO actions (session, kind, asked_by, at, before, removed)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (session.id, kind, by, at, json.dumps(before), removed),
    )
    assert cursor.lastrowid is not None
    connection.execute("DELETE FROM actions WHERE id <= ?", (cursor.lastrowid - KEPT,))


def _finalize(connection: sqlite3.Connection, session_id: int, why: str) -> None:
    connection.execute(
        "UPDATE actions SET final = ? WHERE session = ? AND final = '' AND undone_by = ''",
        (why, session_id),
    )


def _note_undone(connection: sqlite3.Connection, column: str, value: int, by: str, at: str) -> None:
    connection.execute(
        f"UPDATE actions SET undone_by = ?, undone_at = ? WHERE {column} = ? AND undone_by = ''",
        (by, at, value),
    )


def _action_of(row: tuple[object, ...]) -> Action:
    number, session, kind, by, at, before, removed, archived, final, undone_by, undone_at = row
    raw = json.loads(str(before))
    return Action(
        number,  # type: ignore[arg-type]
        session,  # type: ignore[arg-type]
        str(kind),
        str(by),
        datetime.fromisoformat(str(at)),
        Whereabouts(**raw | {"area": SessionArea(raw["area"])}),
        removed,  # type: ignore[arg-type]
        bool(archived),
        str(final),
        str(undone_by),
        datetime.fromisoformat(str(undone_at)) if undone_at else None,
    )
