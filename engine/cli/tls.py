"""The TLS options of a receiver."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.model.tls import TLS_FILES, ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def _full_path(text: str) -> str:
    """Return a file name that an engine in another directory understands too."""
    return str(Path(text).absolute()) if text else ""
