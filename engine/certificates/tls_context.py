"""TLS contexts from certificate files, with the profile of BCP 195 (PS3.15 B.9, B.10)."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from engine.certificates.callers import Callers, is_device, is_doubtful, read_lists
from engine.certificates.files import Stamp, content, cut, in_memory, invalid, stamp_of
from engine.errors import InvalidReceiver, Problem
from engine.model.tls import (
    Authority,
    Certificate,
    ClientCertificates,
    PeerCertificate,
    RevocationList,
    TlsSettings,
    peer_certificate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.model.peer import CallingTls

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""The suites that RFC 9325 4.2 (BCP 195) recommends for TLS 1.2; all of TLS 1.3 are allowed."""

_Read = TypeVar("_Read")


class TlsContents(NamedTuple):
    """The content of one port's TLS files, for another process of the engine; PEM."""

    stamp: Stamp
    chain: bytes
    key: bytes
    ca: bytes
    """Empty if no client certificate is required."""
    crl: bytes
    """Empty if there are no revocation lists."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of one port's TLS files at the time of reading."""

    certificate: Certificate
    stamp: Stamp
    callers: Callers | None
    """The accepted client certificates; None if none is required."""
    _tls: TlsSettings
    _chain: bytes
    _key: bytes
    _connection_class: type[ssl.SSLSocket]

    def contents(self) -> TlsContents:
        """Return the content of the files, from which `load_contents` makes the same again."""
        ca = _pem(self.callers.trusted) if self.callers else b""
        lists = self.callers.revocations if self.callers else None
        return TlsContents(self.stamp, self._chain, self._key, ca, lists.to_pem() if lists else b"")

    def context(self) -> ssl.SSLContext:
        """Return a new context for one handshake.

        Each handshake has its own, so that no TLS session is ever resumed: OpenSSL keeps sessions
        by context, and a resumed one would skip the check of the certificate.

        Raises:
            InvalidReceiver: if OpenSSL does not accept the files.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = self._connection_class
        _restrict(context)
        _load_pair(context, self._tls, self._chain, self._key)
        if self.callers is not None:
            _require_certificates(context, self.callers.trusted, self._tls.ca)
        return context


def load(tls: TlsSettings, connection_class: type[ssl.SSLSocket] = ssl.SSLSocket) -> Credentials:
    """Read the TLS files of a port, and check that they can be used together.

    The profile is that of BCP 195 (PS3.15 B.9 and B.10): TLS 1.2 or newer without downgrade,
    forward secrecy, AEAD; no renegotiation, compression, session tickets or resumption.

    Raises:
        InvalidReceiver: naming the field, the file, what is wrong and what to do. No other
            exception is raised, whatever the files contain.
    """
    # Taken before the files are read: a change during the reading is noticed at the next look.
    stamp = stamp_of(tls)
    problems: list[Problem] = []
    required = tls.client is ClientCertificates.REQUIRED
    own = _attempt(_own_chain, "tls_certificate", tls.certificate, problems)
    key = _attempt(content, "tls_key", tls.key, problems)
    callers = _attempt(_trusted, "tls_ca", tls.ca, problems) if required else ()
    has_lists = bool(required and tls.crl)
    lists = _attempt(read_lists, "tls_crl", tls.crl, problems) if has_lists else None
    if problems and own is not None and key is not None:
        # The context, which would find it, is not made now: every problem is reported at once.
        problems += _pair_problems(tls, own[0], key)
    if problems or own is None or key is None or callers is None:
        raise InvalidReceiver(*problems)
    chain, certificate = own
    accepted = Callers(callers, lists) if required else None
    credentials = Credentials(certificate, stamp, accepted, tls, chain, key, connection_class)
    try:
        credentials.context()
    except InvalidReceiver:
        raise
    except Exception as error:  # the border to OpenSSL, which checks more than was read here
        message = f"can't be used for TLS ({type(error).__name__}: {error})"
        remedy = "look at it with: openssl x509 -text"
        raise invalid("tls_certificate", tls.certificate, message, remedy) from error
    return credentials


def load_contents(
    tls: TlsSettings, contents: TlsContents, connection_class: type[ssl.SSLSocket]
) -> Credentials:
    """Return the credentials whose files another process has read and checked.

    Raises:
        InvalidReceiver: if they can't be used; that is a defect.
    """
    with ExitStack() as files:
        chain, key, ca, crl = (
            files.enter_context(in_memory(held)) if held else "" for held in contents[1:]
        )
        read = load(replace(tls, certificate=chain, key=key, ca=ca, crl=crl), connection_class)
    return replace(read, stamp=contents.stamp, _tls=tls)


def own_caller(tls: TlsSettings) -> ssl.SSLContext:
    """Return the context with which the engine calls its own port; shows the port's certificate.

    The port's certificate is not verified: it is for another name than the local address. TLS 1.2
    shows a refusal in the handshake; TLS 1.3 reports it only afterwards (RFC 8446 4.4.2.4).

    Raises:
        InvalidReceiver: if certificate and key can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _load_files(context, tls)
    return context


