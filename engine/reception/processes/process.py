"""One receiving process, as the engine's main process sees it: its calls, and its end."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engine.api import AssociationEnd
from engine.index.store import SessionPlace
from engine.index.writer import ObjectRow
from engine.model.limits import Limits
from engine.reception.acceptance import Rejection
from engine.reception.processes.workers import FilesOfJobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from engine.certificates.files import Stamp
    from engine.certificates.tls_context import TlsContents
    from engine.events import Event
    from engine.events.journal import Journal
    from engine.index.store import SessionIndex
    from engine.intake.dock import ObjectDock
    from engine.intake.rule_failures import RuleKey, SlowRules
    from engine.model.tls import PeerCertificate, TlsSettings
    from engine.model.whitelist import Address
    from engine.processing.workers import RunsProcessors
    from engine.reception.associations import Associations
    from engine.reception.listener import PortListener
    from engine.reception.live_association import LiveAssociation, Report
    from engine.reception.processes.link import Link
    from engine.storage.quarantine import QuarantineRoom
    from engine.workers.scripts import RunsScripts

ENDED_KEPT = 256
"""Ended associations whose last object may still be on its way through the pool."""
LOST = "the process that received it has ended"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DockParts:
    """The parts of the engine that a receiving process may use."""

    index: SessionIndex
    objects: ObjectDock
    associations: Associations
    journal: Journal
    look_at_storage: Callable[[], object]
    """Looks at the free space, and reports what has changed."""
    note_processor: Callable[..., object]
    """Counts an object that a processor has seen."""
    slow_rules: SlowRules
    """Counts the failures of rules."""
    room: QuarantineRoom
    """Limits what the quarantine holds."""
    scripts: RunsScripts
    processors: RunsProcessors
    pool: Executor
    """For work that may take a while."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """What goes to a process together with the socket of a connection."""

    number: int
    port: int
    tls: TlsSettings | None
    address: Address
    peer: str
    is_rate_limited: bool
    limits: Limits


class ReceivingProcess:
    """Serves one process until it ends; for all threads."""

    def __init__(
        self,
        number: int,
        parts: DockParts,
        link: Link,
        sockets: socket.socket,
        begin: Callable[[], object],
        ended: Callable[[ReceivingProcess], object],
    ) -> None:
        """Take both connections to a process that is yet to be started.

        Args:
            number: of the process, from 1 on.
            parts: what it may use.
            link: for calls.
            sockets: a pair of SOCK_SEQPACKET, for connections.
            begin: starts it, on the thread that serves it then; may raise OSError.
            ended: called once it has ended, on the thread that served it.
        """
        self.number = number
        self.objects = 0
        """How many objects it has received."""
        self.lost_associations = 0
        """How many were open when it ended."""
        self.fault = ""
        """Why the engine ended it; empty if it did not."""
        self._heard_at = time.monotonic()
        self._is_called = True
        """Whether it can't be heard: it is being started, or a call of it is being answered."""
        self._parts = parts
        self._link = link
        self._sockets = sockets
        sockets.setblocking(False)
        self._files = FilesOfJobs(sockets)
        self._begin, self._ended = begin, ended
        self._lock = threading.Lock()
        """Guards what is below."""
        self._connections: dict[int, HandedConnection] = {}
        self._lives: dict[str, LiveAssociation] = {}
        self._past: deque[str] = deque()
        self._holds: Counter[int] = Counter()
        self._tls_ports: dict[TlsSettings, PortListener] = {}
        self._thread = threading.Thread(
            target=self._serve, name=f"receiving-process-{number}", daemon=True
        )
        self.tell, self.ask, self.call = link.tell, link.ask, link.call

    def start(self) -> None:
        """Start it; returns at once. What it is given before it runs waits for it."""
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return len(self._connections)

    @property
    def associations(self) -> int:
        """How many open associations it has."""
        with self._lock:
            return sum(live.is_open for live in self._lives.values())

    def hold_of(self, session_id: int) -> bool:
        """Tell whether it may put objects into a session."""
        return session_id in self._holds

    def take_over(self, connection: HandedConnection, connected: socket.socket) -> None:
        """Give it a connection.

        Raises:
            OSError: if it has ended, or takes none at the moment.
        """
        port = connection.port
        tls = port.tls.settings if port.tls else None
        if tls is not None:
            self._tls_ports[tls] = port
        over = HandOver(
            *(connection.number, port.port, tls, connection.address, connection.peer),
            *(connection.is_rate_limited, connection.limits),
        )
        with self._lock:
            self._connections[connection.number] = connection
        try:
            socket.send_fds(self._sockets, [pickle.dumps(over)], [connected.fileno()])
        except OSError:
            with self._lock:
                del self._connections[connection.number]
            raise

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing has come from it for so long."""
        return not self._is_called and time.monotonic() - self._heard_at > seconds

    def give_up(self, fault: str) -> None:
        """End it because it does not do what it should: `fault` says how it was found."""
        self.fault = self.fault or fault
        self.close()

    def close(self) -> None:
        """End the link; the process ends then."""
        self._link.close()

    def join(self, seconds: float) -> None:
        """Wait until everything that it has said is done."""
        self._thread.join(seconds)

    # On the thread that serves it.

    def _serve(self) -> None:
        try:
            self._begin()
        except Exception as error:
            # Whatever it is: the next try may do, and without one nothing would be received.
            self.fault = f"could not be started ({type(error).__name__}: {error})"
        else:
            self._heard_at, self._is_called = time.monotonic(), False
            self._answer_calls()
        try:
            self._clean_up()
        finally:
            self._ended(self)

    def _answer_calls(self) -> None:
        for name, arguments, question in self._link.receive():
            self._is_called = True
            try:
                answer = _CALLS[name](self, *arguments)
            except Exception as error:
                if not question:
                    _logger.exception("a receiving process's call %s failed", name)
                answer = error
            if isinstance(answer, _Job):
                with suppress(RuntimeError):  # the engine has stopped
                    self._parts.pool.submit(self._do, answer, question)
            elif question:
                self._link.answer(question, answer)
                if name == "file":
                    self._take_back_at_once(answer)
            self._heard_at, self._is_called = time.monotonic(), False

    def _do(self, job: _Job, question: int) -> None:
        """Do a job, and answer; on a thread of the pool."""
        try:
            answer = job()
        except Exception as error:
            answer = error
        self._link.answer(question, answer)

    def _run_scripts(self, ticket: int, steps: Any, labels: Any) -> _Job:
        files = self._files.of(ticket)
        run = self._parts.scripts.run_scripts
        return _Job(partial(run, *files, steps, labels), files)

    def _run_processor(self, ticket: int, instance_id: int, job: Any) -> _Job:
        files = self._files.of(ticket)
        return _Job(partial(self._parts.processors.run, instance_id, job, files), files)

    def _clean_up(self) -> None:
        """Close what the process has left open."""
        self._files.close()
        self._sockets.close()
        self._link.close()
        with self._lock:
            connections, self._connections = list(self._connections.values()), {}
            lives, self._lives = list(self._lives.values()), {}
        open_ones = [live for live in lives if live.is_open]
        self.lost_associations = len(open_ones)
        for live in open_ones:
            live.why = live.why or LOST
            self._parts.associations.close(live, AssociationEnd.ABORTED)
        for connection in connections:
            connection.why = connection.why or LOST
            connection.port.closed(connection)

    def free_sessions(self) -> tuple[int, ...]:
        """Give back all sessions that it held; return them."""
        with self._lock:
            holds, self._holds = self._holds, Counter()
        for session, times in holds.items():
            for _ in range(times):
                self._parts.index.session_writers.release(session)
        return tuple(holds)

    def _record(self, row: tuple[Any, ...], answer_seconds: float) -> None:
        self.objects += 1
        self._parts.objects.record(ObjectRow._make(row), answer_seconds, _nothing)

    def _count_object(self, association: str, *counts: Any) -> None:
        live = self._lives.get(association)
        if live is not None:
            self._parts.associations.count_object(live, *counts)

    def _commit(self, association: str, *about: Any) -> _Job:
        live = self._lives[association]
        return _Job(partial(self._parts.associations.commit, live, *about))

    def _reported(self, association: str, number: int, status: int) -> None:
        live = self._lives.get(association)
        if live is not None:
            self._parts.associations.reported(live, number, status)

    def _established(self, association: str, *about: Any) -> None:
        live = self._lives.get(association)
        if live is not None:
            self._parts.associations.established(live, *about)

    def _close(self, association: str, end: AssociationEnd, why: str) -> None:
        live = self._lives.get(association)
        if live is None:
            return
        live.why = live.why or why
        self._parts.associations.close(live, end)
        # Not forgotten at once: its last object may still be on its way through the pool.
        self._past.append(association)
        if len(self._past) > ENDED_KEPT:
            with self._lock:
                self._lives.pop(self._past.popleft(), None)

    def _admit(
        self,
        number: int,
        called: str,
        calling: str,
        application_context: str,
        protocol_version: int,
        certificate: Any,
    ) -> object:
        connection = self._connections[number]
        connection.certificate, connection.request_received = certificate, True
        proposal: Any = SimpleNamespace(
            called_ae_title=called,
            calling_ae_title=calling,
            application_context=application_context,
            protocol_version=protocol_version,
        )
        decision = connection.port.admit(connection, proposal)
        if isinstance(decision, Rejection):
            return decision
        live, limits = decision
        connection.live = live
        with self._lock:
            self._lives[live.id] = live
        return live.id, live.receiver, live.whitelist_line, live.since, limits

    def _heard(self, number: int) -> None:
        self._connections[number].is_silent = False

    def _refused(self, number: int, why: str, called: str, calling: str) -> None:
        connection = self._connections[number]
        connection.port.refused(connection, why, called, calling)

    def _gone(self, number: int, why: str) -> None:
        with self._lock:
            connection = self._connections.pop(number)
        connection.why = connection.why or why
        connection.port.closed(connection)

    def _file(self, *about: Any) -> object:
        key, origin, directly = about
        place = self._parts.objects.file(key, origin, directly=directly)
        with self._lock:
            self._holds[place.id] += 1
        return place

    def _take_back_at_once(self, place: object) -> None:
        """Take a session back whose status has changed while it was granted.

        After the answer, which would cross a demand that came before it.
        """
        if isinstance(place, SessionPlace) and not self._parts.index.knows_place(place.id):
            self.tell("take_back", place.id)

    def _give_back(self, session: int) -> None:
        with self._lock:
            self._holds[session] -= 1
            if not self._holds[session]:
                del self._holds[session]
        self._parts.index.session_writers.release(session)

    def _event(self, event: Any) -> None:
        self._parts.journal.record(event)

    def _rule_failed(self, rule: RuleKey, make: Callable[..., Event], timed_out: bool) -> None:
        self._parts.slow_rules.note(rule, make, timed_out=timed_out)

    def _look_at_storage(self) -> None:
        self._parts.look_at_storage()

    def _newer_tls(self, tls: TlsSettings, stamp: Stamp) -> TlsContents | None:
        port = self._tls_ports[tls]
        return port.tls.newer_than(stamp) if port.tls else None


def _nothing() -> None:
    """Remove no part: the process does that itself."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What takes a while, and the files that it needs until then."""

    work: Callable[[], object]
    files: tuple[int, ...] = ()

    def __call__(self) -> object:
        """Do it, and close the files."""
        try:
            return self.work()
        finally:
            for descriptor in self.files:
                os.close(descriptor)


