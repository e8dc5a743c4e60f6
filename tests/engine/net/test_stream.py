"""The bytes of one connection on the loop, plain and TLS: partial sends, half closes, hang-ups."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pytest

from engine.certificates.tls_context import load
from engine.model.tls import ClientCertificates, TlsSettings
from engine.net.reactor import READABLE, Reactor
from engine.net.stream import Stream
from engine.net.tls import Handshake, TlsConnection
from tests.caller import SERVER_NAME
from tests.certificates import Authority
from tests.running import SettableTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Done = TypeVar("Done")

SOON_SECONDS = 20
FEW_BYTES = 10_000
"""Of the system's buffers, so that a peer that reads nothing is noticed soon."""
MUCH = os.urandom(1_000_000)


class Wire:
    """A stream on a loop, and its peer; what the stream does is called on the loop."""

    def __init__(self, time: SettableTime, ours: socket.socket, theirs: socket.socket) -> None:
        self.reactor = Reactor(monotonic=time.monotonic)
        ours.setblocking(False)
        theirs.settimeout(SOON_SECONDS)
        self.peer = theirs
        self.ready = threading.Semaphore(0)
        self.on_ready: Callable[[], object] = lambda: None
        self.stream = Stream(self.reactor, ours, self._be_ready)
        self.view = memoryview(bytearray(200_000))

    def _be_ready(self) -> None:
        self.on_ready()
        self.ready.release()

    def wait_until_ready(self) -> None:
        assert self.ready.acquire(timeout=SOON_SECONDS)

    def do(self, act: Callable[[], Done]) -> Done:
        """Do something on the loop and return what it returned."""
        done: list[Done] = []
        assert self.reactor.call_and_wait(lambda: done.append(act()), SOON_SECONDS)
        return done[0]

    def received(self, size: int = 200_000) -> bytes | None:
        """Return what is there; None if nothing is, and no bytes at the end."""
        count = self.do(lambda: self.stream.receive(self.view[:size]))
        return None if count < 0 else bytes(self.view[:count])

    def close(self) -> None:
        self.do(self.stream.close)
        self.reactor.stop()
        self.peer.close()


@pytest.fixture
def time() -> SettableTime:
    return SettableTime()


def handshake(authority: Authority) -> Handshake:
    certificate, key = map(str, authority.issue(SERVER_NAME))
    settings = TlsSettings(certificate, key, "", ClientCertificates.NONE)
    credentials = load(settings, TlsConnection)
    return Handshake(credentials, credentials.context())


def secure(wire: Wire, authority: Authority) -> None:
    """Shake hands on both sides."""
    is_done = threading.Event()

    def go_on() -> None:
        if wire.stream.step_handshake():
            wire.on_ready = lambda: wire.stream.wait_for(0)
            is_done.set()

    wire.do(lambda: wire.stream.secure(handshake(authority)))
    wire.on_ready = go_on
    wire.do(lambda: wire.stream.wait_for(READABLE))
    wire.peer = authority.client().wrap_socket(wire.peer, server_hostname=SERVER_NAME)
    assert is_done.wait(SOON_SECONDS)
    wire.do(lambda: wire.stream.wait_for(0))
    wire.on_ready, wire.ready = (lambda: None), threading.Semaphore(0)


@pytest.fixture(params=["plain", "TLS"])
def wire(request: pytest.FixtureRequest, time: SettableTime, tmp_path: Path) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FEW_BYTES)
        theirs.connect(server.getsockname())
        ours, _ = server.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FEW_BYTES)
    wire = Wire(time, ours, theirs)
    if request.param == "TLS":
        secure(wire, Authority(tmp_path / "pki"))
    yield wire
    wire.close()


@pytest.fixture
def plain(time: SettableTime) -> Iterator[Wire]:
    wire = Wire(time, *socket.socketpair())
    yield wire
    wire.close()


def wait_until_it_has_come(wire: Wire) -> None:
    wire.on_ready = lambda: wire.stream.wait_for(0)
    wire.do(lambda: wire.stream.wait_for(READABLE))
    wire.wait_until_ready()


def test_what_is_there_is_received_and_nothing_is_waited_for(wire: Wire) -> None:
    assert wire.received() is None
    wire.peer.sendall(b"one")
    wait_until_it_has_come(wire)
    assert wire.received() == b"one"
    assert wire.received() is None


def test_much_is_received_with_one_call_as_far_as_there_is_room(plain: Wire) -> None:
    plain.peer.sendall(MUCH[:65_536])
    assert plain.received(49_152) == MUCH[:49_152]
    assert plain.received() == MUCH[49_152:65_536]
    assert plain.received() is None


