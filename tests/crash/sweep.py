"""Storage faults at every call: an operation whose n-th call fails, done again, and a new start.

Whatever call it is, the operation fails or succeeds; once the storage works again it can be done
again; then nothing that was answered is lost, half there or there twice, neither now nor after a
power cut, and the next start agrees with the disk.
"""

from __future__ import annotations

import errno
import random
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import EngineError
from tests.crash.calls import Kind
from tests.crash.disk import Disk, lay_out
from tests.crash.dock import clockwork_stopped, running
from tests.crash.operations import OPERATIONS, STARTS, NotDone, Operation, nothing
from tests.crash.scenarios import configure
from tests.crash.states import Told, after
from tests.crash.states import nothing as unwritten
from tests.crash.verdict import correct_inodes, faults_after, faults_of_index
from tests.fakes import NOW, FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from tests.crash.calls import Calls
    from tests.crash.dock import Dock, Sent

ALL = Kind(255)
FAILURES = (EngineError, OSError, sqlite3.Error)


class Failing(NamedTuple):
    """How calls fail."""

    error: int
    kinds: Kind
    lasting: bool
    """Until the storage works again; else once."""


WAYS = (
    Failing(errno.ENOSPC, Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.NAME, lasting=True),
    Failing(errno.EIO, ALL, lasting=False),
    Failing(
        errno.EACCES,
        Kind.OPEN | Kind.CREATE | Kind.NAME | Kind.REMOVE | Kind.CHANGE,
        lasting=False,
    ),
)


class Try(NamedTuple):
    """What came of a try."""

    call: str
    """Which call failed; empty if there were fewer."""
    faults: list[str]


class Sweep:
    """One operation, whose calls fail one after the other."""

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._begins = name in STARTS
        prepare = STARTS.get(name)
        self._operation = (
            OPERATIONS[name] if prepare is None else Operation(prepare, nothing, nothing)
        )
        self._data = calls.root / "data"
        self._base = calls.root.parent / "base"
        self._told = Told(frozenset(), frozenset(), 0, NOW)
        self._sent: dict[bytes, Sent] = {}

    def prepare(self) -> None:
        """Make the data directory that every try begins with."""
        self._calls.record(False)
        configure(self._data)
        with running(self._data, FixedClock(), self._hear) as dock:
            self._operation.prepare(dock)
            self._sent |= dock.sent
        if self._begins:
            kill(self._data)
        self._data.rename(self._base)

    def _hear(self, note: str) -> None:
        self._told = after(self._told, note)

    def count(self, way: Failing) -> int:
        """Return how many calls the operation makes, of the kinds that a way is about."""
        told = self._told
        self._attempt(way, 0, [])
        self._told = told
        return self._calls.counted()

    def attempt(self, way: Failing, at: int) -> Try:
        """Let a call fail, do the operation again, and see what is wrong then."""
        faults: list[str] = []
        told = self._told
        call = self._attempt(way, at, faults)
        self._told = told
        return Try(call, faults)

    def _attempt(self, way: Failing, at: int, faults: list[str]) -> str:
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.copytree(self._base, self._data, ignore=shutil.ignore_patterns("*.bell"))
        disk, clock = Disk(self._calls.root), FixedClock(self._told.now)
        self._calls.take()
        self._calls.record(True)
        if self._begins:
            with suppress(*FAILURES), self._failing(way, at), self._engine(clock) as dock:
                dock.recover()
        with self._engine(clock) as dock:
            if not self._begins:
                with suppress(*FAILURES), self._failing(way, at):
                    self._operation.act(dock)
            call = self._calls.failed()
            if call:
                faults += self._again(dock)
            self._calls.record(False)
            for record in self._calls.take():
                disk.apply(record)
            self._sent |= dock.sent
        if call:
            stopped = self._recovered(self._data, killed=False)
            faults += [f"then, {fault}" for fault in stopped]
            faults += [f"cut off, {fault}" for fault in self._cut_off(disk)]
        return call

    @contextmanager
    def _failing(self, way: Failing, at: int) -> Iterator[None]:
        self._calls.fail(at, way.error, way.kinds, lasting=way.lasting)
        try:
            yield
        finally:
            self._calls.heal()

    def _engine(self, clock: FixedClock) -> AbstractContextManager[Dock]:
        return running(self._data, clock, self._hear)

    def _again(self, dock: Dock) -> list[str]:
        try:
            self._operation.again(dock)
        except FAILURES as error:
            return [f"the operation still fails: {type(error).__name__}: {error}"]
        except NotDone as error:
            return [str(error)]
        dock.look()
        engine: Any = dock.engine
        return [
            f"running, {fault}" for fault in faults_of_index(engine._session_service, live=True)
        ]

    def _recovered(self, data: Path, *, killed: bool) -> list[str]:
        clock = FixedClock(self._told.now)
        with clockwork_stopped():
            return faults_after(
                data, clock, self._told, self._sent, killed=killed, storage_failed=True
            )

    def _cut_off(self, disk: Disk) -> list[str]:
        """Return what is wrong after a power cut that takes all that was not flushed."""
        with TemporaryDirectory(dir=self._calls.root.parent) as scratch:
            folder = Path(scratch, "state")
            inodes = lay_out(disk.tree((), unwritten), folder)
            correct_inodes(folder / "data", inodes)
            return self._recovered(folder / "data", killed=True)


def kill(data: Path) -> None:
    """Take the last row of a session that is received from the index, as a kill does."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index, index:
        index.execute("UPDATE engine SET clean_stop = 0")
        index.execute(
            "DELETE FROM objects WHERE sequence = (SELECT MAX(o.sequence) FROM objects o"
            " JOIN sessions s ON o.session = s.id WHERE s.status = 'RECEIVING')"
        )
        index.execute(
            "UPDATE sessions SET objects = (SELECT COUNT(*) FROM objects WHERE session = id)"
        )


def try_faults(calls: Calls, name: str, wanted: int, seed: int) -> tuple[list[str], str]:
    """Let calls of an operation fail; return the faults in words, and what was tried."""
    sweep = Sweep(calls, name)
    sweep.prepare()
    ways = [(way, at) for way in WAYS for at in range(1, sweep.count(way) + 1)]
    chosen = random.Random(seed).sample(ways, min(wanted, len(ways)))
    found: dict[str, list[str]] = {}
    for way, at in sorted(chosen, key=ways.index):
        tried = sweep.attempt(way, at)
        for fault in tried.faults:
            where = f"{errno.errorcode[way.error]} at {at}: {tried.call}"
            found.setdefault(fault, []).append(where)
    words = [f"{len(where)} × {fault}\n  first with {where[0]}" for fault, where in found.items()]
    return words, f"{name}: {len(chosen)} failing calls of {len(ways)}"
