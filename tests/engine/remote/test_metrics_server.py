"""The metrics over HTTP: what is served, to whom, and that nobody can hold it up."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from ipaddress import ip_address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.api import StorageStatus
from engine.events.monitoring import MetricsUnavailable
from engine.model.peer import MetricsAddress, metrics_networks
from engine.remote import metrics, server
from engine.remote.metrics import (
    REQUESTS_AT_ONCE,
    Access,
    MetricsServer,
    listen_on,
    serve_metrics,
)
from engine.remote.tokens import token_of
from engine.settings import EngineSettings
from tests.fakes import config_problem, idle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import Event

Place = tuple[str, int]


@contextmanager
def served(engine: Any, address: str = "127.0.0.1", kernel_bytes: int = 0) -> Iterator[Place]:
    """Serve an engine's metrics until the block ends; the kernel may take little of an answer."""
    listening = listen_on(MetricsAddress(address, 0))
    if kernel_bytes:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_bytes)
    host, port = listening.getsockname()[:2]
    serving = MetricsServer(engine, listening)
    serving.start()
    try:
        yield host, port
    finally:
        serving.stop()


@pytest.fixture
def place() -> Iterator[Place]:
    with served(idle()) as place:
        yield place


def ask(
    place: Place, path: str, method: str = "GET", host: str = "localhost", token: str = ""
) -> tuple[int, str]:
    connection = HTTPConnection(*place, timeout=10)
    try:
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers={"Host": host} | shown)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_an_engine_whose_storage_is_full_is_alive_but_not_ready() -> None:
    engine = idle()
    engine.current = replace(engine.current, storage=StorageStatus("/", 9, 1, "disk full", 2))
    with served(engine, "127.0.0.1") as place:
        assert ask(place, "/ready") == (503, "not ready\n")
        assert ask(place, "/alive") == (200, "alive\n")


def test_metrics_and_health_are_served(place: Place) -> None:
    status, text = ask(place, "/metrics")
    assert status == 200
    assert "dicomdock_engine_start_time_seconds" in text
    status, text = ask(place, "/health?verbose")
    assert (status, json.loads(text)["ok"]) == (200, True)
    assert ask(place, "/health", "HEAD") == (200, "")


def test_an_engine_that_is_not_well_is_unavailable() -> None:
    with served(config_problem(), "::1") as place:
        status, text = ask(place, "/health")
        assert ask(place, "/alive") == (200, "alive\n")
        assert ask(place, "/ready") == (200, "ready\n")
    assert (status, json.loads(text)["alive"]) == (503, True)


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/", "GET", "localhost", 404),
        ("/metrics", "POST", "localhost", 501),
        ("/metrics", "GET", "evil.example", 421),
        ("/metrics", "GET", "a:b:c", 421),
        ("/metrics", "GET", "127.0.0.1:9404", 200),
        ("/metrics", "GET", "[::1]", 200),
    ],
)
def test_other_requests_are_refused(
    place: Place, path: str, method: str, host: str, status: int
) -> None:
    assert ask(place, path, method, host)[0] == status


def test_clients_that_say_nothing_cost_few_threads_and_keep_nobody_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "REQUEST_SECONDS", 60)
    with ExitStack() as resources:
        silent = [
            resources.enter_context(socket.create_connection(place, 10))
            for _ in range(3 * REQUESTS_AT_ONCE)
        ]
        assert ask(place, "/metrics")[0] == 200
        assert silent[0].recv(1) == b""
        for _ in range(2 * REQUESTS_AT_ONCE):
            assert ask(place, "/metrics")[0] == 200


def test_a_request_that_comes_slowly_has_the_same_deadline(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "REQUEST_SECONDS", 0.3)
    end = time.monotonic() + 15
    with socket.create_connection(place, 0.05) as slow:
        slow.send(b"GET /metrics HTTP/1.1\r\nx: ")
        while time.monotonic() < end:
            try:
                slow.send(b"a")
                if slow.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("a slow request is never ended")


