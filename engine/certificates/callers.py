"""Decides which client certificates are accepted: authorities, single devices, revocations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from engine.certificates.revocation import NotAccepted

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from datetime import datetime

    from engine.certificates.revocation import RevocationLists

_DEVICE_NAMES = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)


@dataclass(frozen=True, slots=True)
class Callers:
    """The certificates of ``tls_ca``, and the revocation lists if there are any.

    OpenSSL builds and verifies the chain. This decides what OpenSSL does not ask: whether the
    certificate it ended at may vouch for others, and whether one of the chain is revoked.
    """

    trusted: Sequence[x509.Certificate]
    revocations: RevocationLists | None = None

    def check(self, connection: ssl.SSLSocket, now: datetime) -> None:
        """Check the certificate that a caller showed in the handshake that has just ended.

        Raises:
            NotAccepted: saying why.
        """
        self.check_chain(_verified_chain(connection), now)

    def check_chain(self, chain: Sequence[x509.Certificate], now: datetime) -> None:
        """Check a verified chain, from the caller's certificate to one that is trusted.

        Raises:
            NotAccepted: saying why.
        """
        if not chain:
            raise NotAccepted("can't be traced to an authority")
        known = {fingerprint(certificate) for certificate in self.trusted}
        for one, issuer in pairwise(chain):
            if fingerprint(one) in known:
                return  # trusted by itself, so its issuer is not asked about it
            if fingerprint(issuer) in known and is_device(issuer):
                raise NotAccepted("is signed by a single device, which can vouch for nobody else")
            if self.revocations is not None:
                self.revocations.check(one, issuer, now)


def is_device(certificate: x509.Certificate) -> bool:
    """Tell whether a trusted certificate is one device's own, which vouches for itself only.

    That is so without ``CA:TRUE`` or without the right to sign certificates, and if it has a DNS
    name, address or URI: ``openssl req -x509`` makes ``CA:TRUE`` whether that is meant or not, and
    authorities have no such names. A certificate that can't be read counts as a device's.
    """
    try:
        return not _may_sign(certificate) or _has_device_name(certificate)
    except (x509.DuplicateExtension, ValueError):
        return True


def is_doubtful(certificate: x509.Certificate) -> bool:
    """Tell whether an authority does not say what its key is for, as all of them should.

    RFC 5280 4.2.1.3 wants it; ``openssl req -x509`` leaves it out, whosever certificate it makes.
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
    """Return what OpenSSL verified, which Python tells openly from 3.13 on."""
    told = getattr(connection, "get_verified_chain", None)
    if told is not None:
        encoded = told()
    else:
        chain = connection._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined]
        encoded = [certificate.public_bytes(_DER) for certificate in chain]
    return [x509.load_der_x509_certificate(one) for one in encoded]


_DER = 2
"""``_ssl.ENCODING_DER``."""
