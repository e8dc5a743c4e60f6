"""Certificate files: what is accepted, and what is said about the rest."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from engine.certificates.files import stamp_of
from engine.certificates.tls_context import (
    CIPHER_SUITES,
    Credentials,
    load,
    read_authorities,
    read_certificate,
)
from engine.errors import InvalidReceiver
from engine.model.tls import ClientCertificates, TlsSettings
from tests.caller import SERVER_NAME
from tests.certificates import Authority, party

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls(authority: Authority) -> TlsSettings:
    certificate, key = authority.issue(SERVER_NAME, file="server")
    return TlsSettings(str(certificate), str(key), str(authority.ca_file))


def fault(tls: TlsSettings) -> tuple[str, str]:
    with pytest.raises(InvalidReceiver) as caught:
        load(tls)
    (problem,) = caught.value.problems
    assert problem.value
    assert problem.remedy
    return problem.field, problem.message


def test_good_files_become_a_context_of_bcp_195(tls: TlsSettings) -> None:
    loaded = load(tls)
    context = loaded.context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    offered = {suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"}
    assert offered == set(CIPHER_SUITES)
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_NO_TICKET):
        assert context.options & option
    assert loaded.certificate.identity.names == {SERVER_NAME}
    assert loaded.stamp == stamp_of(tls)


def test_where_no_certificate_is_asked_for_none_is_verified(tls: TlsSettings) -> None:
    without = TlsSettings(tls.certificate, tls.key, "", ClientCertificates.NONE)
    assert load(without).context().verify_mode is ssl.CERT_NONE


def replaced_by(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key", "tls_ca"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (as_folder, "is not a file"),
        (as_pipe, "is not a file"),
        (replaced_by(b"x" * (1024 * 1024 + 1)), "is larger than 1 MiB"),
        (replaced_by(b""), "holds no"),
        (replaced_by(b"-----BEGIN NOTHING-----\n\xff\0"), "holds no"),
    ],
)
def test_what_is_no_such_file_is_named(
    tls: TlsSettings, name: str, spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    stem = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_ca": "ca.pem"}[name]
    spoil(tmp_path / stem)
    field, said = fault(tls)
    assert field == name
    assert said.startswith(message)


def test_a_key_of_another_certificate_is_named(tls: TlsSettings, authority: Authority) -> None:
    other = authority.issue("other.example")[1]
    mixed = TlsSettings(tls.certificate, str(other), tls.ca)
    assert fault(mixed) == ("tls_key", "does not belong to the certificate")


def test_a_key_with_a_passphrase_is_named_and_nobody_is_asked_for_it(
    tls: TlsSettings, tmp_path: Path
) -> None:
    file = tmp_path / "server.key"
    key = load_pem_private_key(file.read_bytes(), None)
    locked = BestAvailableEncryption(b"secret")
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    assert fault(tls) == ("tls_key", "is protected by a passphrase")


def test_a_key_of_another_kind_is_named(tls: TlsSettings, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.key").write_bytes(pem)
    assert fault(tls)[0] == "tls_key"


def test_a_wrong_key_is_named_together_with_a_missing_file(
    tls: TlsSettings, authority: Authority
) -> None:
    _, other = authority.issue("other", file="other")
    with pytest.raises(InvalidReceiver) as caught:
        load(replace(tls, key=str(other), ca="/missing.pem"))
    assert {problem.field for problem in caught.value.problems} == {"tls_key", "tls_ca"}


def test_all_missing_files_are_named_at_once() -> None:
    with pytest.raises(InvalidReceiver) as caught:
        load(TlsSettings("/gone/c", "/gone/k", "/gone/ca"))
    assert [p.field for p in caught.value.problems] == ["tls_certificate", "tls_key", "tls_ca"]


def test_a_change_of_any_file_changes_the_stamp(tls: TlsSettings, tmp_path: Path) -> None:
    stamps = {stamp_of(tls)}
    for name in ("server.pem", "server.key", "ca.pem"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"\n")
        stamps.add(stamp_of(tls))
    (tmp_path / "ca.pem").unlink()
    stamps.add(stamp_of(tls))
    assert len(stamps) == 5


def test_a_single_certificate_can_be_read(authority: Authority) -> None:
    found = read_certificate(authority.ca_file)
    assert found.identity.names == frozenset()
    assert found.subject == found.issuer


def test_each_certificate_of_an_authorities_file_is_described(authority: Authority) -> None:
    device = party("device", x509.DNSName("device.example"), is_authority=True)
    with authority.ca_file.open("ab") as file:
        file.write(device.certificate.public_bytes(Encoding.PEM))
    first, second = read_authorities(authority.ca_file)
    assert (first.subject, first.is_device) == (
        authority.party.certificate.subject.rfc4514_string(),
        False,
    )
    assert (second.subject, second.is_device, second.is_doubtful) == ("CN=device", True, False)


def test_what_openssl_trips_over_is_a_problem_of_the_certificate(
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trip(self: Credentials) -> ssl.SSLContext:
        raise MemoryError("too much")

    monkeypatch.setattr(Credentials, "context", trip)
    assert fault(tls) == ("tls_certificate", "can't be used for TLS (MemoryError: too much)")


def test_a_key_that_is_too_weak_is_named(authority: Authority, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1))
    certificate = builder.sign(key, hashes.SHA256())
    (tmp_path / "weak.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "weak.key").write_bytes(pem)
    weak = TlsSettings(str(tmp_path / "weak.pem"), str(tmp_path / "weak.key"),
                       str(authority.ca_file))  # fmt: skip
    assert fault(weak) == ("tls_certificate", "is too weak (ee key too small)")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "may not be read by this user"),
        (OSError(5, "Input/output error"), "can't be read (Input/output error)"),
        (ValueError("embedded null byte"), "can't be read (embedded null byte)"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(
    tls: TlsSettings, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    opened = os.open

    def refuse_keys(path: str, flags: int) -> int:
        if path.endswith(".key"):
            raise error
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse_keys)
    assert fault(tls) == ("tls_key", message)
