"""Reads the TLS files of a receiver: certificates, expiry, warnings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InvalidReceiver
from engine.events import counted
from engine.model.tls import EXPIRY_WARNING_DAYS, ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from engine.model.receiver import Receiver
    from engine.model.tls import Authority, RevocationList


def certificate_record(receiver: Receiver, now: datetime) -> dict[str, object] | None:
    """Read the certificate file of a receiver; None without TLS."""
    if receiver.tls is None:
        return None
    from engine.certificates.tls_context import read_certificate  # slow to import

    try:
        found = read_certificate(Path(receiver.tls_certificate), "tls_certificate")
    except InvalidReceiver as error:
        return {"problem": error.detail}
    return {**found.to_record(now), "problem": "has expired" if found.is_expired(now) else ""}


def callers_record(receiver: Receiver) -> dict[str, object] | None:
    """Read the authorities and revocation lists; None if no client certificate is required."""
    if receiver.tls is None or receiver.tls.client is not ClientCertificates.REQUIRED:
        return None
    try:
        return {
            "authorities": [one.to_record() for one in authorities(receiver)],
            "revocation_lists": [one.to_record() for one in _revocation_lists(receiver)],
            "problem": "",
        }
    except InvalidReceiver as error:
        return {"problem": error.detail}


def authorities(receiver: Receiver) -> tuple[Authority, ...]:
    """Return the authorities for client certificates; empty if none is required.

    Raises:
        InvalidReceiver: if the file can't be read.
    """
    if receiver.tls is None or receiver.tls.client is not ClientCertificates.REQUIRED:
        return ()
    from engine.certificates.tls_context import read_authorities  # slow to import

    return read_authorities(Path(receiver.tls_ca))


def _revocation_lists(receiver: Receiver) -> tuple[RevocationList, ...]:
    if not authorities(receiver) or not receiver.tls_crl:
        return ()
    from engine.certificates.tls_context import read_revocation_lists

    return read_revocation_lists(Path(receiver.tls_crl))


def certificate_notes(file: Path, now: datetime) -> Iterator[str]:
    """Yield a warning about a certificate that has to be renewed."""
    from engine.certificates.tls_context import read_certificate  # slow to import

    # A missing or broken file is reported by the port that can't use it.
    with suppress(InvalidReceiver):
        found = read_certificate(file)
        left = found.days_left(now)
        if left < EXPIRY_WARNING_DAYS:
            expires = f"expires in {counted(left, 'day')}"
            when = "has expired" if found.is_expired(now) else expires
            yield f"the certificate {when}, at {found.not_after.isoformat()}; renew it"


def tls_notes(receiver: Receiver, now: datetime) -> Iterator[str]:
    """Yield warnings about the files: what has to be renewed, and doubtful authorities."""
    if receiver.tls is not None:
        yield from certificate_notes(Path(receiver.tls_certificate), now)
    with suppress(InvalidReceiver):
        for one in authorities(receiver):
            if one.is_device or one.is_doubtful:
                yield f"tls_ca: {one.meaning()}"
        for held in _revocation_lists(receiver):
            if held.expires_soon(now):
                when = "has expired" if held.is_expired(now) else "expires soon"
                until = f"{held.next_update:%Y-%m-%d %H:%M} UTC"
                yield f"tls_crl: the list of {held.issuer} {when}, at {until}; replace the file"
