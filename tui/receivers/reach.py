"""How senders reach a receiver: what to type at a scanner, and commands for other programs."""

from __future__ import annotations

import json
import shlex
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tui.receivers.table import state_words, whitelist_words
from tui.shell.details import in_lines
from tui.text import safe

if TYPE_CHECKING:
    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.model.receiver import Receiver

_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of documentation (RFC 5737, RFC 3849): they are nowhere, but routes lead there."""
_ANY_PORT = 9


def host_addresses() -> tuple[str, ...]:
    """Return the addresses of this host on its usual ways to others; sends nothing."""
    found = []
    for family, address in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, _ANY_PORT))  # of a datagram socket: only looks up the route
            found.append(str(asked.getsockname()[0]))
    return tuple(found)


def reach_text(status: ReceiverStatus, snapshot: EngineSnapshot, addresses: tuple[str, ...]) -> str:
    """Return the card of a receiver; safe text.

    Args:
        status: the receiver.
        snapshot: the newest one.
        addresses: of this host.
    """
    receiver = status.receiver
    hosts = _hosts(status, snapshot, addresses)
    facts = [
        ("AE title", safe(receiver.ae_title)),
        ("host", " or ".join(map(safe, hosts))),
        ("port", str(receiver.port)),
        ("TLS", _tls_words(receiver)),
        ("whitelist", whitelist_words(receiver)),
        ("state", state_words(status, snapshot)),
    ]
    commands = "\n\n".join(
        f"{name}\n  {safe(line)}" for name, line in commands_to(receiver, hosts[0])
    )
    return f"Type this at the scanner:\n\n{in_lines(facts)}\n\n{commands}"


def commands_to(receiver: Receiver, host: str) -> list[tuple[str, str]]:
    """Return a ready line for each of some senders."""
    called, to = shlex.quote(receiver.ae_title), f"{shlex.quote(host)} {receiver.port}"
    if not receiver.tls_enabled:
        modality: object = [receiver.ae_title, host, receiver.port]
        return [
            ("DCMTK, single files", f"storescu -aec {called} {to} FILE.dcm"),
            ("DCMTK, a folder", f"dcmsend -aec {called} {to} +sd +r FOLDER"),
            ("Orthanc, in DicomModalities", f'"dicomdock": {json.dumps(modality)}'),
        ]
    modality = {
        "AET": receiver.ae_title,
        "Host": host,
        "Port": receiver.port,
        "UseDicomTls": True,
    }
    keys = "+tls KEY.pem CERTIFICATE.pem" if receiver.tls_client else "+tla"
    return [
        ("DCMTK", f"storescu {keys} +cf CA.pem -aec {called} {to} FILE.dcm"),
        ("Orthanc, in DicomModalities", f'"dicomdock": {json.dumps(modality)}'),
    ]


def _hosts(
    status: ReceiverStatus, snapshot: EngineSnapshot, addresses: tuple[str, ...]
) -> tuple[str, ...]:
    bound = status.address.rpartition(":")[0].strip("[]") or status.receiver.bind_address
    if bound and bound not in ("::", "0.0.0.0"):
        return (bound,)
    return (*addresses, snapshot.host)


def _tls_words(receiver: Receiver) -> str:
    if not receiver.tls_enabled:
        return "off"
    return f"on, the sender {'needs' if receiver.tls_client else 'needs no'} certificate of its own"
