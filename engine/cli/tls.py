"""The TLS options of a receiver, and what its certificate says."""

from __future__ import annotations

import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.errors import InvalidReceiver
from engine.events import counted
from engine.model.tls import EXPIRY_WARNING_DAYS, TLS_FILES, ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model.receiver import Receiver
    from engine.model.tls import Authority, RevocationList

TLS_FIELDS = ("tls_enabled", *TLS_FILES, "tls_client")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the options that switch TLS on and say with which files."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    switch = "speak TLS only; naming a certificate switches it on"
    add("--tls", dest="tls_enabled", action=argparse.BooleanOptionalAction, help=switch)
    file = partial(add, metavar="FILE", type=_full_path)
    file("--tls-certificate", help="PEM file with the certificate and its intermediate ones")
    file("--tls-key", help="PEM file with its private key, without a passphrase")
    file("--tls-ca", help="PEM file with the authorities of the callers' certificates")
    lists = "PEM file with the authorities' revocation lists (CRLs); '' asks for none"
    file("--tls-crl", help=lists)
    choices = [str(choice) for choice in ClientCertificates]
    asked = "whether callers must show a certificate (default: required)"
    add("--tls-client", choices=choices, help=asked)


def tls_given(given: Mapping[str, object]) -> dict[str, object]:
    """Return the TLS fields among the options."""
    fields = {name: given[name] for name in TLS_FIELDS if name in given}
    if fields.get("tls_certificate"):
        fields.setdefault("tls_enabled", True)
    return fields


def certificate_record(receiver: Receiver) -> dict[str, object] | None:
    """Return what the certificate file says now; None without TLS."""
    if receiver.tls is None:
        return None
    from engine.certificates import read_certificate  # which takes a while to load

    try:
        found = read_certificate(Path(receiver.tls_certificate), "tls_certificate")
    except InvalidReceiver as error:
        return {"problem": error.detail}
    now = SystemClock().now()
    return {**found.to_record(now), "problem": "has expired" if found.is_expired(now) else ""}


def callers_record(receiver: Receiver) -> dict[str, object] | None:
    """Return whose certificates are accepted by what the files say now; None if none are asked."""
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
    """Return what is trusted for callers; nothing where no certificate is asked for.

    Raises:
        InvalidReceiver: if the file can't be read.
    """
    if receiver.tls is None or receiver.tls.client is not ClientCertificates.REQUIRED:
        return ()
    from engine.certificates import read_authorities  # which takes a while to load

    return read_authorities(Path(receiver.tls_ca))


def _revocation_lists(receiver: Receiver) -> tuple[RevocationList, ...]:
    if not authorities(receiver) or not receiver.tls_crl:
        return ()
    from engine.certificates import read_revocation_lists

    return read_revocation_lists(Path(receiver.tls_crl))


def tls_notes(receiver: Receiver) -> Iterator[str]:
    """Say what an administrator should know about the files: what has to be renewed, who counts."""
    record = certificate_record(receiver) or {}
    left = record.get("days_left")
    if isinstance(left, int) and left < EXPIRY_WARNING_DAYS:
        when = "has expired" if record["problem"] else f"expires in {counted(left, 'day')}"
        yield f"the certificate {when}, at {record['not_after']}; renew it"
    with suppress(InvalidReceiver):  # a file that is gone is a matter of the port
        for one in authorities(receiver):
            if one.is_device or one.is_doubtful:
                yield f"tls_ca: {one.meaning()}"
        now = SystemClock().now()
        for held in _revocation_lists(receiver):
            if held.expires_soon(now):
                when = "has expired" if held.is_expired(now) else "expires soon"
                until = f"{held.next_update:%Y-%m-%d %H:%M} UTC"
                yield f"tls_crl: the list of {held.issuer} {when}, at {until}; replace the file"


def _full_path(text: str) -> str:
    """Return a file name that an engine in another directory understands too."""
    return str(Path(text).absolute()) if text else ""
