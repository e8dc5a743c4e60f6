"""Certificates for tests: an authority of their own, and what it has issued, as files."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.caller import SERVER_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
OVER = datetime(2002, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with a certificate and its key, who may have signed others."""

    certificate: x509.Certificate
    key: Any

    def write(self, stem: Path) -> tuple[Path, Path]:
        """Write certificate and key as ``.pem`` and ``.key``; return both files."""
        certificate, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


def party(
    name: str,
    *names: x509.GeneralName,
    issuer: Party | None = None,
    is_authority: bool | None = False,
    days: float = 30,
    extensions: Sequence[x509.ExtensionType] = (),
    key: Any = None,
) -> Party:
    """Return somebody with a certificate; who has no issuer has signed it by itself.

    With None for `is_authority` the certificate does not say whether it is one's.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        begin,
        begin + timedelta(days=1 + days),
    )
    if is_authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Party(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def revocations(
    issuer: Party,
    *revoked: Party,
    begin: datetime | None = None,
    days: float = 7,
    extensions: Sequence[x509.ExtensionType] = (),
) -> bytes:
    """Return a revocation list of an authority in PEM form."""
    begin = begin or datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject, begin, begin + timedelta(days=days)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, begin)
        builder = builder.add_revoked_certificate(entry.build())
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def half_readable(folder: Path) -> bytes:
    """Return a certificate that is read lazily here, and that OpenSSL refuses to load."""
    pem = party("ABCDEFGHIJ", is_authority=True).write(folder / "odd")[0].read_bytes()
    body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-"))
    odd = base64.b64decode(body).replace(b"ABCDEFGHIJ", b"\xff\xfe" * 5)
    return (
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(odd) + b"-----END CERTIFICATE-----\n"
    )


class Authority:
    """One certificate authority and the folder that its certificates are written to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._ca = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    @property
    def party(self) -> Party:
        """The authority itself, to sign what `issue` has no words for."""
        certificate = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        return Party(certificate, load_pem_private_key(self._ca.private_key_pem.bytes(), None))

    def client_of(self, whose: Party, *chain: Party) -> ssl.SSLContext:
        """Return what a caller with some certificate needs that trusts this authority."""
        certificate, key = whose.write(self.folder / "somebody")
        with certificate.open("ab") as file:
            for above in chain:
                file.write(above.certificate.public_bytes(Encoding.PEM))
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(certificate, key)
        return context

    def issue(self, name: str, *, file: str = "", **validity: Any) -> tuple[Path, Path]:
        """Write a certificate and its key; return both files."""
        issued = self._ca.issue_cert(name, **validity)
        stem = file or name
        certificate, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        certificate.unlink(missing_ok=True)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def settings(self, file: str = "server", **validity: Any) -> dict[str, Any]:
        """Return the TLS fields of a receiver, with a certificate issued for it."""
        certificate, key = self.issue(SERVER_NAME, file=file, **validity)
        return {
            "tls_enabled": True,
            "tls_certificate": str(certificate),
            "tls_key": str(key),
            "tls_ca": str(self.ca_file),
        }

    def client(self, name: str = "", **validity: Any) -> ssl.SSLContext:
        """Return what a caller needs that trusts this authority; without a name, no certificate."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if name:
            context.load_cert_chain(*map(str, self.issue(name, **validity)))
        return context
