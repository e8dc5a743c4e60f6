"""Sessions looked up in an index, also while an engine writes to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from engine.model.identity import UNASSIGNED
from engine.model.session import SessionArea
from engine.sessions.index import SESSION_COLUMNS, session_of
from engine.sessions.moments import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.session import Session
    from engine.model.session_query import SessionQuery
    from engine.sessions.ledger_reader import Connection

DEFAULT_LIMIT = 1000
ANYTHING = "*"
TEXTS = ("project", "subject", "label", "study_instance_uid")
"""The columns that words are looked for in."""


class StateCount(NamedTuple):
    """How many objects of a session ended in a state."""

    state: str
    objects: int
    bytes: int


def find_sessions(
    index: Connection, query: SessionQuery, limit: int = DEFAULT_LIMIT
) -> tuple[Session, ...]:
    """Return the sessions that a query means, the most recently changed first."""
    where, values = where_of(query, by_time=True)
    sql = f"SELECT {SESSION_COLUMNS} FROM sessions {where} ORDER BY last_object_at DESC LIMIT ?"
    with index.changing() as connection:
        return tuple(map(session_of, connection.execute(sql, (*values, limit))))


def state_counts(index: Connection, session_id: int) -> tuple[StateCount, ...]:
    """Return what became of the objects of a session."""
    sql = (
        "SELECT state, COUNT(*), SUM(bytes) FROM objects WHERE session = ?"
        " GROUP BY state ORDER BY state"
    )
    with index.changing() as connection:
        return tuple(StateCount(*row) for row in connection.execute(sql, (session_id,)))


def where_of(query: SessionQuery, *, by_time: bool = False) -> tuple[str, tuple[object, ...]]:
    """Return the WHERE clause of a query, empty if it means all, and its values.

    Args:
        query: what the sessions must be like.
        by_time: whether they are looked through in the order of time until there are enough.
    """
    conditions = [
        *_equalities(query),
        *_area(query, by_time),
        *_project(query),
        *_modality(query),
        *_receiver(query),
        *_words(query),
    ]
    where = f"WHERE {' AND '.join(sql for sql, _ in conditions)}" if conditions else ""
    return where, tuple(value for _, values in conditions for value in values)


Condition = tuple[str, tuple[object, ...]]


def _equalities(query: SessionQuery) -> Iterator[Condition]:
    if query.statuses:
        yield f"status IN ({', '.join('?' * len(query.statuses))})", query.statuses
    if query.since is not None:
        yield "last_object_at >= ?", (stamp(query.since),)
    if query.caller is not None:
        yield "instr(lower(calling_ae_title), lower(?))", (query.caller,)


def _area(query: SessionQuery, by_time: bool) -> Iterator[Condition]:
    if query.area is not None:
        # The index of areas would take the place of that of times; of the trash there is little.
        column = "+area" if by_time and query.area is not SessionArea.TRASH else "area"
        yield f"{column} = ?", (query.area,)


def _project(query: SessionQuery) -> Iterator[Condition]:
    if query.project == UNASSIGNED:
        yield "project IS NULL", ()
    elif query.project is not None and ANYTHING in query.project:
        yield _pattern(f"COALESCE(project, '{UNASSIGNED}')", query.project)
    elif query.project is not None:
        yield "project = ?", (query.project,)


def _modality(query: SessionQuery) -> Iterator[Condition]:
    if query.modality is not None and ANYTHING in query.modality:
        yield _pattern("modality", query.modality)
    elif query.modality is not None:
        yield "modality = ?", (query.modality,)


def _receiver(query: SessionQuery) -> Iterator[Condition]:
    label = query.receiver
    if label is not None and ANYTHING in label:
        yield _pattern("receiver", label)
    elif label is not None:
        yield "(receiver = ? OR substr(receiver, 1, ?) = ?)", (label, len(label) + 1, f"{label}:")


def _words(query: SessionQuery) -> Iterator[Condition]:
    for word in query.words:
        yield _anywhere(word, TEXTS)
    for word in query.without:
        sql, values = _anywhere(word, tuple(f"COALESCE({column}, '')" for column in TEXTS))
        yield f"NOT {sql}", values


def _anywhere(word: str, columns: Sequence[str]) -> Condition:
    likes = [_like(column, f"%{_literal(word)}%") for column in columns]
    values = tuple(value for _, parts in likes for value in parts)
    return f"({' OR '.join(sql for sql, _ in likes)})", values


def _pattern(column: str, pattern: str) -> Condition:
    """Return the condition that a column is like a pattern with asterisks for anything."""
    return _like(column, "%".join(map(_literal, pattern.split(ANYTHING))))


def _like(column: str, like: str) -> Condition:
    escape = " ESCAPE '^'" if "^" in like else ""  # which takes longer
    return f"{column} LIKE ?{escape}", (like,)


def _literal(text: str) -> str:
    return re.sub("([%_^])", r"^\1", text)
