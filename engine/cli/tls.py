"""The TLS options of a receiver, and what its certificate says."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.errors import InvalidReceiver
from engine.events import counted
from engine.model.tls import EXPIRY_WARNING_DAYS, TLS_FILES, ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.receiver import Receiver

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


def expiry_warning(receiver: Receiver) -> str:
    """Say that the certificate has to be renewed, if it has."""
    record = certificate_record(receiver) or {}
    left = record.get("days_left")
    if not isinstance(left, int) or left >= EXPIRY_WARNING_DAYS:
        return ""
    when = "has expired" if record["problem"] else f"expires in {counted(left, 'day')}"
    return f"the certificate {when}, at {record['not_after']}; renew it"


def _full_path(text: str) -> str:
    """Return a file name that an engine in another directory understands too."""
    return str(Path(text).absolute()) if text else ""
