"""Telling real commands and a real webhook on the loopback, also those that misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from base64 import b64decode
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from engine.errors import NotDelivered
from engine.events import ReceiverFailed
from engine.model.alerts import AlertTarget
from engine.monitoring.alerts import delivery
from engine.monitoring.alerts.delivery import deliver
from engine.monitoring.alerts.throttle import Alert
from tests.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALERT = Alert("receiver", "CT1:8105", "ReceiverFailed", "ERROR", "$(id) 'x'", "2026-08-24")
FAILED = ReceiverFailed(receiver="CT1:8105", reason="port in use", remedy="stop it")


class Hook(HTTPServer):
    """A webhook that notes what it is told and gives the answers that it was given."""

    def __init__(self, *answers: int, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Told)
        self.answers = list(answers)
        self.told: list[dict[str, object]] = []
        self.logins: list[str | None] = []
        self.asked: list[str] = []
        self.hosts: list[str | None] = []
        self.proxy_logins: list[str | None] = []
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}/secret"


class _Told(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 204
        with self.server.changed:
            self.server.told.append(json.loads(body))
            self.server.logins.append(self.headers["Authorization"])
            self.server.asked.append(self.path)
            self.server.hosts.append(self.headers["Host"])
            self.server.proxy_logins.append(self.headers["Proxy-Authorization"])
            self.server.changed.notify_all()
        self.send_response(status)
        self.send_header("Location", self.server.url)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def hook(*answers: int, host: str = "127.0.0.1") -> Iterator[Hook]:
    with Hook(*answers, host=host) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def command(script: str) -> AlertTarget:
    return AlertTarget("mail", ("/bin/sh", "-c", script))


def test_a_command_gets_the_alert_as_json_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/secret")
    deliver(command(f"cat > {tmp_path}/alert; env > {tmp_path}/env"), ALERT)
    told = json.loads((tmp_path / "alert").read_text())
    assert (told["message"], told["resolved"]) == ("$(id) 'x'", False)
    variables = (tmp_path / "env").read_text()
    assert "DICOMDOCK_ALERT=receiver" in variables
    assert "secret" not in variables


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("/bin/sh", "-c", "exit 3"), "exit code 3"),
        (("/nowhere/x",), "No such file"),
        (("/bin/sh", "-c", "sleep 60 & wait"), "took longer"),
    ],
)
def test_a_command_that_fails_is_told_in_words(
    words: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "took longer":
        monkeypatch.setattr(delivery, "COMMAND_SECONDS", 0.2)
    with pytest.raises(NotDelivered, match=why):
        deliver(AlertTarget("x", words), ALERT)


def test_a_webhook_gets_the_alert_and_no_redirection_is_followed() -> None:
    with hook(204, 307, 500) as server:
        target = AlertTarget("ops", webhook=server.url)
        deliver(target, ALERT)
        for status in (307, 500):
            with pytest.raises(NotDelivered, match=str(status)) as caught:
                deliver(target, ALERT)
            assert "secret" not in caught.value.detail
        assert [told["subject"] for told in server.told] == ["CT1:8105"] * 3
    with pytest.raises(NotDelivered, match="can't be reached: Connection refused"):
        deliver(target, ALERT)


def test_a_login_in_a_webhooks_address_is_sent_as_one() -> None:
    with hook() as server:
        for login in ("", "ops@", "ops:p%40ss:1@"):
            address = server.url.replace("://", f"://{login}")
            deliver(AlertTarget("ops", webhook=address), ALERT)
    sent = [b64decode((login or "").removeprefix("Basic ")) for login in server.logins]
    assert sent == [b"", b"ops:", b"ops:p@ss:1"]


def test_what_answers_without_being_a_webhook_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = AlertTarget("ops", webhook=f"http://127.0.0.1:{server.getsockname()[1]}/secret")

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"}"):
                    asked += connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotDelivered, match="it gave no HTTP answer") as caught:
            deliver(target, ALERT)
        thread.join()
    assert "secret" not in caught.value.detail


def test_a_webhook_that_answers_byte_by_byte_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "WEBHOOK_SECONDS", 0.3)
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = AlertTarget("ops", webhook=f"http://127.0.0.1:{server.getsockname()[1]}/")

        def trickle() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not gone.wait(0.02):  # far more often than any single read may take
                    connection.sendall(b"X: 1\r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(NotDelivered, match=r"took longer than 0\.3 s"):
                deliver(target, ALERT)
        finally:
            gone.set()
            thread.join()


def test_a_webhook_that_shakes_hands_for_ever_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "WEBHOOK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:  # connects, and says nothing
        target = AlertTarget("ops", webhook=f"https://localhost:{server.getsockname()[1]}/")
        with pytest.raises(NotDelivered, match=r"took longer than 0\.3 s"):
            deliver(target, ALERT)


def test_a_webhook_is_reached_by_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hook() as proxy:
        place = proxy.url.removeprefix("http://").removesuffix("/secret")
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{place}")
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        deliver(AlertTarget("ops", webhook="http://hook.example:1/secret"), ALERT)
        with pytest.raises(NotDelivered, match="can't be reached"):
            deliver(AlertTarget("ops", webhook="http://elsewhere.example:1/secret"), ALERT)
    assert proxy.asked == ["http://hook.example:1/secret"]
    (login,) = proxy.proxy_logins
    assert b64decode((login or "").removeprefix("Basic ")) == b"me:p@ss"


def test_a_webhook_hears_under_which_name_it_is_called() -> None:
    with hook(host="::1") as server:
        deliver(AlertTarget("ops", webhook=f"{server.url}?to=%20#not-sent"), ALERT)
    assert server.hosts == [f"[::1]:{server.server_address[1]}"]
    assert server.asked == ["/secret?to=%20"]


def test_a_webhook_over_tls_must_show_a_certificate_that_we_trust(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = AlertTarget("ops", webhook=f"https://localhost:{server.getsockname()[1]}/")

        def shake_hands() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            deliver(target, ALERT)
        thread.join()
