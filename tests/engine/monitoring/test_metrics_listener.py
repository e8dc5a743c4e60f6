"""The metrics over HTTP: what is served, to whom, and that nobody can hold it up."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.model.addresses import MetricsAddress
from engine.monitoring.listener import REQUESTS_AT_ONCE, MetricsListener
from tests.fakes import FakeEngine, config_problem, idle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.monitoring.monitoring import Monitoring


def listener_for(engine: FakeEngine, address: str = "127.0.0.1") -> MetricsListener:
    monitoring = cast("Monitoring", engine.monitoring)
    return MetricsListener(MetricsAddress(address, 0), monitoring)


@pytest.fixture
def listener() -> Iterator[MetricsListener]:
    listener = listener_for(idle())
    yield listener
    listener.close()


def ask(
    listener: MetricsListener, path: str, method: str = "GET", host: str = "localhost"
) -> tuple[int, str]:
    connection = HTTPConnection(*listener.place, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_metrics_and_health_are_served(listener: MetricsListener) -> None:
    status, text = ask(listener, "/metrics")
    assert status == 200
    assert "dicomdock_engine_start_time_seconds" in text
    status, text = ask(listener, "/health?verbose")
    assert (status, json.loads(text)["ok"]) == (200, True)
    assert ask(listener, "/health", "HEAD") == (200, "")


def test_an_engine_that_is_not_well_is_unavailable() -> None:
    listener = listener_for(config_problem(), "::1")
    status, text = ask(listener, "/health")
    listener.close()
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
    listener: MetricsListener, path: str, method: str, host: str, status: int
) -> None:
    assert ask(listener, path, method, host)[0] == status


def test_clients_that_say_nothing_cost_few_threads_and_keep_nobody_out(
    listener: MetricsListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.monitoring.listener.REQUEST_SECONDS", 60)
    with ExitStack() as resources:
        silent = [
            resources.enter_context(socket.create_connection(listener.place, 10))
            for _ in range(3 * REQUESTS_AT_ONCE)
        ]
        assert ask(listener, "/metrics")[0] == 200
        assert silent[0].recv(1) == b""
        for _ in range(2 * REQUESTS_AT_ONCE):
            assert ask(listener, "/metrics")[0] == 200


def test_a_request_that_comes_slowly_has_the_same_deadline(
    listener: MetricsListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.monitoring.listener.REQUEST_SECONDS", 0.3)
    end = time.monotonic() + 15
    with socket.create_connection(listener.place, 0.05) as slow:
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


def test_no_more_than_a_few_requests_are_answered_at_once() -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    class Slow:
        def metrics(self) -> bytes:
            asked.release()
            go_on.wait(20)
            return b"slow"

    listener = MetricsListener(MetricsAddress("127.0.0.1", 0), cast("Monitoring", Slow()))
    answers: list[int] = []
    clients = [
        threading.Thread(target=lambda: answers.append(ask(listener, "/metrics")[0]))
        for _ in range(REQUESTS_AT_ONCE)
    ]
    for client in clients:
        client.start()
        assert asked.acquire(timeout=20)
    assert ask(listener, "/metrics")[0] == 503
    go_on.set()
    for client in clients:
        client.join(20)
    listener.close()
    assert answers == [200] * REQUESTS_AT_ONCE


def test_without_descriptors_it_rests_until_there_are_some_again(
    listener: MetricsListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.monitoring.listener.REST_SECONDS", 0.2)
    tries: list[float] = []
    accept = ThreadingHTTPServer.get_request

    def scarce(server: ThreadingHTTPServer) -> Any:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "too many open files")
        return accept(server)

    monkeypatch.setattr(ThreadingHTTPServer, "get_request", scarce)
    assert ask(listener, "/health")[0] == 200
    assert len(tries) == 3
    assert tries[2] - tries[0] >= 0.4


def test_it_ends_at_once_while_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.monitoring.listener.REST_SECONDS", 60)
    refused = threading.Event()

    def scarce(_: ThreadingHTTPServer) -> Any:
        refused.set()
        raise OSError(errno.ENFILE, "too many open files")

    monkeypatch.setattr(ThreadingHTTPServer, "get_request", scarce)
    listener = listener_for(idle())
    with socket.create_connection(listener.place):
        assert refused.wait(20)
        listener.close()
