"""Where an engine is served: a socket for its owner and group, and a TCP port behind a token."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.errors import CertificateUnusable, ConfigurationError, PortInUse, StorageUnusable
from engine.remote import server
from engine.remote.host import address_of, serve
from engine.remote.sockets import listen_at
from engine.remote.tokens import token_of
from engine.settings import EngineSettings
from tests.certificates import Authority
from tests.fakes import busy
from tests.running import free_port, join_all_but
from tests.serving import remote, send, served

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def hosted(settings: EngineSettings) -> Iterator[None]:
    end = serve(busy(), settings)
    try:
        yield
    finally:
        end()


def get(port: int, token: str, tls: ssl.SSLContext | None = None) -> int:
    connection: http.client.HTTPConnection
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=tls)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", "/v1/projects", headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_the_socket_is_for_owner_and_group_and_is_gone_afterwards(tmp_path: Path) -> None:
    settings = EngineSettings(tmp_path)
    settings.control_file.write_text("left behind by a crash")
    with hosted(settings):
        mode = settings.control_file.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
        assert send(settings.control_file, "GET", "/v1/projects") == (200, [])
    assert list(tmp_path.iterdir()) == []


def test_the_socket_has_its_mode_before_it_can_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    path = type(tmp_path)
    replace = path.replace

    def look(fresh: Path, target: Path) -> Path:
        seen.append((stat.S_IMODE(fresh.stat().st_mode), target.exists()))
        return replace(fresh, target)

    monkeypatch.setattr(path, "replace", look)
    before = os.umask(0)
    try:
        listen_at(tmp_path / "control.sock").close()
    finally:
        os.umask(before)
    assert seen == [(0o660, False)]


def test_a_data_directory_may_lie_deeper_than_the_kernel_likes_its_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    engine = busy()
    with served(engine, deep / "control.sock"), remote(deep / "control.sock") as reached:
        assert reached.view.snapshot() == engine.current


def test_a_socket_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(StorageUnusable, match=r"control\.sock can't be made"):
        serve(busy(), EngineSettings(tmp_path / "missing"))
    (tmp_path / "control.sock").mkdir()
    with pytest.raises(StorageUnusable, match=r"control\.sock can't be made"):
        serve(busy(), EngineSettings(tmp_path))


def test_a_tcp_port_lets_in_who_shows_the_token_and_nobody_else(tmp_path: Path) -> None:
    port = free_port()
    settings = EngineSettings(tmp_path, control_tcp=str(port))
    with hosted(settings):
        token = settings.control_token_file.read_text().strip()
        assert stat.S_IMODE(settings.control_token_file.stat().st_mode) == 0o600
        assert [get(port, shown) for shown in ("", "wrong", token[:-1], token)] == [
            401, 401, 401, 200,
        ]  # fmt: skip
        with socket.socket() as elsewhere, pytest.raises(OSError, match="refused"):
            elsewhere.connect(("127.0.0.2", port))
        (tmp_path / "b").mkdir()
        with pytest.raises(PortInUse):
            serve(busy(), EngineSettings(tmp_path / "b", control_tcp=str(port)))
    with hosted(settings):
        assert get(port, token) == 200


def test_a_tcp_port_may_speak_tls(tmp_path: Path) -> None:
    port = free_port()
    settings, authority = tls_settings(tmp_path, port)
    with hosted(settings):
        assert get(port, token_of(settings.control_token_file), authority.client()) == 200
    missing = EngineSettings(
        settings.data_dir, control_tcp=str(port), control_certificate="/missing.pem"
    )
    with pytest.raises(CertificateUnusable, match=r"missing|No such file"):
        serve(busy(), missing)


def tls_settings(tmp_path: Path, port: int) -> tuple[EngineSettings, Authority]:
    authority = Authority(tmp_path / "certificates")
    certificate, key = authority.issue("localhost")
    data = tmp_path / "data"
    data.mkdir()
    settings = EngineSettings(
        data, control_tcp=str(port), control_certificate=str(certificate), control_key=str(key)
    )
    return settings, authority


def test_half_requests_from_a_host_do_not_lock_it_out(tmp_path: Path) -> None:
    port = free_port()
    settings = EngineSettings(tmp_path, control_tcp=str(port))
    with hosted(settings), ExitStack() as resources:
        for _ in range(40):
            half = resources.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            half.send(b"GET /v1/projects HTTP/1.1\r\n")
        assert get(port, token_of(settings.control_token_file)) == 200


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half hello"])
def test_a_tls_handshake_has_a_deadline_from_the_moment_of_accept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    assert server.HANDSHAKE_SECONDS <= 5
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.2)
    port = free_port()
    settings, _ = tls_settings(tmp_path, port)
    with hosted(settings), socket.create_connection(("127.0.0.1", port), 20) as connected:
        connected.send(begun)
        assert connected.recv(1) == b""


def test_silent_connections_from_a_host_do_not_lock_its_tls_clients_out(tmp_path: Path) -> None:
    port = free_port()
    settings, authority = tls_settings(tmp_path, port)
    with hosted(settings), ExitStack() as resources:
        silent = [
            resources.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            for _ in range(100)
        ]
        assert get(port, token_of(settings.control_token_file), authority.client()) == 200
        assert silent[0].recv(1) == b""


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "[::]"])
def test_beyond_the_loopback_it_speaks_tls_or_not_at_all(tmp_path: Path, address: str) -> None:
    settings = EngineSettings(tmp_path, control_tcp=f"{address}:{free_port()}")
    with pytest.raises(ConfigurationError, match="in the clear beyond the loopback") as caught:
        serve(busy(), settings)
    assert caught.value.problems[0].field == "control_tcp"
    assert "--control-certificate" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8443", ("127.0.0.1", 8443)),
        ("10.0.0.1:8443", ("10.0.0.1", 8443)),
        ("[::1]:8443", ("::1", 8443)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_an_address_is_a_port_alone_or_with_where_it_listens(
    text: str, address: tuple[str, int]
) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "x", "host:80", "10.0.0.1:", "10.0.0.1:65536", "1:2:3", "²"])
def test_what_is_no_address_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of(text)
    assert caught.value.problems[0].field == "control_tcp"
    assert "ADDRESS:PORT" in caught.value.remedy


def test_a_token_that_others_may_read_or_guess_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "control.token"
    made = token_of(file)
    assert len(made) >= 40
    assert token_of(file) == made
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read it"):
        token_of(file)
    file.chmod(0o600)
    file.write_text("short\n")
    with pytest.raises(ConfigurationError, match="holds no token"):
        token_of(file)
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        token_of(file)


def test_stopping_ends_streams_and_idle_connections(tmp_path: Path) -> None:
    engine = busy()
    before = set(threading.enumerate())
    with served(engine, tmp_path / "control.sock"), remote(tmp_path / "control.sock") as reached:
        reached.view.snapshot()
        heard: list[object] = []
        unsubscribe = reached.view.subscribe(heard.append)
    unsubscribe()
    assert engine.listeners == []
    join_all_but(before)
