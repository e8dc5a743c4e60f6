"""TLS at a port: who gets in, who doesn't and why, and what changes while it runs."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from engine.api import ReceiverState
from engine.dimse.scu import echo
from engine.events import (
    AssociationRejected,
    CertificateExpired,
    CertificateExpiring,
    CertificateRefused,
    CertificateReplaced,
    ConnectionDropped,
    ReceiverListening,
    ReceiverStopped,
)
from engine.model.tls import ClientCertificates
from engine.net.stream import TlsSetup
from engine.reception.association import IncomingAssociation
from tests.caller import Caller, call
from tests.certificates import LONG_AGO, OVER, Authority, party
from tests.fakes import FixedClock
from tests.running import LOOPBACK, Dock, SettableTime, calls_of, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.events import Event
    from engine.net.tls import Handshake, TlsRefused

CLIENT = "ct1.hospital.example"


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def port(dock: Dock, authority: Authority) -> int:
    port = free_port()
    dock.apply(make_receiver("SAFE", port, **authority.settings()))
    return port


def refused(dock: Dock) -> list[str]:
    """Return why connections were refused, without who and where."""
    return [
        told.partition(" without an association")[2].lstrip(": ")
        for told in dock.told(ConnectionDropped)
    ]


def wait_for_refusal(dock: Dock, count: int = 1) -> str:
    """Return the newest reason; it is told when the loop is done with a caller."""
    dock.wait_until(lambda: len(refused(dock)) >= count)
    return refused(dock)[-1]


def test_a_caller_with_a_certificate_is_answered(
    dock: Dock, port: int, authority: Authority
) -> None:
    assert call(port, "SAFE", tls=authority.client(CLIENT)) == "answered"
    assert refused(dock) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_with_a_future_are_spoken(
    port: int, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.client(CLIENT)
    context.minimum_version = context.maximum_version = version
    with Caller(port, tls=context) as caller:
        assert isinstance(caller.socket, ssl.SSLSocket)
        assert caller.socket.version() == version.name.replace("_", ".")
        assert caller.associate("SAFE") is None


def test_two_receivers_share_a_tls_port(dock: Dock, authority: Authority) -> None:
    port, tls = free_port(), authority.settings()
    dock.apply(make_receiver("ONE", port, **tls), make_receiver("TWO", port, **tls))
    for name in ("ONE", "TWO"):
        assert call(port, name, tls=authority.client(CLIENT)) == "answered"
    assert call(port, "THREE", tls=authority.client(CLIENT)) == "1/1/7"


def test_a_caller_that_says_nothing_holds_up_nobody(
    dock: Dock, port: int, authority: Authority
) -> None:
    with socket.create_connection((LOOPBACK, port)), socket.create_connection((LOOPBACK, port)):
        assert call(port, "SAFE", tls=authority.client(CLIENT)) == "answered"


def test_what_had_come_within_tls_is_not_acted_on_once_the_connection_is_closed(
    dock: Dock, port: int, authority: Authority
) -> None:
    with Caller(port, tls=authority.client(CLIENT)) as caller:
        assert caller.associate("SAFE") is None
        (listener,) = (wanted.listener for wanted in dock.receivers._ports.values())
        (association,) = listener.connections()
        assert isinstance(association, IncomingAssociation)
        assert dock.reactor.call_and_wait(association.close, 20)
        assert dock.reactor.call_and_wait(association._on_ready, 20)
    assert listener.connections() == ()
    assert refused(dock) == []


def test_a_handshake_has_a_deadline(authority: Authority) -> None:
    port = free_port()
    with Dock(handshake_seconds=0.2) as dock:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        with socket.create_connection((LOOPBACK, port), 20) as silent:
            assert silent.recv(1) == b""
        assert wait_for_refusal(dock) == "no complete TLS handshake within 0.2 s"
        with socket.create_connection((LOOPBACK, port), 20) as slow:
            slow.sendall(b"\x16\x03\x01\x02\x00")
            assert slow.recv(1) == b""
        assert dock.pending.wait_until_empty(20)


def test_who_is_cut_off_while_certificates_are_read_holds_up_nobody_and_nothing_comes_of_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, reading, go_on = free_port(), threading.Event(), threading.Event()
    with Dock(time=SettableTime()) as dock, calls_of(TlsSetup, "_prepared") as read:
        dock.apply(make_receiver("SAFE", port, **authority.settings()))
        tls = next(iter(dock.receivers._ports.values())).listener.tls
        assert tls is not None
        prepare = tls.prepare

        def read_when_told() -> Handshake | TlsRefused:
            reading.set()
            assert go_on.wait(20)
            return prepare()

        with (
            monkeypatch.context() as patch,
            socket.create_connection((LOOPBACK, port), 20) as caller,
        ):
            patch.setattr(tls, "prepare", read_when_told)
            caller.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            assert reading.wait(20)
            dock.settle()
            with calls_of(TlsSetup, "go_on") as called:
                dock.settle()
                assert not called.acquire(blocking=False)
            dock.pass_time(10.1)
            with suppress(ConnectionResetError):  # what it said is not read
                assert caller.recv(1) == b""
        assert wait_for_refusal(dock) == "no complete TLS handshake within 10 s"
        go_on.set()
        assert read.acquire(timeout=20)
        assert len(refused(dock)) == 1
        assert call(port, "SAFE", tls=authority.client(CLIENT)) == "answered"
        assert dock.pending.wait_until_empty(20)


def test_a_tls_connection_that_breaks_before_its_request_is_told_in_words(
    dock: Dock, port: int, authority: Authority
) -> None:
    with Caller(port, tls=authority.client(CLIENT)) as caller:
        socket.socket.sendall(caller.socket, b"these bytes are no record")
        assert wait_for_refusal(dock).startswith("TLS failed: ")


def test_a_defect_before_a_connection_is_secured_closes_it_without_a_word(
    port: int,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr("engine.net.stream.greeting_refusal", lambda _: 1 / 0)
        with socket.create_connection((LOOPBACK, port), 20) as caller:
            caller.sendall(b"\x16")
            with suppress(ConnectionResetError):  # what it said is not read
                assert caller.recv(1) == b""
    assert [r.message for r in caplog.records] == ["a connection failed while it was served"]
    assert call(port, "SAFE", tls=authority.client(CLIENT)) == "answered"


def test_callers_in_the_handshake_count_as_unassociated(dock: Dock, port: int) -> None:
    dock.pending._most_per_address = 2
    with (
        socket.create_connection((LOOPBACK, port)),
        socket.create_connection((LOOPBACK, port)),
        socket.create_connection((LOOPBACK, port), 20) as third,
    ):
        assert third.recv(1) == b""


def test_plain_dicom_on_a_tls_port_is_named_and_rejected(dock: Dock, port: int) -> None:
    assert call(port, "SAFE", "CT1") == "1/2/1"
    assert wait_for_refusal(dock) == "the caller speaks plain DICOM, and this port requires TLS"
    page = dock.journal.events_since(0, 1000)
    event = next(r.event for r in page.events if isinstance(r.event, ConnectionDropped))
    assert (event.receiver, event.calling_ae_title) == (f"SAFE:{port}", "CT1")


@pytest.mark.parametrize(
    ("said", "who"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "an HTTP request"),
        (b"SSH-2.0-x\r\n", "an SSH client"),
        (b"\0\0\0\0", "bytes of no known protocol"),
    ],
)
def test_what_else_speaks_on_a_tls_port_is_named(
    dock: Dock, port: int, said: bytes, who: str
) -> None:
    with socket.create_connection((LOOPBACK, port), 20) as caller:
        caller.sendall(said)
        assert caller.recv(1) == b""
    assert wait_for_refusal(dock) == f"this port requires TLS, and this looks like {who}"


def test_tls_on_a_plain_port_is_named(dock: Dock, authority: Authority) -> None:
    port = free_port()
    dock.apply(make_receiver("PLAIN", port))
    with pytest.raises(OSError, match=r"(?i)ssl|reset|eof"):
        Caller(port, tls=authority.client(CLIENT))
    assert wait_for_refusal(dock) == "this is not DICOM but looks like a TLS ClientHello"
    assert call(port, "PLAIN") == "answered"


def test_a_probe_that_only_looks_is_not_worth_a_word(
    dock: Dock, port: int, authority: Authority
) -> None:
    socket.create_connection((LOOPBACK, port)).close()
    assert call(port, "SAFE", tls=authority.client(CLIENT)) == "answered"
    assert refused(dock) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("client", "why"),
    [
        ("none", "the caller showed no certificate, which is required here"),
        ("expired", "the caller's certificate has expired"),
        ("stranger", "the caller's certificate is from an authority that is not configured"),
    ],
)
def test_callers_without_a_good_certificate_are_told_apart(
    dock: Dock,
    port: int,
    authority: Authority,
    tmp_path: Path,
    client: str,
    why: str,
    version: ssl.TLSVersion,
) -> None:
    contexts = {
        "none": lambda: authority.client(),
        "expired": lambda: authority.client(CLIENT, not_before=LONG_AGO, not_after=OVER),
        "stranger": lambda: Authority(tmp_path / "other").client(CLIENT),
    }
    context = contexts[client]()
    context.load_verify_locations(str(authority.ca_file))
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"), Caller(port, tls=context) as caller:
        caller.associate("SAFE")
    assert wait_for_refusal(dock) == why


def test_callers_are_not_asked_for_a_certificate_where_none_is_wanted(
    dock: Dock, authority: Authority
) -> None:
    port, tls = free_port(), authority.settings() | {"tls_ca": ""}
    dock.apply(make_receiver("OPEN", port, tls_client=ClientCertificates.NONE, **tls))
    assert call(port, "OPEN", tls=authority.client()) == "answered"


def test_callers_with_old_tls_or_other_ciphers_are_told_apart(
    dock: Dock, port: int, authority: Authority
) -> None:
    weak = authority.client(CLIENT)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError):
        Caller(port, tls=weak)
    assert wait_for_refusal(dock).startswith("no cipher suite in common")
    with socket.create_connection((LOOPBACK, port), 20) as old:
        old.sendall(hello_of_tls_1_1())
        while old.recv(100):
            pass
    assert wait_for_refusal(dock, 2) == "the caller's TLS is older than 1.2"


def hello_of_tls_1_1() -> bytes:
    """Return a ClientHello that offers TLS 1.1 at most (RFC 4346 7.4.1.2)."""
    body = b"\x03\x02" + bytes(32) + b"\0" + b"\0\x04\xc0\x13\0\x2f" + b"\x01\0"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_caller_that_refuses_our_certificate_is_named(
    dock: Dock, port: int, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    stranger = Authority(tmp_path / "other").client(CLIENT)
    stranger.minimum_version = stranger.maximum_version = version
    with pytest.raises(ssl.SSLCertVerificationError):
        Caller(port, tls=stranger)
    assert wait_for_refusal(dock) == (
        "the caller refuses our certificate: it does not know its authority"
    )


def test_a_scanner_does_not_fill_the_journal(dock: Dock, port: int) -> None:
    for _ in range(25):
        with socket.create_connection((LOOPBACK, port), 20) as scanner:
            scanner.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert scanner.recv(1) == b""
    dock.wait_until(lambda: len(refused(dock)) >= 2)
    assert [told.partition(":")[0] for told in refused(dock)][1:] == [", 10 times by now"]


def test_a_certificate_bound_line_lets_in_its_owner_only(dock: Dock, authority: Authority) -> None:
    port = free_port()
    lines = (f"CT1@{LOOPBACK}#san:{CLIENT}",)
    guarded = {"whitelist_enabled": True, "whitelist": lines}
    dock.apply(make_receiver("SAFE", port, **guarded, **authority.settings()))
    assert call(port, "SAFE", "CT1", tls=authority.client(CLIENT)) == "answered"
    assert call(port, "SAFE", "CT1", tls=authority.client("mr1.hospital.example")) == "1/1/3"
    assert "its certificate does not match: the caller showed mr1.hospital.example" in str(
        dock.told(AssociationRejected)
    )


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier(CLIENT),
        x509.RFC822Name(CLIENT),
        x509.UniformResourceIdentifier(f" {CLIENT} "),
        x509.DNSName._init_without_validation(CLIENT.replace("s", "\u017f")),
    ],
)
def test_a_name_of_another_kind_or_alphabet_does_not_let_its_owner_in(
    dock: Dock, authority: Authority, name: x509.GeneralName
) -> None:
    port = free_port()
    lines = (f"CT1@{LOOPBACK}#san:{CLIENT}",)
    guarded = {"whitelist_enabled": True, "whitelist": lines}
    dock.apply(make_receiver("SAFE", port, **guarded, **authority.settings()))
    forged = party("vendor", name, issuer=authority.party)
    assert call(port, "SAFE", "CT1", tls=authority.client_of(forged)) == "1/1/3"


def test_a_certificate_bound_line_lets_in_nobody_without_tls(dock: Dock) -> None:
    port = free_port()
    guarded = {"whitelist_enabled": True, "whitelist": (f"CT1@{LOOPBACK}#san:{CLIENT}",)}
    dock.apply(make_receiver("PLAIN", port, **guarded))
    assert call(port, "PLAIN", "CT1") == "1/1/3"
    assert "certificate does not match: the caller showed none" in dock.told(AssociationRejected)[0]


def test_a_new_certificate_is_used_at_once_and_open_associations_go_on(
    dock: Dock, port: int, authority: Authority
) -> None:
    client = authority.client(CLIENT)
    with Caller(port, tls=client) as before:
        assert before.associate("SAFE") is None
        authority.settings()
        with Caller(port, tls=client) as after:
            assert after.associate("SAFE") is None
            assert isinstance(before.socket, ssl.SSLSocket)
            assert isinstance(after.socket, ssl.SSLSocket)
            assert before.socket.getpeercert() != after.socket.getpeercert()
            after.release()
        before.echo()
        before.release()
    assert len(dock.told(CertificateReplaced)) == 1


def test_a_broken_new_file_keeps_the_certificate_before_in_force(
    dock: Dock, port: int, authority: Authority
) -> None:
    client = authority.client(CLIENT)
    key = authority.folder / "server.key"
    good = key.read_bytes()
    shutil.copy(authority.issue("other.example")[1], key)
    for _ in range(2):
        assert call(port, "SAFE", tls=client) == "answered"
    assert len(dock.told(CertificateRefused)) == 1
    assert "does not belong to the certificate" in dock.told(CertificateRefused)[0]
    state = dock.receivers.state_of(make_receiver("SAFE", port))
    assert state.state is ReceiverState.LISTENING
    assert "does not belong" in state.certificate_problem
    key.write_bytes(good)
    assert call(port, "SAFE", tls=client) == "answered"
    assert dock.receivers.state_of(make_receiver("SAFE", port)).certificate_problem == ""


def test_files_that_are_gone_make_a_receiver_fail_until_they_are_back(
    authority: Authority,
) -> None:
    port, settings, clock = free_port(), authority.settings(), FixedClock()
    key = Path(settings["tls_key"])
    hidden = key.rename(key.with_suffix(".hidden"))
    with Dock(clock) as dock:
        receiver = make_receiver("SAFE", port, **settings)
        dock.apply(receiver)
        observed = dock.receivers.state_of(receiver)
        assert observed.state is ReceiverState.FAILED
        assert observed.failure is not None
        assert "tls_key" in observed.failure.reason
        assert "does not exist" in observed.failure.reason
        assert observed.failure.remedy == "create it or name another file"
        hidden.rename(key)
        clock.advance(6)
        dock.wake()
        dock.wait_until(lambda: bool(dock.told(ReceiverListening)))
        assert dock.receivers.state_of(receiver).state is ReceiverState.LISTENING


def test_switching_tls_on_lets_open_associations_go_on_and_new_callers_need_it(
    dock: Dock, authority: Authority
) -> None:
    port = free_port()
    plain = make_receiver("BOTH", port)
    dock.apply(plain)
    with (
        calls_of(dock.pending, "add") as accepted,
        Caller(port) as open_one,
        Caller(port) as undecided,
    ):
        assert open_one.associate("BOTH") is None
        assert accepted.acquire(timeout=20)
        assert accepted.acquire(timeout=20)
        dock.apply(replace(plain, **authority.settings()))
        assert undecided.associate("BOTH") == (1, 1, 7)
        assert call(port, "BOTH") == "1/2/1"
        assert call(port, "BOTH", tls=authority.client(CLIENT)) == "answered"
        open_one.echo()
        open_one.release()
    assert len(dock.told(ReceiverListening)) == 2
    assert len(dock.told(ReceiverStopped)) == 1


def have_come(dock: Dock, kind: type[Event], count: int) -> bool:
    return len(dock.told(kind)) == count


def test_a_certificate_that_expires_is_told_at_start_and_every_day(authority: Authority) -> None:
    clock = FixedClock()
    soon = clock.now() + timedelta(days=20)
    with Dock(clock) as dock:
        dock.apply(make_receiver("SAFE", free_port(), **authority.settings(not_after=soon)))
        assert "expires in 20 days" in dock.told(CertificateExpiring)[0]
        for day in range(2, 4):
            clock.advance(24 * 60 * 60)
            dock.wake()
            dock.wait_until(partial(have_come, dock, CertificateExpiring, day))
        clock.advance(30 * 24 * 60 * 60)
        dock.wake()
        dock.wait_until(lambda: bool(dock.told(CertificateExpired)))


@pytest.mark.parametrize(
    ("authorities", "said"),
    [
        ("ours", "answered in"),
        ("others", "its authorities reject dicomdock's own certificate, as configured"),
        ("nobody", "answered in"),
    ],
)
def test_the_consoles_echo_speaks_tls_too(
    dock: Dock, authority: Authority, tmp_path: Path, authorities: str, said: str
) -> None:
    tls = authority.settings()
    if authorities == "others":
        tls["tls_ca"] = str(Authority(tmp_path / "other").ca_file)
    if authorities == "nobody":
        tls["tls_client"] = ClientCertificates.NONE
    receiver = make_receiver("SAFE", free_port(), **tls)
    dock.apply(receiver)
    result = echo(receiver, LOOPBACK, dock.clock)
    assert result.ok
    assert said in result.detail


def test_the_consoles_echo_says_so_if_another_program_speaks_plainly(authority: Authority) -> None:
    with Dock() as other:
        port = free_port()
        other.apply(make_receiver("SAFE", port))
        result = echo(make_receiver("SAFE", port, **authority.settings()), LOOPBACK, other.clock)
    assert not result.ok
    assert result.detail.startswith("no TLS: ")
