"""Inside a receiving process: takes connections over, and does what the engine tells it."""

from __future__ import annotations

import logging
import pickle
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from engine.host.memory import Crowd, release_free_memory
from engine.net.tls import HandedTls
from engine.reception.association import IncomingAssociation
from engine.reception.processes.remote import HandedPort, KnownReceivers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.receiver import Receiver
    from engine.model.tls import TlsSettings
    from engine.net.reactor import Reactor
    from engine.reception.association import SharedServices
    from engine.reception.live_association import Report
    from engine.reception.processes.link import Link
    from engine.reception.processes.process import HandOver
    from engine.reception.processes.remote import RemoteDock, RemoteRuleFailures

HAND_OVER_BYTES = 64 * 1024
"""Longer than any `HandOver`."""

_logger = logging.getLogger(__name__)


class ObjectPath(Protocol):
    """The part of a process that takes objects in."""

    def apply(self, configuration: Configuration) -> None:
        """Prepare for a configuration, and use it from now on; may take a while."""
        ...

    def table_changed(self, path: Path) -> None:
        """Read the tables of a file again."""
        ...

    def recent(self) -> tuple[Any, ...]:
        """Return the latest headers."""
        ...


class ConnectionReceiver:
    """The connections of one process."""

    def __init__(
        self,
        link: Link,
        sockets: socket.socket,
        services: SharedServices,
        dock: RemoteDock,
        rules: RemoteRuleFailures,
        path: ObjectPath,
        clock: Clock,
    ) -> None:
        """Begin to take connections over.

        Args:
            link: to the engine.
            sockets: a socket of SOCK_SEQPACKET that connections come by.
            services: what all connections share.
            dock: the engine.
            rules: the engine, for rules that fail.
            path: takes the objects in.
            clock: for certificates.
        """
        self._link = link
        self._sockets = sockets
        self._services = services
        self._reactor: Reactor = services.reactor
        self._dock = dock
        self._rules = rules
        self._path = path
        self._clock = clock
        self._work: Mapping[str, Callable[..., object]] = {
            "configure": self._configure,
            "recent": path.recent,
            "table_changed": path.table_changed,
        }
        """What takes a while, and is answered."""
        self._connections: dict[int, IncomingAssociation] = {}
        self._tls: dict[TlsSettings, HandedTls] = {}
        self._receivers = KnownReceivers()
        self._crowd = Crowd()
        sockets.setblocking(False)
        self._reactor.register(sockets.fileno(), self._take)

    def beat(self, seconds: float) -> None:
        """Say now and then that the loop works; the engine ends a process that it does not hear."""
        # On the loop's thread: what keeps it from coming here keeps it from its connections, too.
        self._link.tell("alive")
        again = partial(self.beat, seconds)
        self._reactor.call_at(self._reactor.now() + seconds, again)

    def serve(self) -> bool:
        """Do what the engine tells; return whether it has told to stop, or has just ended."""
        for name, arguments, question in self._link.receive():
            if name == "stop":
                return True
            if name == "take_back":
                self._dock.take_back(*arguments)
            elif name == "suspend":
                self._rules.suspended = arguments[0]
            elif name == "report":
                self._reactor.call_soon(partial(self._report, *arguments))
            elif name == "settle":
                # On the loop's thread: the rows of all objects that it has answered are queued.
                self._reactor.call_soon(partial(self._link.answer, question, None))
            elif name in self._work:
                # Not here: this thread must never wait for the engine.
                work = partial(self._work[name], *arguments)
                self._reactor.run_in_pool(work, partial(self._link.answer, question))
            else:
                self._reactor.call_soon(partial(self._told, name, *arguments))
        return False

    # On the loop's thread.

    def _take(self, _: int) -> None:
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._sockets, HAND_OVER_BYTES, 1)
            except BlockingIOError:
                return
            if not descriptors:
                if not message:  # the engine has ended, as the link says too
                    self._reactor.forget(self._sockets.fileno())
                    return
                continue
            self._begin(pickle.loads(message), socket.socket(fileno=descriptors[0]))

    def _begin(self, over: HandOver, connected: socket.socket) -> None:
        connected.setblocking(False)
        tls = self._tls_of(over.tls) if over.tls is not None else None
        port = HandedPort(self._link, self._reactor, over.number, over.port, tls, self._receivers)
        connection = IncomingAssociation(self._services, port, connected, over.address, over.peer)
        connection.limits, connection.is_rate_limited = over.limits, over.is_rate_limited
        self._connections[over.number] = connection
        self._crowd.has_gone(len(self._connections))
        port.when_closed(partial(self._forget, over.number))
        try:
            connection.begin()
        except Exception:
            _logger.exception("a connection could not be served")
            connection.why = "it could not be served"
            connection.close()

    def _forget(self, number: int) -> None:
        self._connections.pop(number, None)
        if self._crowd.has_gone(len(self._connections)):
            release_free_memory()

    def _tls_of(self, settings: TlsSettings) -> HandedTls:
        known = self._tls.get(settings)
        if known is None:
            # Asked for on a thread of the pool.
            newer_than = partial(self._link.call, "newer_tls", settings)
            known = self._tls[settings] = HandedTls(settings, self._clock, newer_than)
        return known

    def _told(self, name: str, number: int, why: str = "") -> None:
        connection = self._connections.get(number)
        if connection is None:
            return
        if connection.live is not None:
            connection.live.why = connection.live.why or why
        else:
            connection.why = connection.why or why
        {"abort": connection.abort, "close": connection.close, "hang_up": connection.hang_up}[
            name
        ]()

    def _report(self, number: int, report: Report) -> None:
        connection = self._connections.get(number)
        # A closed one is known to the engine by its end.
        if connection is not None:
            connection.report(report)

    def _configure(self, configuration: Configuration) -> Exception | None:
        try:
            self._path.apply(configuration)
            applied = partial(self._apply, configuration.receivers)
            self._reactor.call_soon(applied)
        except Exception as error:
            _logger.exception("a configuration could not be applied")
            return error
        return None

    def _apply(self, receivers: tuple[Receiver, ...]) -> None:
        """Apply the present configuration to open associations, from their next object on."""
        by_label = self._receivers.apply(receivers)
        for connection in self._connections.values():
            live = connection.live
            if live is not None:
                live.settings = by_label.get(live.receiver.label, live.settings)
