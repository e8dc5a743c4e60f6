"""An association as requestor: one thread, one socket, and a deadline for whatever the peer owes.

pynetdicom encodes the request and decodes its answer; the rest is read and written here, for its
own requestor has no deadline for a peer that stops taking or sending in the middle of a PDU.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Self

from engine.dimse import proposal
from engine.dimse.command import (
    C_ECHO,
    C_STORE,
    StoreRequest,
    echo_request,
    read_response,
    store_request,
)
from engine.dimse.contexts import VERIFICATION
from engine.dimse.fragments import FragmentParser, ProtocolViolation
from engine.errors import AssociationBroken, ContextRefused, PeerUnreachable, UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.dimse.command import Response
    from engine.dimse.proposal import Accepted, Context
    from engine.model.peer import Peer, PeerDeadlines

_HEAD = Struct(">BxI")
_MAX_PDU_BYTES = 256 * 1024
_RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.6
_RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.7
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.8: by the service user
_AC, _RJ, _P_DATA, _RELEASE_RQ, _RELEASED, _ABORTED = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
_PDV = Struct(">BxIIBB")
_PDV_HEAD_BYTES = 6
_LAST_DATA, _MORE_DATA = 0x02, 0x00  # PS3.8 E.2
_UNLIMITED_PDU = 128 * 1024


class OutgoingAssociation:
    """An accepted association; used by one thread, in a `with` block that releases it.

    Only `hang_up` may be called by others.
    """

    def __init__(
        self,
        peer: Peer,
        contexts: Sequence[Context],
        deadlines: PeerDeadlines,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect and be accepted.

        Args:
            peer: whom to call.
            contexts: what is proposed, at most 128.
            deadlines: how long the peer may take.
            tls: with what TLS is spoken, if it is.

        Raises:
            PeerUnreachable: if there is no connection.
            AssociationRefused: if the peer rejects the association.
            AssociationBroken: if it does not answer as it should.
        """
        self._deadlines = deadlines
        self._message_id = 0
        self._is_open = True
        self._socket = _connect(peer, deadlines, tls)
        try:
            accepted = self._negotiate(peer, contexts)
        except BaseException:
            self._close()
            raise
        self.contexts = accepted.contexts
        """Which context each accepted pair of SOP class and transfer syntax has."""
        self._pdu_bytes = min(accepted.max_pdu_bytes or _UNLIMITED_PDU, _UNLIMITED_PDU)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        self._abort()

    def echo(self) -> Response:
        """Send a C-ECHO and return what is answered.

        Raises:
            ContextRefused: if the peer has not accepted verification.
            AssociationBroken: if there is no answer.
        """
        ids = [n for (uid, _), n in self.contexts.items() if uid == VERIFICATION]
        if not ids:
            raise ContextRefused("the peer does not accept C-ECHO", "send it an object instead")
        self._message_id = self._message_id % 0xFFFF + 1
        self._send(echo_request(ids[0], self._message_id))
        return self._response(C_ECHO)

    def store(
        self,
        context: Context,
        sop_instance_uid: str,
        data_set: Iterable[memoryview],
        size_bytes: int,
    ) -> Response:
        """Send one object as it is encoded and return what is answered.

        Args:
            context: its SOP class and transfer syntax.
            sop_instance_uid: what it says it is.
            data_set: its bytes, in pieces of any size.
            size_bytes: how many those are.

        Raises:
            ContextRefused: if the peer has not accepted its context; nothing was sent.
            AssociationBroken: if the peer does not take it, or does not answer. Whatever else
                `data_set` raises ends the association, too.
        """
        number = self.contexts.get(context)
        if number is None:
            raise proposal.refused(context)
        self._message_id = self._message_id % 0xFFFF + 1
        request = StoreRequest(number, self._message_id, context[0], sop_instance_uid)
        try:
            self._send(store_request(request))
            for pdu in _pdus(data_set, size_bytes, number, self._pdu_bytes):
                self._send(pdu)
        except BaseException:  # half an object is no message: nothing else may follow it
            self._abort()
            raise
        return self._response(C_STORE)

    @property
    def is_open(self) -> bool:
        """Whether objects can be sent, as far as is known."""
        return self._is_open

    def is_quiet(self) -> bool:
        """Tell whether the peer has said nothing unasked, such as that it ends the association."""
        if not self._is_open:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def release(self) -> None:
        """End the association in good order; a peer that does not answer is left (PS3.8 7.2)."""
        if not self._is_open:
            return
        with suppress(AssociationBroken):
            self._send(_RELEASE)
            kind, _ = self._receive_pdu()
            if kind == _RELEASE_RQ:  # both at once: PS3.8 7.2.2.6
                self._send(_RELEASE_RP)
                self._receive_pdu()
            self._is_open = False
        self._close()

    def hang_up(self) -> None:
        """End the connection from another thread; whoever waits for the peer is told it broke."""
        # Not the TLS socket's own shutdown: it drops the TLS layer first, and a thread that sends
        # at that moment would go on in plain.
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _negotiate(self, peer: Peer, contexts: Sequence[Context]) -> Accepted:
        self._send(proposal.request(peer, contexts))
        kind, pdu = self._receive_pdu()
        if kind == _RJ:
            raise proposal.refusal(pdu, peer)
        self._require(kind, _AC)
        return proposal.accepted(pdu, contexts)

    def _response(self, command: int) -> Response:
        found = _Responses()
        parser = FragmentParser(_MAX_PDU_BYTES, found)
        while found.encoded is None:
            kind, pdu = self._receive_pdu()
            self._require(kind, _P_DATA)
            try:
                parser.parse(bytearray(pdu), memoryview(pdu), 0, len(pdu))
            except ProtocolViolation as error:
                raise self._broken(f"broke the protocol: {error}") from error
        try:
            response = read_response(found.encoded)
        except UnreadableObject as error:
            raise self._broken(f"answered nonsense: {error.detail}") from error
        if (response.field, response.message_id) != (command, self._message_id):
            raise self._broken("answered to what was not asked")
        return response

    def _require(self, kind: int, wanted: int) -> None:
        if kind == wanted:
            return
        if kind == _ABORTED:
            self._is_open = False
            raise self._broken("aborted the association")
        if kind == _RELEASE_RQ:
            raise self._broken("released the association in the middle of it")
        raise self._broken(f"sent a PDU of type 0x{kind:02X} where another is due")

    def _receive_pdu(self) -> tuple[int, bytes]:
        until = time.monotonic() + self._deadlines.answer_seconds
        head = self._receive(_HEAD.size, until)
        kind, length = _HEAD.unpack(head)
        if length > _MAX_PDU_BYTES:
            raise self._broken(f"sent a PDU that says it has {length:,} bytes")
        return kind, head + self._receive(length, until)

    def _receive(self, size: int, until: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            # A time of 0 would mean not to wait at all, and not to say so.
            left = max(0.001, until - time.monotonic())
            try:
                self._socket.settimeout(left)
                # Peers that write an answer in two pieces wait for our acknowledgment of the first.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                piece = self._socket.recv(size - len(received))
            except TimeoutError as error:
                seconds = self._deadlines.answer_seconds
                raise self._broken(f"did not answer within {seconds:g} s") from error
            except OSError as error:
                raise self._broken(_words(error)) from error
            if not piece:
                raise self._broken("closed the connection")
            received += piece
        return bytes(received)

    def _send(self, pdu: bytes | bytearray) -> None:
        try:
            self._socket.settimeout(self._deadlines.answer_seconds)
            self._socket.sendall(pdu)
        except TimeoutError as error:
            seconds = self._deadlines.answer_seconds
            raise self._broken(f"took nothing for {seconds:g} s") from error
        except OSError as error:
            raise self._broken(_words(error)) from error

    def _broken(self, what: str) -> AssociationBroken:
        self._abort()
        return AssociationBroken(f"the peer {what}", "see what its own log says, and try again")

    def _abort(self) -> None:
        if self._is_open:
            self._is_open = False
            with suppress(OSError):
                self._socket.settimeout(0)  # a peer that takes nothing is not waited for
                self._socket.sendall(_ABORT)
        self._close()

    def _close(self) -> None:
        self._is_open = False
        with suppress(OSError):
            self._socket.close()


class _Responses:
    """Takes the one response that is waited for."""

    def __init__(self) -> None:
        self.encoded: bytes | None = None

    def command(self, context_id: int, encoded: bytes) -> bool:
        """Keep a command set; no data set follows."""
        if self.encoded is not None:
            raise ProtocolViolation("two answers to one question")
        self.encoded = encoded
        return False

    def data(self, segments: Sequence[memoryview]) -> None:
        """Take nothing, as no response announces a data set."""

    def data_end(self) -> None:
        """Take nothing, as no response announces a data set."""


def _connect(peer: Peer, deadlines: PeerDeadlines, tls: ssl.SSLContext | None) -> socket.socket:
    try:
        connection = socket.create_connection((peer.host, peer.port), deadlines.connect_seconds)
    except OSError as error:
        words = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        remedy = "check host, port, network and firewall, and whether the peer runs"
        raise PeerUnreachable(f"{peer}: {words.lower()}", remedy) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return connection
    try:
        return tls.wrap_socket(connection, server_hostname=peer.host)
    except OSError as error:
        connection.close()
        remedy = "check that the port speaks TLS, and the certificates of both sides"
        raise PeerUnreachable(f"{peer}: no TLS: {_tls_words(error)}", remedy) from error


def _tls_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "the handshake was not answered"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no reason given").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"ended TLS ({(error.reason or 'no reason given').replace('_', ' ').lower()})"
    return "closed the connection"


def _pdus(
    data_set: Iterable[memoryview], size_bytes: int, context_id: int, pdu_bytes: int
) -> Iterator[bytes]:
    """Yield the P-DATA-TF PDUs of a data set, each as large as the peer takes (PS3.8 9.3.5)."""
    most, left = pdu_bytes - _PDV_HEAD_BYTES, size_bytes
    for piece in data_set:
        for begin in range(0, len(piece), most):
            fragment = piece[begin : begin + most]
            left -= len(fragment)
            size = len(fragment) + _PDV_HEAD_BYTES
            control = _MORE_DATA if left else _LAST_DATA
            yield _PDV.pack(_P_DATA, size, size - 4, context_id, control) + fragment
