"""All receiving processes: starts them, gives them connections, and replaces those that end."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import psutil

from engine.api import ProcessStatus
from engine.errors import EngineError
from engine.events import ReceivingProcessEnded
from engine.reception.processes.link import Link
from engine.reception.processes.process import HandedConnection, ReceivingProcess
from engine.storage.incoming import sweep_area

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from engine.intake.rule_failures import RuleKey
    from engine.model.configuration import Configuration
    from engine.model.whitelist import Address
    from engine.reception.listener import PortListener
    from engine.reception.processes.process import DockParts

CONFIGURE_SECONDS = 30.0
"""A process that has not applied a configuration by then is replaced."""
STOP_SECONDS = 5.0
LATE_SECONDS = 10.0
"""The engine is not well if a process that has ended is not replaced by then."""
USAGE_SECONDS = 2.0
MOST_USAGES = 100
BEAT_SECONDS = 5.0
"""How often a process says that it is alive; that costs 0.1 ms (2026)."""
HUNG_SECONDS = 30.0
"""A process that has said nothing for so long is replaced."""
PAUSE_SECONDS = 1.0
"""Before a process is replaced that has ended soon after its start."""

_logger = logging.getLogger(__name__)


class Child(Protocol):
    """A process of the operating system."""

    @property
    def pid(self) -> int | None:
        """Its number."""
        ...


class StartChild(Protocol):
    """Starts a process that serves a link."""

    def __call__(
        self,
        area: str,
        link: socket.socket,
        sockets: socket.socket,
        configuration: Configuration,
        beat_seconds: float,
    ) -> Child:
        """Start it.

        Args:
            area: the name of its folder of arriving objects.
            link: for calls.
            sockets: for connections.
            configuration: which it begins with.
            beat_seconds: how often it says that it is alive.
        """
        ...


@dataclass(slots=True)
class _Running:
    """A process with what it was started with."""

    process: ReceivingProcess
    area: str
    started_at: float
    child: Child | None = None
    """None until it runs."""

    @property
    def pid(self) -> int:
        """Its number in the operating system; 0 until it runs."""
        return (self.child.pid if self.child else 0) or 0


class _Usage(NamedTuple):
    """What a process has used."""

    at: float
    pid: int
    cpu_seconds: float
    memory_bytes: int


class ReceivingProcesses:
    """The receiving processes of one engine; for all threads."""

    def __init__(
        self,
        wanted: int,
        parts: DockParts,
        start: StartChild,
        end: Callable[[Any], int | None],
        incoming: Path,
        run: str,
        adopt: Callable[[Sequence[int], Collection[int]], object],
    ) -> None:
        """No process is started yet.

        Args:
            wanted: how many there are to be.
            parts: what they may use.
            start: starts one.
            end: kills one, if it still runs, and returns its exit code.
            incoming: the folder that has a folder for each of them.
            run: what the names of these begin with.
            adopt: gives objects of some sessions, by inode, a row if they lack one.
        """
        self._wanted = wanted
        self._parts = parts
        self._start_child, self._end_child = start, end
        self._incoming, self._run = incoming, run
        self._adopt = adopt
        self._lock = threading.RLock()
        self._configuration: Configuration | None = None
        self._suspended: frozenset[RuleKey] = frozenset()
        self._running: dict[int, _Running] = {}
        self._ended_at: dict[int, float] = {}
        """When those ended that are not replaced yet; monotonic."""
        self._usages: dict[int, _Usage] = {}
        self._stopping = False
        self._is_over = threading.Event()
        self._connections, self._starts = count(1), count(1)
        parts.index.forgotten = self.take_back
        self._watching = threading.Thread(
            target=self._watch, name="receiving-processes", daemon=True
        )

    def apply(self, configuration: Configuration) -> None:
        """Let all processes use a configuration; start them at the first one.

        Those that are being started are not waited for: the ports can be opened meanwhile.
        """
        with self._lock:
            self._configuration = configuration
            running = tuple(self._running.values())
            missing = set(range(1, self._wanted + 1)).difference(self._running, self._ended_at)
            for number in sorted(missing):
                self._start(number)
            if self._watching.ident is None:
                self._watching.start()
        self._have_done(running, "a configuration", "configure", configuration)

    def table_changed(self, path: Path) -> None:
        """Let all processes read the tables of a file again."""
        running = tuple(self._running.values())
        self._have_done(running, "a table of labels", "table_changed", path)

    def _have_done(self, running: Sequence[_Running], what: str, name: str, argument: Any) -> None:
        """Let processes do something, and wait for it; replace those that do not do it."""
        asked = [(one, _Answer()) for one in running]
        for one, answer in asked:
            one.process.ask(answer.take, name, argument)
        for one, answer in asked:
            if not answer.is_good(CONFIGURE_SECONDS):
                one.process.give_up(f"did not apply {what}")

    def suspend(self, rules: frozenset[RuleKey]) -> None:
        """Let no process evaluate these rules, all that are suspended."""
        with self._lock:
            self._suspended = rules
            running = tuple(self._running.values())
        for one in running:
            one.process.tell("suspend", rules)

    def connection(
        self, connected: socket.socket, address: Address, peer: str, port: PortListener
    ) -> HandedConnection:
        """Return an accepted connection for the process that has the fewest."""
        with self._lock:
            running = [one.process for one in self._running.values()]
        if not running:
            raise ConnectionError("no receiving process runs")
        least = min(running, key=lambda process: process.connections)
        return HandedConnection(least, port, next(self._connections), connected, address, peer)

    def take_back(self, session_id: int) -> None:
        """Let no process put further objects into a session that does not ask again."""
        for one in tuple(self._running.values()):
            if one.process.hold_of(session_id):
                one.process.tell("take_back", session_id)

    def settle(self) -> None:
        """Wait until the rows of all objects that were answered are on their way to the index."""
        for one in tuple(self._running.values()):
            with suppress(EngineError):
                one.process.call("settle", seconds=CONFIGURE_SECONDS)

    def recent(self) -> list[Any]:
        """Return the latest headers of all processes."""
        headers: list[Any] = []
        for one in tuple(self._running.values()):
            with suppress(EngineError):
                headers += one.process.call("recent", seconds=CONFIGURE_SECONDS)
        return headers

    def _watch(self) -> None:
        """Replace processes that hang; on a thread of its own."""
        silent: set[int] = set()
        while not self._is_over.wait(BEAT_SECONDS):
            running = tuple(self._running.values())
            found = {one.pid: one for one in running if one.process.is_silent(HUNG_SECONDS)}
            for pid, one in found.items():
                # At the second look only: at the first one the engine itself may have been halted,
                # and what the process has said is still to be read.
                if pid in silent and not _waits_for_storage(pid):
                    one.process.give_up(f"did not respond for {HUNG_SECONDS:g} s")
            silent = set(found)

    def dead(self) -> tuple[str, ...]:
        """Return the names of processes that could not be replaced; takes no lock."""
        if self._stopping:
            return ()
        late = time.monotonic() - LATE_SECONDS
        ended = self._ended_at.copy().items()
        return tuple(f"receiving process {number}" for number, at in ended if at < late)

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Return what each process has and uses."""
        running = sorted(self._running.copy().items())
        return tuple(_status(one.process, self._used(one.pid)) for _, one in running if one.pid)

    def _used(self, pid: int) -> _Usage:
        """Return what a process uses, as it was at most `USAGE_SECONDS` ago."""
        now, known = time.monotonic(), self._usages.get(pid)
        # A console asks four times a second, and the kernel goes through all pages for the memory.
        if known is None or now - known.at > USAGE_SECONDS:
            if len(self._usages) > MOST_USAGES:
                self._usages.clear()
            self._usages[pid] = known = _usage(pid, now)
        return known

    def stop(self) -> None:
        """End all processes, once they have said what there is to be said."""
        with self._lock:
            self._stopping = True
            self._is_over.set()
            running = tuple(self._running.values())
        for one in running:
            one.process.tell("stop")
        for one in running:
            one.process.join(STOP_SECONDS)
            one.process.close()
            one.process.join(STOP_SECONDS)
        if self._watching.ident is not None:
            self._watching.join()

    def _start(self, number: int) -> None:
        """Let a process be started, which takes a while; with the lock."""
        configuration, area = self._configuration, f"{self._run}-{next(self._starts)}"
        assert configuration is not None
        ours, theirs = socket.socketpair()
        sockets, their_sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def begin() -> None:
            with theirs, their_sockets:
                running.child = self._start_child(
                    area, theirs, their_sockets, configuration, BEAT_SECONDS
                )
            self._ended_at.pop(number, None)

        process = ReceivingProcess(number, self._parts, Link(ours), sockets, begin, self._ended)
        running = self._running[number] = _Running(process, area, time.monotonic())
        process.start()
        process.tell("suspend", self._suspended)

    def _ended(self, process: ReceivingProcess) -> None:
        """Start another process for one that has ended, and clean up; on its serving thread."""
        with self._lock:
            ended = self._running.pop(process.number)
            self._ended_at.setdefault(process.number, time.monotonic())
        # First, so that callers find a process again.
        self._replace(ended)
        if ended.child is None:
            if not self._stopping:
                _logger.warning("receiving process %d %s", process.number, process.fault)
            return
        code = self._end_child(ended.child)
        published = sweep_area(self._incoming, ended.area)
        # A session may be built now: the build gives rows to what lacks one, too.
        sessions = process.free_sessions()
        if self._stopping:
            return
        self._parts.journal.record(
            ReceivingProcessEnded(
                number=process.number,
                how=f"{process.fault}, was killed" if process.fault else _how(code),
                associations=process.lost_associations,
                sessions=len(sessions),
            )
        )
        if sessions and published:
            self._adopt(sessions, published)

    def _replace(self, ended: _Running) -> None:
        """Start a process in the place of one that has ended, unless the engine stops."""
        if time.monotonic() - ended.started_at < PAUSE_SECONDS:
            self._is_over.wait(PAUSE_SECONDS)
        while not self._stopping:
            try:
                with self._lock:
                    if not self._stopping:
                        self._start(ended.process.number)
            except OSError as error:
                _logger.warning("no receiving process can be started: %s", error)
                self._is_over.wait(PAUSE_SECONDS)
            else:
                return


class _Answer:
    """The answer of a process to a configuration."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._answer: Any = None

    def take(self, answer: Any) -> None:
        """Note the answer."""
        self._answer = answer
        self._done.set()

    def is_good(self, seconds: float) -> bool:
        """Wait for it; return whether the configuration is applied."""
        return self._done.wait(seconds) and self._answer is None


def _waits_for_storage(pid: int) -> bool:
    """Tell whether a thread of a process is in a wait that no signal ends (proc(5), state D).

    It goes on when the storage does, and to kill it would not help.
    """
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return any(stat.rpartition(")")[2].startswith(" D") for stat in stats)


def _how(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None:
        return "ended"
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _usage(pid: int, now: float) -> _Usage:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        times = process.cpu_times()
        return _Usage(now, pid, times.user + times.system, process.memory_full_info().uss)
    return _Usage(now, pid, 0.0, 0)


def _status(process: ReceivingProcess, used: _Usage) -> ProcessStatus:
    return ProcessStatus(
        *(process.number, used.pid, process.associations, process.objects),
        *(used.cpu_seconds, used.memory_bytes),
    )
