"""TLS of a receiver: its settings, certificates, and conditions on callers' certificates."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from engine.errors import InvalidReceiver, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

TLS_FILES = ("tls_certificate", "tls_key", "tls_ca", "tls_crl")
"""The fields of a receiver that name a file."""
EXPIRY_WARNING_DAYS = 30

_MAX_PATH_CHARACTERS = 1000
_MAX_NAME_CHARACTERS = 255
_SHOWN_CHARACTERS = 60
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class ClientCertificates(StrEnum):
    """Whether callers must show a certificate."""

    REQUIRED = "required"
    """A caller without a valid one does not get a connection."""
    NONE = "none"
    """Callers need no certificate."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS of one port; receivers that share the port share these."""

    certificate: str
    """PEM file with our certificate, and the intermediate ones after it."""
    key: str
    """PEM file with its private key, without a passphrase."""
    ca: str = ""
    """PEM file with the authorities whose certificates callers may show."""
    client: ClientCertificates = ClientCertificates.REQUIRED
    crl: str = ""
    """PEM file with the authorities' revocation lists; empty if none are asked."""

    def check(self) -> None:
        """Check what can be known without looking at the files.

        Raises:
            InvalidReceiver: with one problem per file name that can't be right.
        """
        problems = [p for name in TLS_FILES for p in self._faults(name)]
        if problems:
            raise InvalidReceiver(*problems)

    def _faults(self, name: str) -> Iterator[Problem]:
        path, example = getattr(self, name.removeprefix("tls_")), f"/etc/dicomdock/{name[4:]}.pem"
        if not path:
            if name in {"tls_certificate", "tls_key"}:
                yield Problem(name, path, "is missing; TLS is on", f"name a file such as {example}")
            elif name == "tls_ca" and self.client is ClientCertificates.REQUIRED:
                remedy = "name the file with the callers' authorities, or ask for no certificates"
                yield Problem(name, path, "is missing; client certificates are required", remedy)
        # Shown in dialogs, events and logs, where control characters could steer a terminal.
        elif not path.isprintable() or len(path) > _MAX_PATH_CHARACTERS:
            yield Problem(name, path[:40], "is not a file name", f"write {example}")
        elif not PurePosixPath(path).is_absolute():
            yield Problem(name, path[:60], "is not a full path", f"write one such as {example}")


class ConditionKind(StrEnum):
    """The part of a caller's certificate that a whitelist line compares."""

    FINGERPRINT = "sha256"
    NAME = "san"
    """A DNS name or an IP address."""
    URI = "san-uri"
    EMAIL = "san-email"


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """Those values of a caller's verified certificate that a whitelist line may require."""

    fingerprint: str
    """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
    names: frozenset[str] = frozenset()
    """DNS names and IP addresses among its subject alternative names."""
    uris: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()

    def __str__(self) -> str:
        uris = (f"URI {name}" for name in sorted(self.uris))
        emails = (f"e-mail {name}" for name in sorted(self.emails))
        names = ", ".join((*sorted(self.names), *uris, *emails))
        shown = names if len(names) <= _SHOWN_CHARACTERS else names[:_SHOWN_CHARACTERS] + "…"
        return f"{shown} (sha256:{self.fingerprint[:8]}…)".lstrip()

    def proves(self, kind: ConditionKind, value: str) -> bool:
        """Tell whether the certificate has a fingerprint or a name of that kind."""
        if kind is ConditionKind.FINGERPRINT:
            return value == self.fingerprint
        known = {
            ConditionKind.NAME: self.names,
            ConditionKind.URI: self.uris,
            ConditionKind.EMAIL: self.emails,
        }
        return value in known[kind]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Our own certificate, as far as people need to know it."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    identity: PeerCertificate = field(repr=False)

    def days_left(self, now: datetime) -> int:
        """Return how many whole days it is still valid; negative once it has expired."""
        return (self.not_after - now).days

    def is_expired(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return now >= self.not_after

    def expires_soon(self, now: datetime) -> bool:
        """Tell whether it is time to renew it."""
        return self.days_left(now) < EXPIRY_WARNING_DAYS

    def to_record(self, now: datetime) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "days_left": self.days_left(now),
            "sha256": self.identity.fingerprint,
            "names": sorted(self.identity.names),
            "uris": sorted(self.identity.uris),
            "emails": sorted(self.identity.emails),
        }


@dataclass(frozen=True, slots=True)
class Authority:
    """One certificate that is trusted for callers."""

    subject: str
    is_device: bool
    """Whether only this certificate is trusted, and none that it signs."""
    is_doubtful: bool = False
    """Whether it counts as an authority, but looks like the certificate of a single device."""

    def meaning(self) -> str:
        """Return in words which certificates are accepted because of it."""
        if self.is_device:
            return f"{self.subject} is one device's certificate; what it signs is not accepted"
        told = f"{self.subject} is an authority; every certificate it signs is accepted"
        remedy = "if it is one device's own, make it anew with basicConstraints=CA:FALSE"
        return f"{told}; {remedy}" if self.is_doubtful else told

    def to_record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"subject": self.subject, "is_device": self.is_device}


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Until when the revocation list of an authority holds."""

    issuer: str
    last_update: datetime
    next_update: datetime
    """From then on, callers with a certificate of this issuer are refused."""
    revoked: int
    """How many certificates it lists."""

    def is_expired(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return now >= self.next_update

    def expires_soon(self, now: datetime) -> bool:
        """Tell whether less than a quarter of its time is left."""
        return now >= self.next_update - (self.next_update - self.last_update) / 4

    def to_record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "issuer": self.issuer,
            "last_update": self.last_update.isoformat(),
            "next_update": self.next_update.isoformat(),
            "revoked": self.revoked,
        }