def caller(tls: CallingTls) -> ssl.SSLContext:
    """Return the context of an association as requestor.

    Raises:
        InvalidReceiver: naming the file that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if tls.ca:
        _require_certificates(context, _certificates("tls_ca", tls.ca), tls.ca)
    else:
        context.load_default_certs()
    if tls.certificate:
        _load_files(context, TlsSettings(tls.certificate, tls.key, tls.ca))
    return context


def read_certificate(path: Path, field: str = "certificate") -> Certificate:
    """Return the first certificate of a PEM file.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    return _described(_certificates(field, str(path))[0])


def read_authorities(path: Path) -> tuple[Authority, ...]:
    """Return for each certificate of ``tls_ca`` whether it is an authority or one device's.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    return tuple(
        Authority(found.subject.rfc4514_string(), is_device(found), is_doubtful(found))
        for found in _certificates("tls_ca", str(path))
    )


def read_revocation_lists(path: Path) -> tuple[RevocationList, ...]:
    """Return issuer, dates and size of each list of ``tls_crl``.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    return read_lists("tls_crl", str(path)).described()


def identity_of(connection: ssl.SSLSocket) -> PeerCertificate | None:
    """Return fingerprint and names of the peer's verified certificate; None if it showed none."""
    encoded = connection.getpeercert(binary_form=True)
    return None if encoded is None else _identity(x509.load_der_x509_certificate(encoded))


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHER_SUITES))
    # No resumption, by tickets of TLS 1.2 or 1.3: see `Credentials.context`. A renegotiation could
    # change the certificate after it was checked.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0


def _load_files(context: ssl.SSLContext, tls: TlsSettings) -> None:
    chain, _ = _own_chain("tls_certificate", tls.certificate)
    _load_pair(context, tls, chain, content("tls_key", tls.key))


def _load_pair(context: ssl.SSLContext, tls: TlsSettings, chain: bytes, key: bytes) -> None:
    try:
        with in_memory(chain) as chain_file, in_memory(key) as key_file:
            # Without a callback OpenSSL would ask on the terminal.
            context.load_cert_chain(chain_file, key_file, password=_refuse_passphrase)
    except _PassphraseWanted as error:
        remedy = "remove it: openssl pkey -in KEY -out KEY.open; keep the file's mode at 0600"
        raise invalid("tls_key", tls.key, "is protected by a passphrase", remedy) from error
    except ssl.SSLError as error:
        raise InvalidReceiver(_pair_problem(error, tls)) from error


def _pair_problems(tls: TlsSettings, chain: bytes, key: bytes) -> Sequence[Problem]:
    try:
        _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, chain, key)
    except InvalidReceiver as error:
        return error.problems
    return ()


def _pair_problem(error: ssl.SSLError, tls: TlsSettings) -> Problem:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        message, remedy = "does not belong to the certificate", "name the certificate's own key"
        return Problem("tls_key", cut(tls.key), message, remedy)
    if reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        message = f"is too weak ({reason.replace('_', ' ').lower()})"
        remedy = "use a certificate with RSA from 2048 bits or ECDSA, and SHA-256"
        return Problem("tls_certificate", cut(tls.certificate), message, remedy)
    remedy = "write one in PEM form (-----BEGIN PRIVATE KEY-----)"
    return Problem("tls_key", cut(tls.key), "holds no private key that can be used", remedy)


def _require_certificates(
    context: ssl.SSLContext, trusted: Sequence[x509.Certificate], path: str
) -> None:
    try:
        context.load_verify_locations(cadata=_pem(trusted).decode("ascii"))
    except ssl.SSLError as error:
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        message, remedy = f"holds a certificate that OpenSSL refuses ({reason})", "leave it out"
        raise invalid("tls_ca", path, message, remedy) from error
    context.verify_mode = ssl.CERT_REQUIRED
    # An intermediate authority, or a single device's certificate, may be trusted by itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _own_chain(field: str, path: str) -> tuple[bytes, Certificate]:
    chain = _certificates(field, path)
    return _pem(chain), _described(chain[0])


def _trusted(field: str, path: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a file, and check that all of them can be decoded."""
    found = _certificates(field, path)
    for certificate in found:
        _described(certificate)
    return tuple(found)


def _certificates(field: str, path: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content(field, path))
    except ValueError as error:
        remedy = "write certificates in PEM form (-----BEGIN CERTIFICATE-----)"
        raise invalid(field, path, "holds no certificate that can be read", remedy) from error


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _described(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        identity=_identity(certificate),
    )


def _identity(certificate: x509.Certificate) -> PeerCertificate:
    """Return a certificate's fingerprint, and its names if all of them can be decoded."""
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


def _attempt(
    read: Callable[[str, str], _Read], field: str, path: str, problems: list[Problem]
) -> _Read | None:
    """Read one file; every error becomes a problem of that file."""
    try:
        return read(field, path)
    except InvalidReceiver as error:
        problems.extend(error.problems)
    except Exception as error:
        # The border to a file that may hold anything, and to a library that reads it bit by bit.
        message = f"holds something that can't be read ({type(error).__name__})"
        problems.append(Problem(field, cut(path), message, "look at it with: openssl x509 -text"))
    return None


class _PassphraseWanted(Exception):
    """The private key is encrypted."""


def _refuse_passphrase() -> NoReturn:
    raise _PassphraseWanted
