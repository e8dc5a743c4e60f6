"""What an index tells another process, such as `dicomdock status`, while an engine writes to it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.model.session import SessionStatus
from engine.sessions.moments import stamp
from engine.sessions.reader import open_to_read

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ObservedReceiver:
    """What the running engine last said of one receiver."""

    receiver: str
    state: str
    reason: str
    since: datetime


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open an index of a possibly running engine for reading; None if there is none."""
    if not path.exists():
        yield None
        return
    connection = open_to_read(path)
    try:
        yield connection
    finally:
        connection.close()


def read_observed(path: Path) -> tuple[ObservedReceiver, ...]:
    """Return what the running engine last said of its receivers."""
    with _reading(path) as connection:
        if connection is None:
            return ()
        rows = connection.execute("SELECT receiver, state, reason, since FROM observed").fetchall()
    return tuple(ObservedReceiver(r, s, why, datetime.fromisoformat(at)) for r, s, why, at in rows)


def read_counts(path: Path, midnight: datetime) -> tuple[int, int]:
    """Return the objects kept since local `midnight` and the sessions being received."""
    with _reading(path) as connection:
        if connection is None:
            return 0, 0
        objects: int = connection.execute(
            "SELECT COUNT(*) FROM objects WHERE at >= ? AND state IN ('stored', 'duplicate')",
            (stamp(midnight),),
        ).fetchone()[0]
        sessions: int = connection.execute(
            "SELECT COUNT(*) FROM sessions WHERE status = ?", (SessionStatus.RECEIVING,)
        ).fetchone()[0]
    return objects, sessions


def read_whitelist_uses(path: Path, receiver: str) -> dict[str, int] | None:
    """Return how often each whitelist line of a receiver let a caller in; None if never counted."""
    with _reading(path) as connection:
        if connection is None:
            return None
        rows = connection.execute(
            "SELECT line, uses FROM whitelist_uses WHERE receiver = ?", (receiver,)
        ).fetchall()
    return dict(rows)


def read_sessions_by_project(path: Path) -> dict[str, int]:
    """Return how many sessions of each project there are."""
    with _reading(path) as connection:
        if connection is None:
            return {}
        query = "SELECT project, COUNT(*) FROM sessions WHERE project NOT NULL GROUP BY project"
        return dict(connection.execute(query).fetchall())
