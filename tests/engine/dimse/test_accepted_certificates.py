"""Whose certificates are accepted at a port: authorities, single devices, and who is revoked."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from engine.api import ReceiverState
from engine.events import (
    CertificateRefused,
    CertificateReplaced,
    ConnectionDropped,
    RevocationListExpired,
    RevocationListExpiring,
)
from tests.caller import Caller, call
from tests.certificates import Authority, Party, party, revocations
from tests.fakes import FixedClock
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CT1 = x509.DNSName("ct1.hospital.example")
ANY_USE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def trusting(authority: Authority, *trusted: Party) -> dict[str, Any]:
    """Return the TLS fields of a receiver that trusts others beside the authority."""
    settings = authority.settings()
    file = authority.folder / "trusted.pem"
    file.write_bytes(authority.ca_file.read_bytes())
    for one in trusted:
        with file.open("ab") as added:
            added.write(one.write(authority.folder / "one")[0].read_bytes())
    return {**settings, "tls_ca": str(file)}


def revoking(authority: Authority, *lists: bytes) -> dict[str, Any]:
    """Return the TLS fields of a receiver with revocation lists."""
    file = authority.folder / "crl.pem"
    file.write_bytes(b"".join(lists))
    return {**authority.settings(), "tls_crl": str(file)}


def is_refused(port: int, context: ssl.SSLContext) -> bool:
    """Tell whether a caller gets no association because of its certificate."""
    try:
        return call(port, "SAFE", "CT1", tls=context) != "answered"
    except OSError:
        return True


def why(dock: Dock) -> str:
    """Return why the last connection was dropped, once that is told."""
    dock.wait_until(lambda: bool(dock.told(ConnectionDropped)))
    return dock.told(ConnectionDropped)[-1].rpartition(" without an association: ")[2]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_that_is_trusted_lets_in_itself_and_nobody_it_signs(
    dock: Dock, authority: Authority, version: ssl.TLSVersion
) -> None:
    port = free_port()
    # What `openssl req -x509 -addext subjectAltName=…` makes: it says that it is an authority.
    device = party("device", x509.DNSName("device.example"), is_authority=True)
    sub = party("sub", issuer=device, is_authority=True)
    lines = (f"CT1@{LOOPBACK}#san:ct1.hospital.example", f"CT1@{LOOPBACK}#san:device.example")
    guarded = {"whitelist_enabled": True, "whitelist": lines}
    dock.apply(make_receiver("SAFE", port, **guarded, **trusting(authority, device)))
    forged = party("forged", CT1, issuer=device)
    deeper = party("forged", CT1, issuer=sub)
    for whose, chain in ((forged, ()), (forged, (device,)), (deeper, (sub,))):
        context = authority.client_of(whose, *chain)
        context.minimum_version = context.maximum_version = version
        assert is_refused(port, context)
    assert why(dock) == (
        "the caller's certificate is signed by a single device, which can vouch for nobody else"
    )
    for whose in (device, party("ct1", CT1, issuer=authority.party)):
        assert call(port, "SAFE", "CT1", tls=authority.client_of(whose)) == "answered"


@pytest.mark.parametrize(
    ("trusted", "is_authority"),
    [
        (lambda: party("ca", is_authority=True), True),
        (lambda: party("ca", x509.RFC822Name("pki@hospital.example"), is_authority=True), True),
        (lambda: party("device", CT1, is_authority=True), False),
        (lambda: party("device", is_authority=True, extensions=[ANY_USE]), False),
        (lambda: party("device", is_authority=False), False),
    ],
)
def test_authorities_and_devices_are_told_apart(
    dock: Dock, authority: Authority, trusted: Callable[[], Party], is_authority: bool
) -> None:
    port, one = free_port(), trusted()
    dock.apply(make_receiver("SAFE", port, **trusting(authority, one)))
    signed = authority.client_of(party("ct1", CT1, issuer=one))
    assert is_refused(port, signed) is not is_authority
    assert call(port, "SAFE", "CT1", tls=authority.client_of(one)) == "answered"


def test_no_session_is_resumed(dock: Dock, authority: Authority) -> None:
    """A resumed session would stand for a certificate that was good once."""
    port, context = free_port(), authority.client("ct1.hospital.example")
    dock.apply(make_receiver("SAFE", port, **authority.settings()))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Caller(port, tls=context) as first:
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
        assert first.associate("SAFE") is None
        first.release()
        first.socket.unwrap()
    with Caller(port, tls=context, session=session) as second:
        assert isinstance(second.socket, ssl.SSLSocket)
        assert not second.socket.session_reused
        assert second.associate("SAFE") is None
        second.release()


def test_a_revoked_certificate_is_refused_and_others_are_not(
    dock: Dock, authority: Authority
) -> None:
    port, ca = free_port(), authority.party
    lost, kept = party("lost", CT1, issuer=ca), party("kept", CT1, issuer=ca)
    dock.apply(make_receiver("SAFE", port, **revoking(authority, revocations(ca, lost))))
    assert is_refused(port, authority.client_of(lost))
    assert why(dock) == "the caller's certificate is revoked"
    assert call(port, "SAFE", "CT1", tls=authority.client_of(kept)) == "answered"


def test_a_list_that_was_replaced_holds_for_the_next_caller(
    dock: Dock, authority: Authority
) -> None:
    port, ca = free_port(), authority.party
    lost = party("lost", CT1, issuer=ca)
    tls = revoking(authority, revocations(ca))
    dock.apply(make_receiver("SAFE", port, **tls))
    assert call(port, "SAFE", "CT1", tls=authority.client_of(lost)) == "answered"
    Path(tls["tls_crl"]).write_bytes(revocations(ca, lost))
    assert is_refused(port, authority.client_of(lost))
    assert len(dock.told(CertificateReplaced)) == 1
    Path(tls["tls_crl"]).write_bytes(b"")
    assert is_refused(port, authority.client_of(lost))
    assert "holds no revocation list that can be read" in dock.told(CertificateRefused)[0]


@pytest.mark.parametrize("which", ["none", "another's", "forged"])
def test_who_can_not_be_looked_up_is_refused(dock: Dock, authority: Authority, which: str) -> None:
    port, ca = free_port(), authority.party
    other = party("other", is_authority=True)
    forged = replace(ca, key=other.key)
    lists = {"none": other, "another's": other, "forged": forged}
    dock.apply(make_receiver("SAFE", port, **revoking(authority, revocations(lists[which]))))
    assert is_refused(port, authority.client_of(party("ct1", CT1, issuer=ca)))
    assert why(dock).startswith(
        "the caller's certificate can't be checked: tls_crl has no revocation list of "
    )


def test_every_certificate_below_what_is_trusted_is_looked_up(
    dock: Dock, authority: Authority
) -> None:
    port, ca = free_port(), authority.party
    sub = party("sub", issuer=ca, is_authority=True)
    leaf = party("ct1", CT1, issuer=sub)
    dock.apply(
        make_receiver("SAFE", port, **revoking(authority, revocations(ca), revocations(sub)))
    )
    assert call(port, "SAFE", "CT1", tls=authority.client_of(leaf, sub)) == "answered"
    revoking(authority, revocations(ca, sub), revocations(sub))
    assert is_refused(port, authority.client_of(leaf, sub))
    assert why(dock) == "the caller's certificate is revoked"


def test_a_device_that_is_trusted_by_itself_needs_no_list(dock: Dock, authority: Authority) -> None:
    port, device = free_port(), party("device", CT1)
    tls = {**revoking(authority, revocations(authority.party)), **trusting(authority, device)}
    dock.apply(make_receiver("SAFE", port, **tls))
    assert call(port, "SAFE", "CT1", tls=authority.client_of(device)) == "answered"


def test_a_list_whose_time_is_over_keeps_its_callers_out_and_that_is_told_in_time(
    authority: Authority,
) -> None:
    clock, port, ca = FixedClock(), free_port(), authority.party
    until = clock.now() + timedelta(hours=20)
    tls = revoking(authority, revocations(ca, begin=until - timedelta(days=2), days=2))
    caller = authority.client_of(party("ct1", CT1, issuer=ca))
    with Dock(clock) as dock:
        receiver = make_receiver("SAFE", port, **tls)
        dock.apply(receiver)
        assert call(port, "SAFE", "CT1", tls=caller) == "answered"
        assert not dock.told(RevocationListExpiring)
        clock.advance(10 * 60 * 60)
        dock.wake()
        dock.wait_until(lambda: bool(dock.told(RevocationListExpiring)))
        assert call(port, "SAFE", "CT1", tls=caller) == "answered"
        clock.advance(10 * 60 * 60)
        dock.wake()
        dock.wait_until(lambda: bool(dock.told(RevocationListExpired)))
        assert is_refused(port, caller)
        assert why(dock) == (
            "the caller's certificate can't be checked: the revocation list of "
            f"{ca.certificate.subject.rfc4514_string()} expired at {until:%Y-%m-%d %H:%M} UTC; "
            "replace the file in tls_crl"
        )
        assert dock.receivers.state_of(receiver).state is ReceiverState.LISTENING
        begin = clock.now() - timedelta(hours=1)
        Path(tls["tls_crl"]).write_bytes(revocations(ca, begin=begin))
        assert call(port, "SAFE", "CT1", tls=caller) == "answered"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: b"", "holds no revocation list that can be read"),
        (lambda _: b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "can't be read"),
        (
            lambda ca: revocations(ca, extensions=[x509.DeltaCRLIndicator(1)]),
            "holds a partial revocation list of ",
        ),
    ],
)
def test_a_file_without_a_usable_list_makes_its_receiver_fail(
    dock: Dock, authority: Authority, spoil: Callable[[Party], bytes], said: str
) -> None:
    receiver = make_receiver("SAFE", free_port(), **revoking(authority, spoil(authority.party)))
    dock.apply(receiver)
    failure = dock.receivers.state_of(receiver).failure
    assert failure is not None
    assert "tls_crl" in failure.reason
    assert said in failure.reason


def test_an_expired_list_is_told_of_at_the_start(dock: Dock, authority: Authority) -> None:
    old = revocations(authority.party, begin=datetime(2020, 1, 1, tzinfo=UTC))
    dock.apply(make_receiver("SAFE", free_port(), **revoking(authority, old)))
    (told,) = dock.told(RevocationListExpired)
    assert "expired at 2020-01-08 00:00 UTC" in told