class Slow:
    """Monitoring that answers when it may."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()

    def metrics(self) -> bytes:
        self.asked.release()
        self.go_on.wait(20)
        return b"slow"


def test_no_more_than_a_few_requests_are_answered_at_once() -> None:
    slow = Slow()
    answers: list[int] = []
    with served(SimpleNamespace(monitoring=slow)) as place:
        clients = [
            threading.Thread(target=lambda: answers.append(ask(place, "/metrics")[0]))
            for _ in range(REQUESTS_AT_ONCE)
        ]
        for client in clients:
            client.start()
            assert slow.asked.acquire(timeout=20)
        assert ask(place, "/metrics")[0] == 503
        slow.go_on.set()
        for client in clients:
            client.join(20)
    assert answers == [200] * REQUESTS_AT_ONCE


def test_clients_that_go_away_before_their_answer_start_no_more_work_than_others() -> None:
    slow = Slow()
    with served(SimpleNamespace(monitoring=slow)) as place:
        for _ in range(REQUESTS_AT_ONCE):
            with socket.create_connection(place, 10) as gone:
                gone.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
                assert slow.asked.acquire(timeout=20)
        assert ask(place, "/metrics")[0] == 503
        slow.go_on.set()


def test_an_answer_that_nobody_takes_holds_its_place_no_longer_than_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "REQUEST_SECONDS", 0.3)
    # More than the kernel takes; the rest is less than asyncio buffers without a word (64 KiB).
    long = SimpleNamespace(metrics=lambda: b"x" * 60_000, health=idle().monitoring.health)
    engine = SimpleNamespace(monitoring=long)
    with served(engine, kernel_bytes=4096) as place, ExitStack() as resources:
        for _ in range(REQUESTS_AT_ONCE):
            reader = resources.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(place)
            reader.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert reader.recv(1)
        end = time.monotonic() + 10
        while ask(place, "/health")[0] != 200:
            assert time.monotonic() < end, "a place is never given again"


def test_a_connection_has_one_answer(place: Place) -> None:
    request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with socket.create_connection(place, 10) as caller, caller.makefile("rb") as answers:
        caller.sendall(2 * request)
        assert answers.read().count(b"HTTP/1.1 200") == 1


def test_nothing_of_the_control_api_is_there(place: Place) -> None:
    for path in ("/v1/hello", "/v1/site", "/v1/openapi.json", "/metrics/", "//metrics"):
        assert ask(place, path)[0] == 404


def scarce_at_first(monkeypatch: pytest.MonkeyPatch, times: int) -> tuple[list[float], Any]:
    """Let the first connections find no descriptor; return when one was tried, and what waits."""
    tries: list[float] = []
    tried = threading.Event()
    accept = socket.socket.accept

    def scarce(listening: socket.socket) -> Any:
        tries.append(time.monotonic())
        tried.set()
        if len(tries) <= times:
            raise OSError(errno.EMFILE, "too many open files")
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    return tries, tried


def test_without_descriptors_it_rests_until_there_are_some_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REST_SECONDS", 0.2)
    tries, _ = scarce_at_first(monkeypatch, 2)
    assert ask(place, "/health")[0] == 200
    assert tries[2] - tries[0] >= 0.4


def test_it_ends_at_once_while_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REST_SECONDS", 60)
    with served(idle()) as place:
        _, tried = scarce_at_first(monkeypatch, 1_000)
        with socket.create_connection(place):
            assert tried.wait(20)


def test_metrics_that_cannot_be_served_are_reported_and_stop_nothing(tmp_path: Path) -> None:
    reported: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        serve_metrics(
            cast("Any", idle()), EngineSettings(tmp_path, metrics=taken), reported.append
        )()
    (told,) = reported
    assert isinstance(told, MetricsUnavailable)
    assert told.sentence() == f"metrics can't be read at {taken}: Address already in use"


def test_without_an_address_nothing_is_served(tmp_path: Path) -> None:
    before = threading.active_count()
    serve_metrics(cast("Any", idle()), EngineSettings(tmp_path))()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("client", "header", "is_admitted"),
    [
        ("127.0.0.1", b"", True),
        ("10.1.2.3", b"", True),
        ("fe80::1%eth0", b"", True),
        ("10.1.3.3", b"", False),
        ("10.1.3.3", b"Bearer secret", True),
        ("10.1.3.3", b"Bearer secret ", False),
        ("10.1.3.3", b"bearer \xff", False),
        ("10.1.3.3", b"Basic secret", False),
    ],
)
def test_clients_need_the_token_or_an_allowed_network(
    client: str, header: bytes, is_admitted: bool
) -> None:
    access = Access("secret", metrics_networks(["10.1.2.0/24", "fe80::/64"]))
    assert access.admits(ip_address(client), header) is is_admitted
    assert Access().admits(ip_address(client), header)


def test_beyond_the_loopback_strangers_are_asked_for_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EngineSettings(tmp_path, metrics="0.0.0.0:0")
    listening = listen_on(MetricsAddress("0.0.0.0", 0))
    place = ("127.0.0.1", listening.getsockname()[1])
    monkeypatch.setattr(metrics, "listen_on", lambda _: listening)
    # The only client that a test has.
    monkeypatch.setattr(metrics, "ip_address", lambda _: ip_address("192.0.2.7"))
    end = serve_metrics(cast("Any", idle()), settings)
    try:
        assert ask(place, "/metrics") == (
            401, "show the token of metrics.token: Authorization: Bearer ...\n",
        )  # fmt: skip
        for probe in ("/alive", "/ready"):
            assert ask(place, probe, host="10.1.2.3:9404")[0] == 200
        token = token_of(settings.metrics_token_file)
        status, text = ask(place, "/metrics", host="dock.example", token=token)
        assert status == 200
        assert token not in text
    finally:
        end()
    reported: list[Event] = []
    settings.metrics_token_file.chmod(0o644)
    serve_metrics(cast("Any", idle()), settings, reported.append)()
    assert "others may read it" in reported[0].sentence()
