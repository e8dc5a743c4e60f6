"""What is to run, in the outbox: noted before the index forgets it, removed when it ran."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StorageUnusable
from engine.model.session import SessionStatus
from engine.state.outbox import NewItem, Outbox, OutboxItem, OutboxKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.index.arrivals import Finished


class QueuedRun(NamedTuple):
    """One run of one program that is due."""

    id: int
    processor: int
    finished_at: str
    """UTC, ISO 8601."""
    session: int
    status: SessionStatus
    begun: int
    """How often it was begun; more than 0 after the engine ended in the middle of it."""
    study: str = ""
    """The Study Instance UID of its session; empty if an earlier version noted it."""


class RunQueue(Outbox[QueuedRun]):
    """The queue; every method may be called from any thread, and raises `StorageUnusable`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OutboxKind.COMMAND, _run_of)

    def put(self, runs: Iterable[tuple[int, Finished, str]]) -> None:
        """Note which programs are to run for which finished sessions; again has no effect.

        Args:
            runs: processor, what was finished, and the Study Instance UID of its session.
        """
        self.add(
            NewItem(number, found.sequence, found.at, _what(found, study), found.at)
            for number, found, study in runs
        )


def _what(found: Finished, study: str) -> str:
    return json.dumps({"session": found.session, "status": found.status, "study": study})


def _run_of(item: OutboxItem) -> QueuedRun:
    session, status, study = 0, SessionStatus.READY, ""
    # A row that damage has changed fails as that of a session that is gone; others go on.
    with suppress(ValueError, TypeError, KeyError):
        what = json.loads(item.what)
        session, status, study = int(what["session"]), SessionStatus(what["status"]), what["study"]
    return QueuedRun(item.id, item.target, item.row_at, session, status, item.begun, study)


def highest_session(path: Path) -> int:
    """Return the highest session number that waits in a queue; 0 if there is none to be read."""
    if not path.exists():
        return 0
    with suppress(StorageUnusable), RunQueue(path) as queue:
        return max((run.session for run in queue.items()), default=0)
    return 0
