"""Clients that are slow, greedy or dead cost a bounded time, and nobody else anything."""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from engine.events import ReceiverFailed
from engine.net.admission import ConnectionLimits
from engine.remote import server
from engine.remote import server as listener
from tests.fakes import FakeEngine, busy, hundred_associations
from tests.serving import connect, send, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.api import EchoResult
    from engine.events import Listener

SOON = 0.3
HEAD = b"POST /v1/undo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(server, "REQUEST_SECONDS", SOON)
    monkeypatch.setattr(server, "READER_SECONDS", SOON)
    return tmp_path / "control.sock"


def until_closed(connected: socket.socket, drip: bytes = b"") -> bytes:
    """Send a byte now and then; return what came before the other end closed."""
    connected.settimeout(0.05)
    received, end = b"", time.monotonic() + 15
    while time.monotonic() < end:
        try:
            if drip:
                connected.send(drip)
            part = connected.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return received
        if not part:
            return received
        received += part
    raise AssertionError("the connection is still open")


@pytest.mark.parametrize(
    ("begun", "drip"),
    [
        (b"", b""),
        (b"GET /v1/site HTTP/1.1\r\nx: ", b"a"),
        (HEAD + b"content-length: 1000\r\n\r\n", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["silent", "slow head", "slow body", "endless body"],
)
def test_a_request_that_does_not_come_to_its_end_is_cut_off(
    file: Path, begun: bytes, drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = busy()
    with served(engine, file), connect(file) as connected:
        connected.send(begun)
        assert until_closed(connected, drip) == b""
        monkeypatch.setattr(server, "REQUEST_SECONDS", 30)
        assert send(file, "GET", "/v1/projects") == (200, [])
    assert engine.calls == []


def test_a_client_that_does_not_read_its_answers_is_cut_off(file: Path) -> None:
    request = b"GET /v1/snapshot HTTP/1.1\r\nhost: x\r\n\r\n"
    with served(hundred_associations(), file), connect(file) as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.send(request * 20)
        assert is_hung_up(connected)
        assert send(file, "GET", "/v1/projects") == (200, [])
        received = until_closed(connected)
    assert received.count(b"HTTP/1.1 200") < 20


def is_hung_up(connected: socket.socket) -> bool:
    """Wait for the other side to hang up, and leave what it sent before where it is."""
    poll = select.poll()
    poll.register(connected, select.POLLRDHUP)
    return bool(poll.poll(5000))


REQUEST = b"GET /v1/projects HTTP/1.1\r\nhost: x\r\n\r\n"


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """Serve with limits of a test's own."""
    own = ConnectionLimits(**limits)
    monkeypatch.setattr(ConnectionLimits, "within", lambda _descriptors: own)


def test_a_process_with_many_half_requests_can_still_ask(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 30)
    with served(busy(), file), ExitStack() as resources:
        begun = []
        for _ in range(40):
            begun.append(resources.enter_context(connect(file)))
            begun[-1].send(REQUEST[:-2])
            assert send(file, "GET", "/v1/projects") == (200, [])
        assert [until_closed(half) for half in begun[:9]] == [b""] * 9
        begun[-1].send(b"\r\n")
        assert begun[-1].recv(4096).startswith(b"HTTP/1.1 200")


def test_no_process_may_have_all_the_admitted_connections(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 30)
    limit(monkeypatch, admitted_per_origin=3)
    with served(busy(), file), ExitStack() as resources:
        kept = [resources.enter_context(connect(file)) for _ in range(3)]
        for each in kept:
            each.send(REQUEST)
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        status, error = send(file, "GET", "/v1/projects")
        assert (status, error["detail"]) == (503, "too many connections are open")
        kept[0].close()
        deadline = time.monotonic() + 5
        while send(file, "GET", "/v1/projects")[0] != 200:
            assert time.monotonic() < deadline, "a freed place is not given again"


def test_without_descriptors_the_server_rests_and_then_accepts_who_waited(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "REST_SECONDS", SOON)
    tries: list[float] = []
    accept = socket.socket.accept

    def scarce(listening: socket.socket) -> object:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "too many open files")
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    with served(busy(), file):
        assert send(file, "GET", "/v1/projects") == (200, [])
    assert tries[1] - tries[0] >= SOON


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 70_000, b"HELO\r\n\r\n"]
)
def test_what_is_no_http_is_answered_or_dropped(file: Path, noise: bytes) -> None:
    with served(busy(), file), connect(file) as connected:
        connected.sendall(noise)
        assert b" 200 " not in until_closed(connected)
        assert send(file, "GET", "/v1/projects") == (200, [])


class Slow(FakeEngine):
    """Answers an echo when it may, and says when it was asked and when nobody listens any more."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on, self.unheard = (threading.Event() for _ in range(3))

    def echo(self, receiver_id: int, actor: str) -> EchoResult:
        self.entered.set()
        self.go_on.wait(10)
        return self.echo_result

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        unsubscribe = super().subscribe(listener)

        def end() -> None:
            unsubscribe()
            self.unheard.set()

        return end


def test_a_client_that_dies_while_it_is_served_leaves_nothing_behind(file: Path) -> None:
    engine = Slow()
    with served(engine, file):
        with connect(file) as connected, connect(file) as listening:
            listening.send(b"GET /v1/news HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"alive" in until_part(listening)
            body = b'{"receiver_id": 1}'
            head = HEAD.replace(b"undo", b"echo") + b"content-length: %d\r\n\r\n" % len(body)
            connected.send(head + body)
            assert engine.entered.wait(10)
        engine.emit(ReceiverFailed(receiver="X:1", reason="in use", remedy="stop it"))
        assert send(file, "GET", "/v1/projects") == (200, [])
        engine.go_on.set()
        assert engine.unheard.wait(5)
        assert engine.listeners == []


def until_part(connected: socket.socket) -> bytes:
    received = b""
    while b"alive" not in received:
        received += connected.recv(4096)
    return received