@dataclass(frozen=True, slots=True)
class CertificateCondition:
    """The part of a whitelist line behind the ``#``."""

    kind: ConditionKind
    value: str
    """Fingerprint or name, in the form in which `PeerCertificate` has it."""

    @classmethod
    def parse(cls, kind: str, value: str) -> CertificateCondition:
        """Return the condition; colons and letter case of a fingerprint don't matter.

        Args:
            kind: a `ConditionKind`.
            value: what follows the colon; blanks around it don't count.

        Raises:
            ValueError: saying what is wrong with the value.
        """
        asked, text = ConditionKind(kind), value.strip()
        if asked is ConditionKind.FINGERPRINT:
            # openssl prints it in upper case, with colons.
            return cls(asked, _fingerprint(text))
        if not text or not text.isprintable() or " " in text:
            raise ValueError(f"the certificate's name behind {kind}: is empty or has blanks")
        if not text.isascii():
            raise ValueError(
                f"the certificate's name behind {kind}: is not ASCII; write a DNS name as xn--…"
            )
        if asked is not ConditionKind.NAME:
            return cls(asked, text)
        # With or without the dot of the root it is the same DNS name (RFC 1034 3.1).
        # lower, not casefold: that would take U+017F, which is no ASCII, for an s.
        return cls(asked, _address(text) or text.removesuffix(".").lower())

    def matches(self, certificate: PeerCertificate | None) -> bool:
        """Tell whether a caller's certificate meets the condition; None (no TLS) never does."""
        return certificate is not None and certificate.proves(self.kind, self.value)

    def meaning(self) -> str:
        """Return the condition in words."""
        if self.kind is ConditionKind.FINGERPRINT:
            return f"with the certificate sha256:{self.value[:8]}…"
        of_kind = {ConditionKind.URI: "the URI ", ConditionKind.EMAIL: "the e-mail address "}
        return f"with a certificate for {of_kind.get(self.kind, '')}{self.value}"


def peer_certificate(
    fingerprint: str,
    *,
    dns: Iterable[str] = (),
    addresses: Iterable[str] = (),
    uris: Iterable[str] = (),
    emails: Iterable[str] = (),
) -> PeerCertificate:
    """Return what the whitelist may ask of a certificate, from its names as they are written.

    DNS names are compared in lower case and otherwise exactly; URIs and e-mail addresses exactly.
    A name that could be taken for another one is left out: one with blanks or control characters
    or beyond ASCII, and an address that is written as a DNS name.
    """
    names = {name.lower() for name in dns if _is_plain(name) and not _address(name)}
    return PeerCertificate(
        fingerprint,
        frozenset(names | {address for text in addresses if (address := _address(text))}),
        frozenset(filter(_is_plain, uris)),
        frozenset(filter(_is_plain, emails)),
    )


def _is_plain(name: str) -> bool:
    """Tell whether a name has no character that is invisible or that looks like another one."""
    plain = name.isascii() and name.isprintable() and " " not in name
    return plain and 0 < len(name) <= _MAX_NAME_CHARACTERS


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _fingerprint(text: str) -> str:
    fingerprint = text.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(fingerprint):
        length = len(fingerprint)
        raise ValueError(f"a SHA-256 fingerprint has 64 hexadecimal digits, not {length}")
    return fingerprint
