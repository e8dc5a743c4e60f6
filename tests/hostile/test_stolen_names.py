"""A certificate lets in its own device and nobody else, as long as it is good (V2, V3, V7)."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.caller import Caller, call
from tests.certificates import Authority, Party, party, revocations
from tests.running import LOOPBACK, configure, engine_process, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

VICTIM = "ct2.hospital.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def revoke(authority: Authority, *lost: Party) -> None:
    (authority.folder / "crl.pem").write_bytes(revocations(authority.party, *lost))


@pytest.fixture(scope="module")
def device() -> Party:
    """Give a device whose certificate is one of an authority, as `openssl req -x509` makes it."""
    return party("devA", x509.DNSName("deva.vendor.example"), is_authority=True)


@pytest.fixture(scope="module")
def port(
    authority: Authority, device: Party, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """Run an engine that lets in one device by its name, and trusts another one's certificate.

    It asks the authority's revocation list.
    """
    data, port, tls = tmp_path_factory.mktemp("data"), free_port(), authority.settings()
    trusted, _ = device.write(authority.folder / "device")
    both = authority.folder / "both.pem"
    both.write_bytes(authority.ca_file.read_bytes() + trusted.read_bytes())
    lines = (f"CT2@{LOOPBACK}#san:{VICTIM}",)
    revoke(authority)
    tls |= {"tls_ca": str(both), "tls_crl": str(authority.folder / "crl.pem")}
    guarded = {"whitelist_enabled": True, "whitelist": lines, **tls}
    configure(data, make_receiver("SAFE", port, **guarded))
    with engine_process(data, 1, "--durability", "none"):
        yield port


def outcome(port: int, context: ssl.SSLContext) -> str:
    try:
        return call(port, "SAFE", "CT2", tls=context)
    except (ssl.SSLError, ConnectionError):
        return "no TLS"


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier(VICTIM),
        x509.RFC822Name(VICTIM),
        x509.UniformResourceIdentifier(f" {VICTIM} "),
        x509.DNSName._init_without_validation(f" {VICTIM}"),
        x509.DNSName._init_without_validation(VICTIM.replace("s", "\u017f")),
    ],
    ids=["URI", "e-mail", "blanks in a URI", "blank", "long s"],
)
def test_a_name_that_only_looks_like_a_devices_is_not_its_name(
    port: int, authority: Authority, name: x509.GeneralName
) -> None:
    assert outcome(port, authority.client(VICTIM)) == "answered"
    forged = party("vendor", name, issuer=authority.party)
    assert outcome(port, authority.client_of(forged)) in {"1/1/3", "no TLS"}


def test_a_device_that_is_trusted_issues_no_certificate_for_another(
    port: int, authority: Authority, device: Party
) -> None:
    forged = party("ct2", x509.DNSName(VICTIM), issuer=device)
    assert outcome(port, authority.client_of(forged, device)) == "no TLS"


def test_no_session_is_resumed_so_none_outlives_its_certificate(
    port: int, authority: Authority
) -> None:
    context = authority.client(VICTIM)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Caller(port, tls=context) as first:
        assert first.associate("SAFE", "CT2") is None
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
        first.release()
        with suppress(OSError):  # in good order, or OpenSSL forgets the session
            first.socket.unwrap()
    with Caller(port, tls=context, session=session) as again:
        assert again.associate("SAFE", "CT2") is None
        assert isinstance(again.socket, ssl.SSLSocket)
        assert not again.socket.session_reused
        again.release()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_does_not_outlive_the_revocation_of_its_certificate(
    port: int, authority: Authority, version: ssl.TLSVersion
) -> None:
    lost = party("ct2", x509.DNSName(VICTIM), issuer=authority.party)
    context = authority.client_of(lost)
    context.minimum_version = context.maximum_version = version
    with Caller(port, tls=context) as first:
        assert first.associate("SAFE", "CT2") is None
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
        revoke(authority, lost)
        first.release()
        with suppress(OSError):  # in good order, or OpenSSL forgets the session
            first.socket.unwrap()
    with Caller(port, tls=context, session=session) as again:
        assert isinstance(again.socket, ssl.SSLSocket)
        assert not again.socket.session_reused
        with pytest.raises((ssl.SSLError, ConnectionError)):
            again.associate("SAFE", "CT2")
    assert outcome(port, authority.client(VICTIM)) == "answered"
