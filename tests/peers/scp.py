"""A storage SCP that does what it is told: takes objects, refuses, aborts, or says nothing."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import Enum, auto
from struct import Struct
from typing import TYPE_CHECKING, Self

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from engine.dimse.commands import read_command, store_response
from engine.dimse.pdata import CommandSet, PDataParser, ReceiveBuffer
from tests.running import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dimse.commands import RequestCommand

_HEAD = Struct(">BxI")
_REJECT = bytes.fromhex("0300 00000004 00 01 01 07")
_RELEASED = bytes.fromhex("0600 00000004 00000000")
_RELEASE = bytes.fromhex("0500 00000004 00000000")
_ABORT = bytes.fromhex("0700 00000004 00000000")


class Mood(Enum):
    """What it does with whoever calls."""

    TAKE = auto()
    REJECT = auto()
    """No such called AE title."""
    ABORT = auto()
    """As soon as an object has arrived."""
    SILENT = auto()
    """Never answers anything."""
    UNANSWERED = auto()
    """Accepts the association, and never answers an object."""
    DEAF = auto()
    """Accepts the association, and reads nothing more."""
    GARBAGE = auto()
    """Accepts the association, and answers objects with bytes of no meaning."""
    RELEASE = auto()
    """Answers an object by asking for the end of the association."""
    STRANGE = auto()
    """Answers an object with a PDU that has no place there."""
    WRONG = auto()
    """Answers to another message than that of the object."""
    COLLIDE = auto()
    """Asks for a release itself when it is asked for one."""
    ENDLESS = auto()
    """Answers with a PDU that says it is 4 GiB long."""


_ANSWERS = {
    Mood.GARBAGE: bytes.fromhex("0400 00000008 00000004 01 03 0000"),
    Mood.ENDLESS: bytes.fromhex("0400 ffffffff"),
    Mood.RELEASE: _RELEASE,
    Mood.STRANGE: bytes.fromhex("0900 00000004 00000000"),
}


def always(status: int) -> Callable[[str], int]:
    """Answer every object with one status."""
    return lambda _: status


class Scp:
    """Listens on a port of the loopback; use it in a `with` block."""

    def __init__(self, port: int = 0, mood: Mood = Mood.TAKE) -> None:
        self.mood = mood
        self.status: Callable[[str], int] = always(0)
        """What an object of a SOP Instance UID is answered with."""
        self.refused: tuple[str, ...] = ()
        """Transfer syntaxes that are not accepted."""
        self.received: list[tuple[str, str, bytes]] = []
        """SOP Instance UID, transfer syntax and data set of all that was answered with success."""
        self.associations = 0
        self.aborts = 0
        """So many of the next objects are answered with an A-ABORT."""
        self.changed = threading.Condition()
        self._server = socket.create_server((LOOPBACK, port))
        self.port: int = self._server.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def uids(self) -> list[str]:
        """Return the SOP Instance UIDs of what was taken."""
        return [uid for uid, _, _ in self.received]

    def wait_until(self, has_come: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for what an association or an object changes."""
        with self.changed:
            assert self.changed.wait_for(has_come, seconds), (self.associations, self.uids())

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            _Association(self, connection).serve()
        with self.changed:
            self.changed.notify_all()


class _Association:
    def __init__(self, scp: Scp, connection: socket.socket) -> None:
        self._scp = scp
        self._connection = connection
        self._syntaxes: dict[int, str] = {}
        self._command: RequestCommand | None = None
        self._data = bytearray()

    def serve(self) -> None:
        kind, pdu = self._read()
        with self._scp.changed:
            self._scp.associations += 1
            self._scp.changed.notify_all()
        mood = self._scp.mood
        if mood is Mood.SILENT:
            self._read()
        if mood is Mood.REJECT:
            self._connection.sendall(_REJECT)
            self._read()
        self._connection.sendall(self._acceptance(pdu))
        parser, received = PDataParser(2**20), ReceiveBuffer(2**21)
        while True:
            if mood is Mood.DEAF:
                self._scp.changed.acquire()
                self._scp.changed.wait_for(lambda: self._scp.mood is not Mood.DEAF, 20)
                self._scp.changed.release()
                return
            kind, pdu = self._read()
            if kind == 0x05:
                collides = mood is Mood.COLLIDE
                self._connection.sendall((_RELEASE if collides else b"") + _RELEASED)
                return
            if kind != 0x04:
                return
            received.begin(pdu)
            while (found := parser.next(received)) is not None:
                if isinstance(found, CommandSet):
                    parser.expects_data = self._begin(found)
                else:
                    self._data += b"".join(found.segments)
                    if found.is_last:
                        self._answer()

    def _begin(self, found: CommandSet) -> bool:
        self._command = read_command(found.encoded, found.context_id)
        self._data.clear()
        if not self._command.has_data_set:
            self._connection.sendall(self._command.answer)
        return self._command.has_data_set

    def _answer(self) -> None:
        command, scp = self._command, self._scp
        assert command is not None
        assert command.store is not None
        if scp.mood is Mood.ABORT or scp.aborts:
            scp.aborts = max(0, scp.aborts - 1)
            self._connection.sendall(_ABORT)
            raise EOFError
        if scp.mood is Mood.UNANSWERED:
            return
        if scp.mood in _ANSWERS:
            self._connection.sendall(_ANSWERS[scp.mood])
            return
        if scp.mood is Mood.WRONG:
            other = command.store._replace(message_id=command.store.message_id + 1)
            self._connection.sendall(store_response(other, 0))
            return
        uid = command.store.sop_instance_uid
        status = scp.status(uid)
        self._connection.sendall(store_response(command.store, status, "no\x1b[2J" * bool(status)))
        if status == 0:
            syntax = self._syntaxes[command.store.context_id]
            scp.received.append((uid, syntax, bytes(self._data)))
        with scp.changed:
            scp.changed.notify_all()

    def _acceptance(self, encoded: bytes) -> bytes:
        request = A_ASSOCIATE_RQ()
        request.decode(encoded)
        primitive = request.to_primitive()
        for context in primitive.presentation_context_definition_list:
            syntax = str(context.transfer_syntax[0])
            assert context.context_id is not None
            self._syntaxes[context.context_id] = syntax
            context.result = 4 if syntax in self._scp.refused else 0
        primitive.presentation_context_definition_results_list = (
            primitive.presentation_context_definition_list
        )
        primitive.result, primitive.result_source = 0, 1
        answer = A_ASSOCIATE_AC()
        answer.from_primitive(primitive)
        return answer.encode()

    def _read(self) -> tuple[int, bytes]:
        head = self._exactly(_HEAD.size)
        kind, length = _HEAD.unpack(head)
        return kind, head + self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self._connection.recv(size - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received
