"""Whatever happens to sessions in the middle of whatever is done with them: nothing is lost.

The thread that works on sessions is held at a named point, while another thread asks, cancels or
receives; or the storage fails there, or the process ends. Then the model says what must be true.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import pydicom
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import NotFound, OutOfResources, SessionError
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import UNFINISHED, SessionAction, SessionStatus, possible_actions
from engine.sessions import builder, runner
from engine.sessions.folders import building, transfer
from engine.sessions.ledger import SessionRepository
from engine.sessions.planner import Planner
from engine.storage import files
from tests.engine.index.depot import open_depot
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS: Final[dict[str, tuple[object, str]]] = {
    "plan": (Planner, "plan"),
    "begin": (SessionRepository, "begin"),
    "free names": (runner, "with_free_names"),
    "carry out": (runner, "carry_out"),
    "aside": (transfer, "_put_aside"),
    "rename": (files, "rename_new"),
    "rest": (transfer, "_remove_rest"),
    "put back": (runner, "undo_move"),
    "note merge": (SessionRepository, "note_merge"),
    "document": (building, "write_atomically"),
    "build": (builder, "build"),
    "rebuild": (runner, "build"),
    "end of build": (SessionRepository, "end_build"),
    "finish": (SessionRepository, "finish"),
    "take back": (SessionRepository, "return_to_queue"),
}
HELD_SECONDS = 20
RESTING = frozenset(SessionStatus) - UNFINISHED - {SessionStatus.RECEIVING}
PROJECTS = ("MANUAL", "OVER", "AUTO")


@dataclass(frozen=True)
class Ask:
    """Somebody asks for what is possible for a session."""

    session: int
    """Which of those that there are."""
    action: int
    """Which of those that are possible."""
    overwrite: bool


@dataclass(frozen=True)
class Receive:
    """An object arrives."""

    project: str
    direct: bool
    series: str
    same_object: bool
    """Whether it is the one that other sessions have too."""


@dataclass(frozen=True)
class Fail:
    """The storage fails, once."""

    code: int


@dataclass(frozen=True)
class Crash:
    """The process ends."""


Change = Ask | Receive


class Ended(BaseException):
    """What `Crash` raises."""


ASKS = st.builds(Ask, st.integers(0, 5), st.sampled_from([0, 0, 1, 2, 3]), st.booleans())
RECEIVES = st.builds(
    Receive,
    st.sampled_from(PROJECTS),
    st.booleans(),
    st.sampled_from(["4", "5"]),
    st.booleans(),
)
CHANGES = st.one_of(ASKS, ASKS, RECEIVES)
FAULTS = st.one_of(st.builds(Fail, st.sampled_from([errno.ENOSPC, errno.EACCES])), st.just(Crash()))


class Interleaved(RuleBasedStateMachine):
    """One data directory, worked on by one thread while others come between."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._opened.enter_context(patch.object(os, "fsync", lambda _fd: None))
        self._opened.enter_context(patch("engine.index.writer.BATCH_SECONDS", 0))
        root = Path(self._opened.enter_context(tempfile.TemporaryDirectory()))
        self.depot = open_depot(root, FixedClock())
        self._opened.callback(lambda: self.depot.index.close())
        self.depot.codes |= {"AUTO": AutoArchive.ARCHIVE, "OVER": AutoArchive.OVERWRITE}

    def teardown(self) -> None:
        try:
            self.everything_comes_to_an_end()
        finally:
            self._opened.close()

    @initialize()
    def three_sessions_of_a_study(self) -> None:
        """One in the archive, one that could be merged into it, and one in the trash."""
        for action in (OperationKind.ARCHIVE, OperationKind.DELETE, None):
            for series in ("4", "5"):
                self._receive(Receive("MANUAL", False, series, series == "5"))
            self._work()
            if action is not None:
                newest = max(session.id for session in self.depot.index.sessions())
                self.depot.ledger.ask(newest, Request(action, "test"))
                self._work()

    @rule(change=CHANGES)
    def change(self, change: Change) -> None:
        self._apply(change)

    @rule(ask=ASKS)
    def work(self, ask: Ask) -> None:
        self._apply(ask)
        self._work()

    @rule(ask=ASKS, point=st.sampled_from(sorted(POINTS)), after=st.booleans(), change=CHANGES)
    def work_and_be_held(self, ask: Ask, point: str, after: bool, change: Change) -> None:
        self._apply(ask)
        with _held_at(point, after, partial(self._in_another_thread, change)):
            self._work()

    @rule(
        fault=st.sampled_from(["rest", "rename", "aside", "rebuild"]),
        point=st.sampled_from(sorted(POINTS)),
        after=st.booleans(),
    )
    def a_merge_fails_and_is_cancelled(self, fault: str, point: str, after: bool) -> None:
        """A session like an archived one is to replace it, the storage fails, somebody cancels."""
        self._receive(Receive("MANUAL", False, "5", True))
        self._work()
        newest = max(session.id for session in self.depot.index.sessions())
        request = Request(OperationKind.ARCHIVE, "test", overwrite=True)
        with suppress(SessionError):
            self.depot.ledger.ask(newest, request)
        with _held_at(fault, after, partial(_raise, Fail(errno.ENOSPC), fault)):
            self._work()
        with _held_at(point, after, partial(self._cancel, newest)):
            self._work()

    def _cancel(self, session: int) -> None:
        with suppress(SessionError, NotFound):
            self.depot.ledger.cancel(session)

    @rule(ask=ASKS, point=st.sampled_from(sorted(POINTS)), after=st.booleans(), fault=FAULTS)
    def work_and_fail(self, ask: Ask, point: str, after: bool, fault: Fail | Crash) -> None:
        self._apply(ask)
        try:
            with _held_at(point, after, partial(_raise, fault, point)), suppress(sqlite3.Error):
                self._work()
        except Ended:
            self._restart()

    def everything_comes_to_an_end(self) -> None:
        """Nothing waits for ever: what can't be archived is a conflict or an error, with words."""
        for _ in range(8):
            self._work()
        assert self.depot.ledger.operations() == ()
        sessions = self.depot.index.sessions()
        assert {session.status for session in sessions} <= RESTING
        placed = Counter(
            self.depot.areas.folder(session) / file
            for session in sessions
            for file in self.depot.ledger.stored_files(session.id)
        )
        on_disk = [path for path in self.depot.all_objects() if "replaced" not in path.parts]
        assert placed == Counter(on_disk)
        assert {s.id: s.objects for s in sessions} == {
            s.id: len(self.depot.ledger.stored_files(s.id)) for s in sessions
        }

    @invariant()
    def every_object_is_there_once(self) -> None:
        on_disk = self.depot.all_objects()
        contents = Counter(str(pydicom.dcmread(path).ImageComments) for path in on_disk)
        assert contents == {str(number + 1): 1 for number in range(self.depot._received)}

    def _work(self) -> None:
        self.depot.index.flush()
        self.depot.fall_silent()

    def _restart(self) -> None:
        received, self.depot = self.depot._received, self.depot.restarted()
        self.depot._received = received
        self.depot.lifecycle.begin(clean=False)
        self.depot.lifecycle.recover()

    def _in_another_thread(self, change: Change) -> None:
        thread = threading.Thread(target=self._apply, args=(change,))
        thread.start()
        thread.join(HELD_SECONDS)
        assert not thread.is_alive(), f"{change} waits for the thread that works on sessions"

    def _apply(self, change: Change) -> None:
        with suppress(SessionError, NotFound, OutOfResources):
            if isinstance(change, Receive):
                self._receive(change)
            else:
                self._ask(change)

    def _ask(self, wanted: Ask) -> None:
        sessions = sorted(self.depot.index.sessions(), key=lambda session: session.id)
        session = sessions[wanted.session % len(sessions)]
        actions = possible_actions(session)
        if not actions:
            return
        action, ledger = actions[wanted.action % len(actions)], self.depot.ledger
        if action is SessionAction.CANCEL:
            ledger.cancel(session.id)
        elif action is SessionAction.REBUILD:
            ledger.request_build(session.id, "admin")
        elif action is SessionAction.EDIT:
            files = ledger.stored_files(session.id)
            scans = tuple({file.split("/")[1] for file in files[:1]})
            ledger.ask(session.id, Request(OperationKind.REMOVE_SCANS, "test", scans=scans))
        else:
            other = PROJECTS[(PROJECTS.index(session.project or "AUTO") + 1) % len(PROJECTS)]
            kind = OperationKind(action)
            ledger.ask(
                session.id,
                Request(kind, "test", merge=True, overwrite=wanted.overwrite, project=other),
            )

    def _receive(self, wanted: Receive) -> None:
        """File an object under a name that others have too, or else under one of its own."""
        depot, number = self.depot, self.depot._received + 1
        elements: dict[str, Any] = {"SeriesNumber": wanted.series, "ImageComments": str(number)}
        elements["SeriesInstanceUID"] = f"1.{wanted.series}"
        if wanted.same_object:
            elements["SOPInstanceUID"] = "1.2.3.999"
        for name in ("a.dcm", f"{number}.dcm"):
            depot._received = number - 1
            try:
                depot.receive(wanted.project, direct=wanted.direct, name=name, **elements)
            except FileExistsError:
                continue
            except OutOfResources:  # a direct session has no place: the sender is told
                depot._received = number - 1
                raise
            return


def _raise(fault: Fail | Crash, point: str) -> None:
    if isinstance(fault, Crash):
        raise Ended
    if POINTS[point][0] is SessionRepository:
        raise sqlite3.OperationalError(os.strerror(fault.code))
    raise OSError(fault.code, os.strerror(fault.code))


def _held_at(point: str, after: bool, act: Callable[[], None]) -> Any:
    """Act once before or after a function is called the next time."""
    owner, name = POINTS[point]
    real, left = getattr(owner, name), [act]

    def hold(*arguments: Any, **options: Any) -> Any:
        if left and not after:
            left.pop()()
        result = real(*arguments, **options)
        if left and after:
            left.pop()()
        return result

    return patch.object(owner, name, hold)


Interleaved.TestCase.settings = settings(
    max_examples=25, stateful_step_count=8, deadline=None, print_blob=True
)
TestInterleavings = Interleaved.TestCase
