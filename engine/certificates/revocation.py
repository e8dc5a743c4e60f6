"""Certificate revocation lists (RFC 5280 5): read from PEM files, and asked about a certificate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from engine.certificates.files import content, invalid
from engine.model.tls import RevocationList

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_PARTIAL = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)
"""Extensions of lists that don't tell of all certificates of their issuer."""


class NotAccepted(Exception):
    """A caller's certificate is not accepted; the text goes on after "the caller's certificate"."""


@dataclass(frozen=True, slots=True)
class _List:
    signed: x509.CertificateRevocationList
    next_update: datetime
    serial_numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The lists of one file. Without a valid list of its issuer no certificate is accepted."""

    lists: Sequence[_List]

    def described(self) -> tuple[RevocationList, ...]:
        """Return from whom the lists are, and until when they hold."""
        return tuple(
            RevocationList(
                one.signed.issuer.rfc4514_string(),
                one.signed.last_update_utc,
                one.next_update,
                len(one.serial_numbers),
            )
            for one in self.lists
        )

    def check(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
        """Check that a certificate is not revoked.

        Raises:
            NotAccepted: if it is, or if that can't be known now.
        """
        name = issuer.subject.rfc4514_string()
        own = [one for one in self.lists if _is_signed_by(one.signed, issuer)]
        if not own:
            raise NotAccepted(f"can't be checked: tls_crl has no revocation list of {name}")
        if any(certificate.serial_number in one.serial_numbers for one in own):
            raise NotAccepted("is revoked")
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
    if any(isinstance(extension.value, _PARTIAL) for extension in signed.extensions):
        remedy = "use the complete list of the authority"
        raise invalid(field, path, f"holds a partial revocation list of {name}", remedy)
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