class HandedConnection:
    """What the port that accepted a connection knows of it; for all threads."""

    def __init__(
        self,
        process: ReceivingProcess,
        port: PortListener,
        number: int,
        connected: socket.socket,
        address: Address,
        peer: str,
    ) -> None:
        """Take the process that serves it, the port that accepted it, and its number there."""
        self.address, self.peer = address, peer
        self.limits = Limits()
        self.is_rate_limited = False
        self.request_received = False
        self.is_silent = True
        self.why = ""
        self.certificate: PeerCertificate | None = None
        self.live: LiveAssociation | None = None
        self.port = port
        self.number = number
        self._process = process
        self._socket = connected
        self._is_handed_over = False

    def begin(self) -> None:
        """Hand it over, with the limits that are set now.

        Raises:
            OSError: if the process does not take it.
        """
        self._process.take_over(self, self._socket)
        self._is_handed_over = True
        self._socket.close()  # the process has it

    def hang_up(self) -> None:
        """Break the connection; returns at once."""
        self._process.tell("hang_up", self.number, self.why)

    def report(self, report: Report) -> None:
        """Send a report of storage commitment between two messages."""
        self._process.tell("report", self.number, report)

    def abort(self) -> None:
        """Abort the association; an object that is being stored is answered first."""
        self._process.tell("abort", self.number, self.live.why if self.live else self.why)

    def close(self) -> None:
        """Close it at once; an object that is being stored is recorded when that is done."""
        if self._is_handed_over:
            self._process.tell("close", self.number)
        else:
            self.port.closed(self)

    def describe_end(self) -> str:
        """Return how the connection ended, if it ended before an A-ASSOCIATE-RQ was answered."""
        return self.why


