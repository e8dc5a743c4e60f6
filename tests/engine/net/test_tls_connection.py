"""A TLS connection by itself: reading what is there, sending what fits, and its end."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from engine.certificates.tls_context import load
from engine.events import AssociationAborted, AssociationReleased, ConnectionDropped
from engine.model.tls import ClientCertificates, TlsSettings
from engine.net.tls import TlsConnection, handshake_words
from tests.caller import SERVER_NAME, Caller, call
from tests.certificates import Authority
from tests.running import Dock, free_port, make_receiver, sockets_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def pair(authority: Authority) -> Iterator[tuple[TlsConnection, ssl.SSLSocket]]:
    """Both ends of a TLS connection, ours not blocking."""
    certificate, key = map(str, authority.issue(SERVER_NAME))
    settings = TlsSettings(certificate, key, "", ClientCertificates.NONE)
    context = load(settings, TlsConnection).context()
    ours, theirs = socket.socketpair()
    made: list[ssl.SSLSocket] = []

    def shake() -> None:
        made.append(authority.client().wrap_socket(theirs, server_hostname=SERVER_NAME))

    peer = threading.Thread(target=shake)
    peer.start()
    with context.wrap_socket(ours, server_side=True) as connection:
        peer.join(20)
        connection.setblocking(False)
        assert isinstance(connection, TlsConnection)
        with made[0] as caller:
            yield connection, caller


def received(connection: TlsConnection, buffer_bytes: int = 100_000) -> bytes | None:
    buffer = bytearray(buffer_bytes)
    try:
        return bytes(buffer[: connection.recv_into(memoryview(buffer))])
    except ssl.SSLWantReadError:
        return None


def test_one_read_takes_all_records_that_are_there(
    pair: tuple[TlsConnection, ssl.SSLSocket],
) -> None:
    connection, caller = pair
    content = os.urandom(60_000)
    assert received(connection) is None
    caller.sendall(content)
    assert received(connection) == content
    caller.sendall(content)
    first = received(connection, 50_000)
    assert first == content[:50_000]
    assert connection.pending()
    assert received(connection) == content[50_000:]


def test_the_end_comes_after_what_was_sent_before_it(
    pair: tuple[TlsConnection, ssl.SSLSocket],
) -> None:
    connection, caller = pair
    caller.sendall(b"last words")
    caller.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        caller.unwrap()  # sends close_notify, and would wait for ours
    assert received(connection) == b"last words"
    assert received(connection) == b""


def test_what_a_peer_does_not_take_at_once_is_sent_later_and_nobody_waits(
    pair: tuple[TlsConnection, ssl.SSLSocket],
) -> None:
    connection, caller = pair
    part, sent, taken = os.urandom(100_000), 0, b""
    while more := connection.send(part):
        sent += more
    assert connection.send(part) == 0
    while not (more := connection.send(part + b"more")):
        taken += caller.recv(100_000)
    assert more == len(part) + 4
    sent += more
    while len(taken) < sent:
        taken += caller.recv(100_000)
    assert taken == part * (sent // len(part)) + b"more"


def test_much_is_sent_while_the_peer_reads(pair: tuple[TlsConnection, ssl.SSLSocket]) -> None:
    connection, caller = pair
    content, taken = os.urandom(3_000_000), bytearray()

    def take() -> None:
        while len(taken) < len(content):
            taken.extend(caller.recv(100_000))

    reader = threading.Thread(target=take)
    reader.start()
    sent = 0
    while sent < len(content):
        select.select([], [connection], [], 20)
        sent += connection.send(content[sent:])
    reader.join(20)
    assert bytes(taken) == content


def test_breaking_the_connection_lets_nothing_out_in_the_clear(
    pair: tuple[TlsConnection, ssl.SSLSocket],
) -> None:
    connection, caller = pair
    connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match=r"(?i)pipe|eof|ssl"):
        connection.send(b"in the clear")
    assert socket.socket.recv(caller, 100) == b""


def test_damaged_records_are_told_in_words(pair: tuple[TlsConnection, ssl.SSLSocket]) -> None:
    connection, caller = pair
    socket.socket.send(caller, b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ssl.SSLError) as failed:
        received(connection)
    assert handshake_words(failed.value) == "TLS failed: record layer failure"


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_connection_with_damaged_records_ends_and_is_told(
    authority: Authority, *, is_accepted: bool
) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        with Caller(port, tls=authority.client("ct1.hospital.example")) as caller:
            if is_accepted:
                assert caller.associate("SAFE") is None
            socket.socket.send(caller.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
            kind = AssociationAborted if is_accepted else ConnectionDropped
            dock.wait_until(lambda: bool(dock.told(kind)))
        (told,) = dock.told(AssociationAborted, ConnectionDropped)
        assert told.endswith("TLS failed: record layer failure")


def test_reasons_without_words_of_our_own_are_openssls() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = "SOME_NEW_REASON"
    assert handshake_words(error) == "TLS failed: some new reason"
    assert handshake_words(ConnectionResetError()) == "the caller broke off the TLS handshake"


def test_a_released_association_ends_with_a_close_notify(authority: Authority) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        context = authority.client("ct1.hospital.example")
        with Caller(port, tls=context) as caller:
            assert isinstance(caller.socket, ssl.SSLSocket)
            vars(caller.socket)["suppress_ragged_eofs"] = False
            assert caller.associate("SAFE") is None
            caller.release()
            assert caller.socket.recv(1) == b""
        dock.wait_until(lambda: bool(dock.told(AssociationReleased)))


def test_a_connection_that_is_cut_ends_its_association(authority: Authority) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        with Caller(port, tls=authority.client("ct1.hospital.example")) as caller:
            assert caller.associate("SAFE") is None
            assert isinstance(caller.socket, ssl.SSLSocket)
        dock.wait_until(lambda: bool(dock.told(AssociationAborted)))


def test_refused_callers_leave_no_descriptor_behind(authority: Authority) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        assert call(port, "SAFE", tls=authority.client("ct1.hospital.example")) == "answered"
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), 20) as caller:
                caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert caller.recv(1) == b""
            with Caller(port, tls=authority.client()) as caller, pytest.raises(OSError):
                caller.associate("SAFE")
        assert dock.pending.wait_until_empty(20)
        dock.settle()
        assert sockets_at(port) == 1  # the listener's


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "is not valid yet"),
        (10, "has expired"),
        (18, "is self-signed and not among the authorities that are configured"),
        (19, "is from an authority that is not configured"),
        (20, "is from an authority that is not configured"),
        (21, "is from an authority that is not configured"),
        (23, "is revoked"),
        (26, "is not meant for clients"),
        (99, "is refused (of another kind)"),
    ],
)
def test_what_openssl_says_of_a_certificate_is_put_into_words(code: int, words: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "of another kind"
    assert handshake_words(error) == f"the caller's certificate {words}"
