"""Accepting connections on one port, without polling and without a thread per connection."""

from __future__ import annotations

import os
import selectors
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.transport import AssociationServer, RequestHandler

from engine.dimse.transport import BufferedSocket
from engine.dimse.upper_layer import Deadlines, ObjectPort, ReceivingAssociation
from engine.model.whitelist import normalize_address

if TYPE_CHECKING:
    import socket

    from pynetdicom.association import Association

BACKLOG = 256


class UnassociatedPeers:
    """Counts connections that have no association yet; any thread may use it."""

    def __init__(self, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._lock = threading.Lock()
        self._addresses: dict[ReceivingAssociation, str] = {}

    def has_room(self, address: str) -> bool:
        """Tell whether one more connection from an address may wait for its association."""
        with self._lock:
            counts = Counter(self._addresses.values())
        return len(self._addresses) < self._limit and counts[address] < self._limit_per_address

    def hang_up(self) -> None:
        """Close the connections that wait for their association."""
        with self._lock:
            waiting = tuple(self._addresses)
        for association in waiting:
            association.hang_up()

    def add(self, association: ReceivingAssociation, address: str) -> None:
        """Count a connection."""
        with self._lock:
            self._addresses[association] = address

    def remove(self, association: ReceivingAssociation) -> None:
        """Stop counting a connection: it has its association, or is closed."""
        with self._lock:
            self._addresses.pop(association, None)


class ReceivingServer(AssociationServer):
    """Accepts connections until stopped."""

    request_queue_size = BACKLOG
    port: ObjectPort
    """Where objects go; set before `serve`."""
    deadlines: Deadlines
    unassociated: UnassociatedPeers

    def __init__(self, *args: Any, inherited: socket.socket | None = None, **kwargs: Any) -> None:
        self._inherited = inherited
        super().__init__(*args, **(kwargs | {"request_handler": _Connection}))
        assert self.socket is not None
        self.socket.setblocking(False)
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)

    def server_bind(self) -> None:
        """Bind the port, unless a parent has done so and handed the socket over."""
        if self._inherited is None:
            super().server_bind()
            return
        assert self.socket is not None
        self.socket.close()
        self.socket = self._inherited
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Listen; an inherited socket does already."""
        if self._inherited is None:
            super().server_activate()

    def server_close(self) -> None:
        """Close the socket; an inherited one stays open for whoever is to go on with it."""
        if self._inherited is None:
            super().server_close()
        else:
            self._inherited.close()

    def service_actions(self) -> None:
        """Leave garbage to Python's own collector: a full collection here stalls reception."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse connections while too many wait for their association already."""
        return self.unassociated.has_room(str(normalize_address(client_address[0])))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Drop a connection that broke before it was one."""

    def serve(self) -> None:
        """Accept connections until `stop` is called from another thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._stop_fd, selectors.EVENT_READ)
            while self._stop_fd not in {key.fileobj for key, _ in selector.select()}:
                self.handle_request()

    def stop(self, thread: threading.Thread) -> None:
        """End `serve` and close the listening socket; open associations go on."""
        os.eventfd_write(self._stop_fd, 1)
        thread.join()
        self.server_close()
        os.close(self._stop_fd)


class _Connection(RequestHandler):
    """Makes the association of one connection."""

    server: ReceivingServer

    def _create_association(self) -> ReceivingAssociation:
        server = self.server
        association = ReceivingAssociation(self.ae, "acceptor", server.port, server.deadlines)
        association._server = server
        # pynetdicom finds a server's associations by this name.
        association.name = f"AcceptorThread-{self.client_address[1]}"
        address = str(normalize_address(self.client_address[0]))
        self.request.setblocking(True)
        connection = BufferedSocket(association, self.request, server.deadlines.pdu_seconds)
        association.set_socket(connection)
        acceptor = association.acceptor
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = server.contexts
        association.requestor.address_info = self.remote
        for event, handlers in server._handlers.items():
            _bind(association, event, handlers)
        server.unassociated.add(association, address)
        return association


def _bind(association: Association, event: Any, handlers: Any) -> None:
    if event.is_intervention and handlers:
        association.bind(event, *handlers)
    elif isinstance(event, evt.NotificationEvent):
        for handler, arguments in handlers:
            association.bind(event, handler, arguments)
