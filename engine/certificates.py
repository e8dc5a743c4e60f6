"""Certificate files: read, checked against each other, and made into a TLS context."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from engine.errors import InvalidReceiver, Problem
from engine.model.tls import (
    TLS_FILES,
    Certificate,
    ClientCertificates,
    PeerCertificate,
    TlsSettings,
    peer_certificate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.model.peer import CallingTls

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""What RFC 9325 4.2 (BCP 195) recommends for TLS 1.2; those of TLS 1.3 are all good."""

_MAX_FILE_BYTES = 1024 * 1024
_SHOWN_CHARACTERS = 80

Stamp = tuple[tuple[int, ...] | None, ...]
"""What changes when one of the files does."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of one port as they were when they were read."""

    context: ssl.SSLContext
    certificate: Certificate
    stamp: Stamp


def load(tls: TlsSettings, connection_class: type[ssl.SSLSocket] = ssl.SSLSocket) -> Credentials:
    """Read the files and return what a port needs for its handshakes.

    The profile is that of BCP 195 (PS3.15 B.9 and B.10): TLS 1.2 or newer without downgrade,
    forward secrecy, AEAD; no renegotiation, compression or session tickets.

    Raises:
        InvalidReceiver: naming the field, the file, what is wrong with it and what to do.
    """
    stamp = stamp_of(tls)  # taken first, so that a change from now on is noticed
    problems: list[Problem] = []
    chain = _attempt(lambda: _certificates("tls_certificate", tls.certificate), problems)
    _attempt(lambda: _content("tls_key", tls.key), problems)
    required = tls.client is ClientCertificates.REQUIRED
    authorities = _attempt(lambda: _certificates("tls_ca", tls.ca), problems) if required else ()
    if problems or not chain or authorities is None:
        raise InvalidReceiver(*problems)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = connection_class
    _restrict(context)
    _load_pair(context, tls)
    if required:
        _require_certificates(context, authorities)
    return Credentials(context, _described(chain[0]), stamp)


def own_caller(tls: TlsSettings) -> ssl.SSLContext:
    """Return what the engine needs to call its own port; it shows the port's own certificate.

    The port's certificate is not verified: it is for another name than the local address that is
    called. TLS 1.2 lets a refusal be seen in the handshake (RFC 8446 4.4.2.4 has it afterwards).

    Raises:
        InvalidReceiver: if certificate and key can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, tls)
    return context


def caller(tls: CallingTls) -> ssl.SSLContext:
    """Return what an association as requestor needs, with the profile of BCP 195 (PS3.15 B.9).

    Raises:
        InvalidReceiver: naming the file that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if tls.ca:
        _require_certificates(context, _certificates("tls_ca", tls.ca))
    else:
        context.load_default_certs()
    if tls.certificate:
        _load_pair(context, TlsSettings(tls.certificate, tls.key, tls.ca))
    return context


def stamp_of(tls: TlsSettings) -> Stamp:
    """Return what differs as soon as one of the files was written or replaced."""
    return tuple(_stamp(getattr(tls, name.removeprefix("tls_"))) for name in TLS_FILES)


def read_certificate(path: Path, field: str = "certificate") -> Certificate:
    """Return the first certificate of a PEM file.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    return _described(_certificates(field, str(path))[0])


def identity_of(connection: ssl.SSLSocket) -> PeerCertificate | None:
    """Return what the peer's verified certificate says; None if it showed none."""
    encoded = connection.getpeercert(binary_form=True)
    return None if encoded is None else _identity(x509.load_der_x509_certificate(encoded))


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0


def _load_pair(context: ssl.SSLContext, tls: TlsSettings) -> None:
    try:
        # Without a callback OpenSSL would ask on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_passphrase)
    except _PassphraseWanted as error:
        remedy = "remove it: openssl pkey -in KEY -out KEY.open; keep the file's mode at 0600"
        raise _invalid("tls_key", tls.key, "is protected by a passphrase", remedy) from error
    except ssl.SSLError as error:
        raise InvalidReceiver(_pair_problem(error, tls)) from error
    except OSError as error:
        raise _invalid("tls_key", tls.key, str(error.strerror), "name another file") from error


def _pair_problem(error: ssl.SSLError, tls: TlsSettings) -> Problem:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        message, remedy = "does not belong to the certificate", "name the certificate's own key"
        return Problem("tls_key", _cut(tls.key), message, remedy)
    if reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        message = f"is too weak ({reason.replace('_', ' ').lower()})"
        remedy = "use a certificate with RSA from 2048 bits or ECDSA, and SHA-256"
        return Problem("tls_certificate", _cut(tls.certificate), message, remedy)
    remedy = "write one in PEM form (-----BEGIN PRIVATE KEY-----)"
    return Problem("tls_key", _cut(tls.key), "holds no private key that can be used", remedy)


def _require_certificates(context: ssl.SSLContext, authorities: Sequence[x509.Certificate]) -> None:
    pem = b"".join(authority.public_bytes(Encoding.PEM) for authority in authorities)
    context.load_verify_locations(cadata=pem.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED
    # An intermediate authority, or a single device's certificate, may be trusted by itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _certificates(field: str, path: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(field, path))
    except ValueError as error:
        remedy = "write certificates in PEM form (-----BEGIN CERTIFICATE-----)"
        raise _invalid(field, path, "holds no certificate that can be read", remedy) from error


def _described(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        identity=_identity(certificate),
    )


def _identity(certificate: x509.Certificate) -> PeerCertificate:
    """Return a certificate's fingerprint, and its names if all of them can be read."""
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return peer_certificate(fingerprint)
    named = extension.value.get_values_for_type
    return peer_certificate(
        fingerprint,
        dns=named(x509.DNSName),
        addresses=map(str, named(x509.IPAddress)),
        uris=named(x509.UniformResourceIdentifier),
        emails=named(x509.RFC822Name),
    )


def _content(field: str, path: str) -> bytes:
    """Return what a file says; whatever is no plain file of a sensible size is not opened for long.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fault = _fault(os.fstat(descriptor))
            if fault:
                raise _invalid(field, path, fault, "name a PEM file")
            return os.read(descriptor, _MAX_FILE_BYTES)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise _invalid(field, path, "does not exist", "create it or name another file") from error
    except PermissionError as error:
        remedy = "let the user that runs dicomdock read it"
        raise _invalid(field, path, "may not be read by this user", remedy) from error
    except (OSError, ValueError) as error:
        message = f"can't be read ({getattr(error, 'strerror', None) or error})"
        raise _invalid(field, path, message, "name another file") from error


def _fault(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    return "is larger than 1 MiB" if status.st_size > _MAX_FILE_BYTES else ""


def _attempt(
    read: Callable[[], Sequence[x509.Certificate] | bytes], problems: list[Problem]
) -> Sequence[x509.Certificate] | None:
    try:
        content = read()
    except InvalidReceiver as error:
        problems.extend(error.problems)
        return None
    return () if isinstance(content, bytes) else content


class _PassphraseWanted(Exception):
    """The private key is encrypted."""


def _refuse_passphrase() -> NoReturn:
    raise _PassphraseWanted


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _invalid(field: str, path: str, message: str, remedy: str) -> InvalidReceiver:
    return InvalidReceiver(Problem(field, _cut(path), message, remedy))


def _cut(path: str) -> str:
    return path if len(path) <= _SHOWN_CHARACTERS else "…" + path[1 - _SHOWN_CHARACTERS :]