def test_a_tls_layer_that_has_to_send_before_it_can_receive_is_called_when_it_can_send(
    tmp_path: Path, time: SettableTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(time, *socket.socketpair())
    secure(wire, Authority(tmp_path / "pki"))
    wire.do(lambda: wire.stream.wait_for(READABLE))
    with monkeypatch.context() as patch:
        patch.setattr(TlsConnection, "recv_into", has_to_send_first)
        assert wire.received() is None
    wire.wait_until_ready()
    assert wire.received() is None
    assert not is_called_once_more(wire)
    wire.peer.sendall(b"one")
    wire.wait_until_ready()
    assert wire.received() == b"one"
    wire.close()


def has_to_send_first(*_: object) -> int:
    """Stand for a key update whose answer does not fit (RFC 8446 4.6.3)."""
    raise ssl.SSLWantWriteError


def test_what_is_left_within_tls_is_told(tmp_path: Path, time: SettableTime) -> None:
    wire = Wire(time, *socket.socketpair())
    secure(wire, Authority(tmp_path / "pki"))
    wire.peer.sendall(b"one record")
    wait_until_it_has_come(wire)
    assert wire.received(3) == b"one"
    assert wire.do(lambda: wire.stream.has_pending)
    assert wire.received() == b" record"
    assert not wire.do(lambda: wire.stream.has_pending)
    wire.close()


def test_the_end_of_the_peers_side_is_received_after_what_was_sent_before_it(plain: Wire) -> None:
    plain.peer.sendall(b"last words")
    plain.peer.shutdown(socket.SHUT_WR)
    assert plain.received() == b"last words"
    assert plain.received() == b""
    assert plain.received() == b""


def test_what_is_looked_at_stays_where_it_is(plain: Wire) -> None:
    plain.peer.sendall(b"greeting")
    assert plain.do(lambda: plain.stream.peek(5)) == b"greet"
    assert not plain.do(lambda: plain.stream.has_pending)
    assert plain.received() == b"greeting"


def test_what_the_peer_takes_at_once_is_not_waited_for(wire: Wire) -> None:
    wire.do(lambda: wire.stream.send(b"answer"))
    assert wire.stream.unsent == b""
    assert wire.peer.recv(100) == b"answer"


def test_what_the_peer_does_not_take_is_kept_and_sent_when_it_does(
    wire: Wire, time: SettableTime
) -> None:
    flushed: list[bool] = []
    wire.on_ready = lambda: flushed.append(wire.stream.flush())
    wire.do(lambda: wire.stream.send(MUCH))
    assert wire.stream.unsent
    assert wire.stream.unsent_since == time.seconds
    wire.do(lambda: wire.stream.send(b"more"))
    taken = bytearray()
    while len(taken) < len(MUCH) + 4:
        taken += wire.peer.recv(100_000)
    assert taken == MUCH + b"more"
    wire.do(lambda: None)
    assert wire.stream.unsent == b""
    assert flushed[-1]


def test_the_peers_time_to_take_runs_until_it_has_taken_everything(
    plain: Wire, time: SettableTime
) -> None:
    began = time.seconds
    plain.on_ready = plain.stream.flush
    plain.do(lambda: plain.stream.send(MUCH))
    time.seconds += 10
    plain.do(lambda: plain.stream.send(b"more"))
    assert plain.stream.unsent_since == began
    left = len(plain.stream.unsent)
    while len(plain.stream.unsent) == left:
        plain.peer.recv(100_000)
        plain.do(lambda: None)
    assert plain.stream.unsent_since == began


def test_after_all_is_sent_the_peer_is_listened_to_again(plain: Wire) -> None:
    heard = threading.Event()

    def go_on() -> None:
        if plain.stream.unsent:
            plain.stream.flush()
        else:
            plain.stream.receive(plain.view)
            heard.set()

    plain.on_ready = go_on
    plain.do(lambda: plain.stream.send(MUCH))
    taken = 0
    while taken < len(MUCH):
        taken += len(plain.peer.recv(100_000))
    plain.peer.sendall(b"more")
    assert heard.wait(SOON_SECONDS)


def is_called_once_more(wire: Wire) -> bool:
    """Tell whether the loop calls though the peer says nothing."""
    wire.do(lambda: None)
    wire.ready = threading.Semaphore(0)
    wire.do(lambda: None)
    return wire.ready.acquire(blocking=False)


def test_after_all_is_sent_a_silent_peer_is_waited_for_without_a_call(plain: Wire) -> None:
    plain.on_ready = plain.stream.flush
    plain.do(lambda: plain.stream.send(MUCH))
    taken = 0
    while taken < len(MUCH):
        taken += len(plain.peer.recv(100_000))
    assert not is_called_once_more(plain)


def test_after_a_handshake_that_ends_with_sending_a_silent_peer_is_waited_for_without_a_call(
    plain: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, shake = Authority(tmp_path / "pki"), TlsConnection.do_handshake
    did_not_fit, is_done = threading.Event(), threading.Event()

    def shake_late(connection: TlsConnection) -> None:
        shake(connection)
        if not did_not_fit.is_set():
            did_not_fit.set()
            raise ssl.SSLWantWriteError

    def go_on() -> None:
        if not is_done.is_set() and plain.stream.step_handshake():
            is_done.set()

    monkeypatch.setattr(TlsConnection, "do_handshake", shake_late)
    plain.on_ready = go_on
    plain.do(lambda: plain.stream.secure(handshake(authority)))
    plain.do(lambda: plain.stream.wait_for(READABLE))
    plain.peer = authority.client().wrap_socket(plain.peer, server_hostname=SERVER_NAME)
    assert is_done.wait(SOON_SECONDS)
    assert did_not_fit.is_set()
    assert not is_called_once_more(plain)


def test_sending_to_a_peer_that_is_gone_is_an_error(plain: Wire) -> None:
    plain.peer.close()
    with pytest.raises(OSError, match=r"(?i)pipe|reset"):
        plain.stream.send(b"answer")


def test_a_half_closed_stream_says_its_last_words_and_discards_what_still_comes(
    wire: Wire,
) -> None:
    wire.do(lambda: wire.stream.send(b"last words"))
    wire.do(wire.stream.half_close)
    assert wire.peer.recv(100) == b"last words"
    assert wire.peer.recv(100) == b""
    raw = socket.socket
    raw.sendall(wire.peer, b"what was under way")
    wait_until_it_has_come(wire)
    assert wire.do(lambda: wire.stream.discard(wire.view)) > 0
    raw.shutdown(wire.peer, socket.SHUT_WR)
    ends: list[int] = []

    def discard() -> None:
        ends.append(wire.stream.discard(wire.view))
        wire.stream.wait_for(0)

    wire.on_ready = discard
    while 0 not in ends:
        wire.do(lambda: wire.stream.wait_for(READABLE))
        wire.wait_until_ready()


def test_the_end_of_our_side_is_said_within_tls_too(tmp_path: Path, time: SettableTime) -> None:
    wire = Wire(time, *socket.socketpair())
    secure(wire, Authority(tmp_path / "pki"))
    wire.peer.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    wire.do(wire.stream.half_close)
    assert wire.peer.recv(100) == b""
    wire.close()


def test_nothing_to_discard_is_not_the_end(plain: Wire) -> None:
    assert plain.do(lambda: plain.stream.discard(plain.view)) == -1


def test_a_hang_up_from_another_thread_ends_the_stream_on_the_loop(wire: Wire) -> None:
    found: list[int] = []

    def receive() -> None:
        with suppress(OSError):  # TLS misses its close_notify
            found.append(wire.stream.receive(wire.view))
        wire.stream.wait_for(0)

    wire.on_ready = receive
    wire.do(lambda: wire.stream.wait_for(READABLE))
    wire.stream.hang_up()
    wire.wait_until_ready()
    assert found in ([0], [])
    assert socket.socket.recv(wire.peer, 100) == b""


def test_hanging_up_is_possible_at_any_time(wire: Wire) -> None:
    wire.peer.close()
    wire.stream.hang_up()
    wire.do(wire.stream.close)
    wire.stream.hang_up()
    assert wire.stream.is_closed
    wire.do(wire.stream.close)


def test_a_closed_stream_is_not_called_any_more_and_its_peer_sees_the_end(wire: Wire) -> None:
    wire.do(lambda: wire.stream.wait_for(READABLE))
    wire.do(wire.stream.close)
    assert socket.socket.recv(wire.peer, 100) == b""
    wire.do(lambda: None)
    assert not wire.ready.acquire(blocking=False)


def test_a_closed_stream_is_not_called_though_another_process_has_its_descriptor(
    plain: Wire,
) -> None:
    copy = os.dup(plain.stream._fd)  # as a child has that began meanwhile
    plain.do(lambda: plain.stream.wait_for(READABLE))
    plain.do(plain.stream.close)
    plain.peer.sendall(b"more")
    plain.do(lambda: None)
    assert not plain.ready.acquire(blocking=False)
    os.close(copy)


def test_a_handshake_with_a_peer_that_speaks_something_else_fails(
    plain: Wire, tmp_path: Path
) -> None:
    prepared = handshake(Authority(tmp_path / "pki"))
    plain.do(lambda: plain.stream.secure(prepared))
    plain.peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
    failed: list[str | None] = []

    def shake() -> None:
        try:
            plain.stream.step_handshake()
        except ssl.SSLError as error:
            failed.append(error.reason)
        plain.stream.wait_for(0)

    plain.do(shake)
    assert failed == ["HTTP_REQUEST"]


def test_a_handshake_waits_for_the_peer_without_holding_up_the_loop(
    plain: Wire, tmp_path: Path
) -> None:
    prepared = handshake(Authority(tmp_path / "pki"))
    plain.do(lambda: plain.stream.secure(prepared))
    assert not plain.do(plain.stream.step_handshake)
    plain.peer.close()
    plain.wait_until_ready()
