"""TLS of a receiver: what is configured, what certificates say, and conditions on callers' ones."""

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

TLS_FILES = ("tls_certificate", "tls_key", "tls_ca")
"""The fields of a receiver that name a file."""
EXPIRY_WARNING_DAYS = 30

_MAX_PATH_CHARACTERS = 1000
_SHOWN_CHARACTERS = 60
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class ClientCertificates(StrEnum):
    """Whether callers must show a certificate."""

    REQUIRED = "required"
    """A caller without a valid one does not get a connection."""
    NONE = "none"
    """Callers are not asked for one."""


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
            if name != "tls_ca":
                yield Problem(name, path, "is missing; TLS is on", f"name a file such as {example}")
            elif self.client is ClientCertificates.REQUIRED:
                remedy = "name the file with the callers' authorities, or ask for no certificates"
                yield Problem(name, path, "is missing; client certificates are required", remedy)
        elif not path.isprintable() or len(path) > _MAX_PATH_CHARACTERS:
            yield Problem(name, path[:40], "is not a file name", f"write {example}")
        elif not PurePosixPath(path).is_absolute():
            yield Problem(name, path[:60], "is not a full path", f"write one such as {example}")


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What of a caller's verified certificate the whitelist may ask for."""

    fingerprint: str
    """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
    names: frozenset[str] = frozenset()
    """Its subject alternative names, normalized by `normalize_name`."""

    def __str__(self) -> str:
        names = ", ".join(sorted(self.names))
        shown = names if len(names) <= _SHOWN_CHARACTERS else names[:_SHOWN_CHARACTERS] + "…"
        return f"{shown} (sha256:{self.fingerprint[:8]}…)".lstrip()


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
        }


class ConditionKind(StrEnum):
    """What of a caller's certificate a whitelist line asks for."""

    FINGERPRINT = "sha256"
    NAME = "san"


@dataclass(frozen=True, slots=True)
class CertificateCondition:
    """The part of a whitelist line behind the ``#``."""

    kind: ConditionKind
    value: str
    """Fingerprint or name, in the form in which `PeerCertificate` has it."""

    @classmethod
    def parse(cls, kind: str, value: str) -> CertificateCondition:
        """Return the condition; colons and upper case are as good as their absence.

        Raises:
            ValueError: saying what is wrong with the value.
        """
        if kind == ConditionKind.NAME:
            name = normalize_name(value)
            if not name or not name.isprintable() or " " in name:
                raise ValueError("the certificate's name behind san: is empty or has blanks")
            return cls(ConditionKind.NAME, name)
        fingerprint = value.strip().replace(":", "").lower()
        if not _FINGERPRINT.fullmatch(fingerprint):
            length = len(fingerprint)
            raise ValueError(f"a SHA-256 fingerprint has 64 hexadecimal digits, not {length}")
        return cls(ConditionKind.FINGERPRINT, fingerprint)

    def matches(self, certificate: PeerCertificate | None) -> bool:
        """Tell whether a caller's certificate is the one asked for; without TLS there is none."""
        if certificate is None:
            return False
        if self.kind is ConditionKind.NAME:
            return self.value in certificate.names
        return self.value == certificate.fingerprint

    def meaning(self) -> str:
        """Say in words what is asked for."""
        if self.kind is ConditionKind.NAME:
            return f"with a certificate for {self.value}"
        return f"with the certificate sha256:{self.value[:8]}…"


def normalize_name(name: str) -> str:
    """Return a subject alternative name as it is compared: names by letter, addresses by number."""
    text = name.strip().casefold().removesuffix(".")
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def peer_certificate(fingerprint: str, names: Iterable[str]) -> PeerCertificate:
    """Return what the whitelist may ask of a certificate."""
    return PeerCertificate(fingerprint, frozenset(map(normalize_name, names)))