_CALLS: dict[str, Callable[..., object]] = {
    "admit": ReceivingProcess._admit,
    "alive": lambda _: None,
    "archives_directly": lambda process, *about: process._parts.objects.archives_directly(*about),
    "close": ReceivingProcess._close,
    "commit": ReceivingProcess._commit,
    "copies": lambda process, *about: process._parts.objects.copies(*about),
    "count_object": ReceivingProcess._count_object,
    "established": ReceivingProcess._established,
    "event": ReceivingProcess._event,
    "file": ReceivingProcess._file,
    "give_back": ReceivingProcess._give_back,
    "gone": ReceivingProcess._gone,
    "heard": ReceivingProcess._heard,
    "look_at_storage": ReceivingProcess._look_at_storage,
    "newer_tls": ReceivingProcess._newer_tls,
    "note_processor": lambda process, *about: process._parts.note_processor(*about),
    "record": ReceivingProcess._record,
    "record_repeated": lambda process, *about: process._parts.journal.record_repeated(*about),
    "refused": ReceivingProcess._refused,
    "release_room": lambda process, size_bytes: process._parts.room.release(size_bytes),
    "reported": ReceivingProcess._reported,
    "reserve_room": lambda process, size_bytes: process._parts.room.reserve(size_bytes),
    "rule_failed": ReceivingProcess._rule_failed,
    "run_processor": ReceivingProcess._run_processor,
    "run_scripts": ReceivingProcess._run_scripts,
    "trace": lambda process, *about: process._parts.objects.trace(*about),
}
"""What a receiving process may call."""
