"""Decides which client certificates are accepted: authorities, single devices, revocations."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from engine.certificates.files import content, invalid
from engine.model.tls import RevocationList

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from datetime import datetime


_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_PARTIAL = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)
"""Extensions of lists that do not cover all certificates of their issuer."""


class NotAccepted(Exception):
    """A caller's certificate is not accepted; the text continues "the caller's certificate"."""


@dataclass(frozen=True, slots=True)
class _List:
    signed: x509.CertificateRevocationList
    next_update: datetime
    serial_numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The revocation lists of one file. A certificate needs a valid list of its issuer."""

    lists: Sequence[_List]

    def described(self) -> tuple[RevocationList, ...]:
        """Return issuer, dates and size of each list."""
        return tuple(
            RevocationList(
                one.signed.issuer.rfc4514_string(),
                one.signed.last_update_utc,
                one.next_update,
                len(one.serial_numbers),
            )
            for one in self.lists
        )

    def to_pem(self) -> bytes:
        """Return the lists as a PEM file has them."""
        return b"".join(one.signed.public_bytes(Encoding.PEM) for one in self.lists)

    def check(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
        """Check that a certificate is not revoked.

        Raises:
            NotAccepted: if it is revoked, or if no valid list of its issuer is there.
        """
        name = issuer.subject.rfc4514_string()
        # By signature, not only by name: anybody can write a list with an authority's name.
        own = [one for one in self.lists if _is_signed_by(one.signed, issuer)]
        if not own:
            raise NotAccepted(f"can't be checked: tls_crl has no revocation list of {name}")
        # Before the dates: a revocation stays one, also in a list that has expired.
        if any(certificate.serial_number in one.serial_numbers for one in own):
            raise NotAccepted("is revoked")
        # One valid list is enough: the file may still hold the list before it.
        if all(now >= one.next_update for one in own):
            until = max(one.next_update for one in own)
            raise NotAccepted(
                f"can't be checked: the revocation list of {name} expired at "
                f"{until:%Y-%m-%d %H:%M} UTC; replace the file in tls_crl"
            )


def read_lists(field: str, path: str) -> RevocationLists:
    """Return the revocation lists of a PEM file.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    found = [
        _read(field, path, x509.load_pem_x509_crl(pem))
        for pem in _PEM.findall(content(field, path))
    ]
    if not found:
        remedy = "write them in PEM form: openssl crl -inform DER -in FILE -out FILE.pem"
        raise invalid(field, path, "holds no revocation list that can be read", remedy)
    return RevocationLists(tuple(found))


def _read(field: str, path: str, signed: x509.CertificateRevocationList) -> _List:
    name = signed.issuer.rfc4514_string()
    # A certificate that such a list does not cover would look valid.
    if any(isinstance(extension.value, _PARTIAL) for extension in signed.extensions):
        remedy = "use the complete list of the authority"
        raise invalid(field, path, f"holds a partial revocation list of {name}", remedy)
    # Without it nobody would notice that the list is no longer renewed.
    if signed.next_update_utc is None:
        remedy = "let the authority issue lists with a next update (RFC 5280 5.1.2.5)"
        raise invalid(field, path, f"holds a list of {name} that never expires", remedy)
    serial_numbers = frozenset(revoked.serial_number for revoked in signed)
    return _List(signed, signed.next_update_utc, serial_numbers)


def _is_signed_by(signed: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    if signed.issuer != issuer.subject:
        return False
    try:
        return signed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False


_DEVICE_NAMES = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)


@dataclass(frozen=True, slots=True)
class Callers:
    """The certificates of ``tls_ca``, and the revocation lists if there are any.

    OpenSSL builds and verifies the chain. This checks what OpenSSL does not: whether the trusted
    certificate at its end may sign others, and whether a certificate of the chain is revoked.
    """

    trusted: Sequence[x509.Certificate]
    revocations: RevocationLists | None = None

    def check(self, connection: ssl.SSLSocket, now: datetime) -> None:
        """Check the certificate that a caller showed in a finished handshake.

        Raises:
            NotAccepted: with the reason.
        """
        self.check_chain(_verified_chain(connection), now)

    def check_chain(self, chain: Sequence[x509.Certificate], now: datetime) -> None:
        """Check a verified chain, from the caller's certificate to a trusted one.

        Raises:
            NotAccepted: with the reason.
        """
        if not chain:
            raise NotAccepted("can't be traced to an authority")
        known = {fingerprint(certificate) for certificate in self.trusted}
        for one, issuer in pairwise(chain):
            if fingerprint(one) in known:
                # Trusted by itself: neither its issuer nor the lists of that decide about it.
                return
            # With partial chains allowed, OpenSSL would let any trusted certificate end a chain.
            if fingerprint(issuer) in known and is_device(issuer):
                raise NotAccepted("is signed by a single device, which can vouch for nobody else")
            if self.revocations is not None:
                self.revocations.check(one, issuer, now)


def is_device(certificate: x509.Certificate) -> bool:
    """Tell whether a trusted certificate is one device's own, which can sign no other.

    It is one without ``CA:TRUE``, without the right to sign certificates, or with a DNS name,
    address or URI. ``openssl req -x509`` always sets ``CA:TRUE``, and authorities have no such
    names. A certificate that can't be read counts as a device's.
    """
    try:
        return not _may_sign(certificate) or _has_device_name(certificate)
    except (x509.DuplicateExtension, ValueError):
        return True


def is_doubtful(certificate: x509.Certificate) -> bool:
    """Tell whether an authority has no key usage, so that it may be a device's certificate.

    RFC 5280 4.2.1.3 requires it of authorities; ``openssl req -x509`` always leaves it out.
    """
    try:
        certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return not is_device(certificate)
    except (x509.DuplicateExtension, ValueError):
        return True
    return False


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate."""
    return certificate.fingerprint(hashes.SHA256())


def _may_sign(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        return False
    # RFC 5280 4.2.1.3: without the extension, a key is not restricted.
    with suppress(x509.ExtensionNotFound):
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    return True


def _has_device_name(certificate: x509.Certificate) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return any(isinstance(name, _DEVICE_NAMES) for name in names)


def _verified_chain(connection: ssl.SSLSocket) -> list[x509.Certificate]:
    """Return the chain that OpenSSL verified; before Python 3.13 it has no public method."""
    get_chain = getattr(connection, "get_verified_chain", None)
    if get_chain is not None:
        encoded = get_chain()
    else:
        chain = connection._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined]
        encoded = [certificate.public_bytes(_DER) for certificate in chain]
    return [x509.load_der_x509_certificate(one) for one in encoded]


_DER = 2
"""``_ssl.ENCODING_DER``."""
