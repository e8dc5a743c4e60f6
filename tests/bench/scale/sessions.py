"""What one step of the life cycle costs while there are many sessions: CPU, not time."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.index.store import SessionIndex, SessionKey, SessionOrigin
from engine.model.session import SessionStatus
from engine.sessions.ledger import SessionRepository
from engine.sessions.service import sessions_without_engine
from engine.state.database import stamp
from tests.bench.processes import Failed
from tests.bench.scale.docks import Dock

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.session import Session

STEPS = 100
"""How many sessions are worked on; only these have files."""
_MOST_SECONDS = 120.0
_LOOK_SECONDS = 0.02


def status_change(folder: Path, sessions: int) -> float:
    """Return the milliseconds of one change of a status, while all sessions are being received."""
    dock = Dock(folder)
    dock.fill(sessions, 0)
    with closing(SessionIndex(dock.settings.index_file, durable=False)) as index:
        ledger = SessionRepository(index, SystemClock())
        for session in index.sessions(SessionStatus.RECEIVING):
            _meet(index, session)
        steps = min(STEPS, sessions)
        began = time.thread_time()
        for number in range(1, steps + 1):
            ledger.change(number, SessionStatus.QUEUED_BUILDING)
        return 1000 * (time.thread_time() - began) / steps


def _meet(index: SessionIndex, session: Session) -> None:
    """Let the index remember where the objects of a session go, as if some had arrived."""
    key = SessionKey(session.project, session.study_instance_uid, session.label)
    origin = SessionOrigin(None, None, "BENCH:8104", "CT1", session.last_object_at)
    place = index.session_for(key, origin, lambda _at: ("never", "made"))
    index.session_writers.release(place.hold)


def build(folder: Path, sessions: int) -> float:
    """Return the milliseconds of one build, of sessions that all fell idle at the same time."""
    dock = Dock(folder)
    dock.fill(sessions, files=STEPS)
    built = f"SELECT count(*) FROM sessions WHERE status = '{SessionStatus.READY}'"
    return _worked(dock, built, min(STEPS, sessions))


def operation(folder: Path, sessions: int) -> float:
    """Return the milliseconds of one deletion, while one is asked for each session."""
    dock = Dock(folder)
    dock.fill(sessions, status=SessionStatus.QUEUED_DELETING, files=STEPS)
    arguments = json.dumps(asdict(Request(OperationKind.DELETE, "bench")))
    asked = (
        (n, OperationKind.DELETE, SessionStatus.READY, "bench", stamp(dock.heard(n)), arguments)
        for n in range(1, sessions + 1)
    )
    dock.execute("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, NULL)", asked)
    done = "SELECT count(*) FROM sessions WHERE area = 'trash'"
    return _worked(dock, done, min(STEPS, sessions))


def purge(folder: Path, sessions: int) -> float:
    """Return the milliseconds of the removal of one entry of the trash, which has so many."""
    dock = Dock(folder)
    dock.fill(sessions, status=SessionStatus.DELETED, area="trash", files=STEPS)
    steps = min(STEPS, sessions)
    return _worked(dock, f"SELECT {sessions} - count(*) FROM sessions", steps)


def _worked(dock: Dock, done: str, steps: int) -> float:
    """Let the thread of the sessions work until that many steps are done; return CPU for each.

    Without the CPU of the thread that counts them here.
    """
    deadline = time.monotonic() + _MOST_SECONDS
    with sessions_without_engine(dock.settings, SystemClock()) as service:
        began = _of_other_threads()
        service.start()
        while dock.count(done) < steps and time.monotonic() < deadline:
            threading.Event().wait(_LOOK_SECONDS)
        service.stop()
        spent = _of_other_threads() - began
        count = dock.count(done)
    if not count:
        raise Failed(f"nothing was done within {_MOST_SECONDS:.0f} s")
    return 1000 * spent / count


def _of_other_threads() -> float:
    """Return the CPU seconds of all threads but this one."""
    return time.process_time() - time.thread_time()
