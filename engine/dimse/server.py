"""Accepting connections on one port, without polling and without a thread per connection."""

from __future__ import annotations

import errno
import os
import select
import selectors
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationServer

from engine.dimse.receiving import Deadlines, ObjectPort, ReceivingAssociation
from engine.dimse.transport import BufferedSocket
from engine.model.whitelist import normalize_address

if TYPE_CHECKING:
    import socket
    import threading

    from engine.dimse.door import Door

BACKLOG = 256
EXHAUSTED_SECONDS = 0.1
"""How long to wait for descriptors to become free again."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ReceivingServer(AssociationServer):
    """Accepts connections until stopped."""

    request_queue_size = BACKLOG
    port: ObjectPort
    """Where objects go; set before `serve`."""
    deadlines: Deadlines
    door: Door

    def __init__(self, *args: Any, inherited: socket.socket | None = None, **kwargs: Any) -> None:
        self._inherited = inherited
        super().__init__(*args, **kwargs)
        assert self.socket is not None
        self.socket.setblocking(False)
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._is_exhausted = False
        self._shared_handlers: Any = None

    def get_request(self) -> Any:
        """Accept a connection; note if the system has no resources for one."""
        try:
            return super().get_request()
        except OSError as error:
            self._is_exhausted = error.errno in _EXHAUSTED
            raise

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

    def association_handlers(self) -> Any:
        """Return the handlers of all associations, put together at the first."""
        if self._shared_handlers is None:
            model = Association(self.ae, "acceptor")
            for event, handlers in self._handlers.items():
                _bind(model, event, handlers)
            self._shared_handlers = model._handlers
        return self._shared_handlers

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Close a connection at once that is one too many."""
        address = normalize_address(client_address[0])
        return self.door.opens(address, self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a connection be served on the thread of its association."""
        address = normalize_address(client_address[0])
        request.setblocking(True)
        association = ReceivingAssociation(
            self.ae, self.association_handlers(), self.port, self.deadlines
        )
        association._server = self
        # pynetdicom finds a server's associations by this name.
        association.name = f"AcceptorThread-{client_address[1]}"
        association.set_socket(BufferedSocket(association, request, self.deadlines.pdu_seconds))
        association.requestor.address_info = AddressInformation.from_tuple(client_address)
        self.door.enter(association, address)
        association.begin()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Drop a connection that broke before it was one."""

    def serve(self) -> None:
        """Accept connections until `stop` is called from another thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._stop_fd, selectors.EVENT_READ)
            resting = select.poll()
            resting.register(self._stop_fd, select.POLLIN)
            while self._stop_fd not in {key.fileobj for key, _ in selector.select()}:
                self._take_one()
                if self._is_exhausted:
                    # The connection stays in the backlog, and the selector would return at once.
                    self._is_exhausted = False
                    resting.poll(EXHAUSTED_SECONDS * 1000)

    def _take_one(self) -> None:
        """Take the next connection, as `handle_request` does after one more wait for it."""
        try:
            request, client_address = self.get_request()
        except OSError:
            return  # it is gone already, or there are no descriptors for it
        try:
            if self.verify_request(request, client_address):
                self.process_request(request, client_address)
                return
        except Exception:
            # The border: a connection that breaks before it is one must not end the listener.
            self.handle_error(request, client_address)
        self.shutdown_request(request)

    def stop(self, thread: threading.Thread) -> None:
        """End `serve` and close the listening socket; open associations go on."""
        os.eventfd_write(self._stop_fd, 1)
        thread.join()
        self.server_close()
        os.close(self._stop_fd)


def _bind(association: Association, event: Any, handlers: Any) -> None:
    if event.is_intervention and handlers:
        association.bind(event, *handlers)
    elif isinstance(event, evt.NotificationEvent):
        for handler, arguments in handlers:
            association.bind(event, handler, arguments)
