"""Handshakes with what `load`, `caller` and `own_caller` return, over a pair of sockets."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from engine.certificates.callers import NotAccepted
from engine.certificates.tls_context import CIPHER_SUITES, caller, identity_of, load, own_caller
from engine.errors import InvalidReceiver
from engine.model.peer import CallingTls
from engine.model.tls import ClientCertificates, TlsSettings
from tests.caller import SERVER_NAME
from tests.certificates import Authority, half_readable, party, revocations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 20


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls(authority: Authority) -> TlsSettings:
    certificate, key = authority.issue(SERVER_NAME, file="server")
    return TlsSettings(str(certificate), str(key), str(authority.ca_file))


@contextmanager
def shaken(
    port: ssl.SSLContext, calling: ssl.SSLContext, name: str = SERVER_NAME
) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Give the port's end of a connection and the caller's, once both have shaken hands."""
    ours, theirs = socket.socketpair()
    ours.settimeout(SECONDS)
    theirs.settimeout(SECONDS)
    with ThreadPoolExecutor(1) as pool, ours, theirs:
        accepted = pool.submit(port.wrap_socket, ours, server_side=True)
        try:
            called = calling.wrap_socket(theirs, server_hostname=name)
        except Exception:
            theirs.close()
            accepted.exception(SECONDS)
            raise
        with called, accepted.result(SECONDS) as other:
            yield other, called


def test_the_engine_calls_its_own_port_with_the_ports_certificate(tls: TlsSettings) -> None:
    loaded = load(tls)
    with shaken(loaded.context(), own_caller(tls), "127.0.0.1") as (ours, theirs):
        assert identity_of(ours) == loaded.certificate.identity
        assert theirs.version() == "TLSv1.2"


def test_a_caller_who_shows_no_certificate_has_no_identity(
    tls: TlsSettings, authority: Authority
) -> None:
    open_to_all = load(replace(tls, client=ClientCertificates.NONE))
    assert open_to_all.callers is None
    with shaken(open_to_all.context(), caller(CallingTls(str(authority.ca_file)))) as (ours, _):
        assert identity_of(ours) is None


def test_a_destination_is_called_with_a_certificate_and_by_bcp_195(
    tls: TlsSettings, authority: Authority
) -> None:
    certificate, key = authority.issue("dock.example")
    context = caller(CallingTls(str(authority.ca_file), str(certificate), str(key)))
    offered = {suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"}
    assert offered == set(CIPHER_SUITES)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION):
        assert context.options & option
    with shaken(load(tls).context(), context) as (ours, _):
        found = identity_of(ours)
        assert found is not None
        assert found.names == {"dock.example"}


@pytest.mark.parametrize(
    ("name", "is_checked", "is_known", "is_believed"),
    [
        (SERVER_NAME, True, True, True),
        ("other.example", True, True, False),
        ("other.example", False, True, True),
        (SERVER_NAME, True, False, False),
        (SERVER_NAME, False, False, False),
    ],
)
def test_a_destination_is_believed_if_its_authority_and_its_name_are_right(
    tls: TlsSettings, tmp_path: Path, name: str, is_checked: bool, is_known: bool, is_believed: bool
) -> None:
    port = load(replace(tls, client=ClientCertificates.NONE)).context()
    ca = tls.ca if is_known else str(Authority(tmp_path / "other").ca_file)
    calling = caller(CallingTls(ca, check_name=is_checked))
    if is_believed:
        with shaken(port, calling, name) as (_, theirs):
            assert theirs.getpeercert()
    else:
        with pytest.raises(ssl.SSLCertVerificationError), shaken(port, calling, name):
            pass


def test_without_a_file_the_authorities_of_the_system_are_believed(
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", tls.ca)
    port = load(replace(tls, client=ClientCertificates.NONE)).context()
    with shaken(port, caller(CallingTls())) as (_, theirs):
        assert theirs.getpeercert()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ssl.SSLCertVerificationError), shaken(port, caller(CallingTls())):
        pass


def test_an_authority_that_openssl_refuses_is_named(tmp_path: Path) -> None:
    file = tmp_path / "odd.pem"
    file.write_bytes(half_readable(tmp_path))
    with pytest.raises(InvalidReceiver, match=r"OpenSSL refuses \(no reason given\)"):
        caller(CallingTls(str(file)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_caller_showed_is_checked_after_the_handshake(
    tls: TlsSettings, authority: Authority, version: ssl.TLSVersion
) -> None:
    now, lost = datetime.now(UTC), party("lost", issuer=authority.party)
    device = party("device", x509.DNSName("device.example"), is_authority=True)
    with authority.ca_file.open("ab") as file:
        file.write(device.write(authority.folder / "device")[0].read_bytes())
    crl = authority.folder / "crl.pem"
    crl.write_bytes(revocations(authority.party, lost))
    port = load(replace(tls, crl=str(crl)))
    assert port.callers is not None
    for whose, why in (
        (party("kept", issuer=authority.party), ""),
        (device, ""),
        (lost, "is revoked"),
        (party("forged", issuer=device), "is signed by a single device"),
    ):
        context = authority.client_of(whose)
        context.minimum_version = context.maximum_version = version
        with shaken(port.context(), context) as (ours, _):
            if why:
                with pytest.raises(NotAccepted, match=why):
                    port.callers.check(ours, now)
            else:
                port.callers.check(ours, now)


def test_lists_are_read_only_where_certificates_are_asked_for(
    tls: TlsSettings, authority: Authority
) -> None:
    missing = replace(tls, crl=str(authority.folder / "gone.pem"))
    load(replace(missing, client=ClientCertificates.NONE))
    with pytest.raises(InvalidReceiver, match=r"gone\.pem.*does not exist"):
        load(missing)
