"""Who is at the other end of a connection, and what a change made through it is signed with."""

from __future__ import annotations

import hmac
import socket
import struct
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.host import terminal
from engine.host.owner import SAYS, UNKNOWN_USER, user_name
from engine.net.admission import TableEntry

if TYPE_CHECKING:
    from starlette.types import Scope

MAX_ACTOR_CHARACTERS = 200
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid: Linux' ``struct ucred``."""


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """The other end of a connection."""

    name: str
    """A login, as the kernel tells it; the address of a connection from elsewhere."""
    pid: int = 0
    """0 if it is not a process of this machine."""
    token: str = ""
    """What it must show; empty if the socket's permissions are enough."""
    network: str = ""
    """Its address as limits count it; empty if it is a process of this machine."""


def local_peer(connected: socket.socket) -> ApiCaller:
    """Return the process at the other end of a UNIX socket.

    Raises:
        OSError: if the kernel does not tell.
    """
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return ApiCaller(user_name(uid), pid)


def authorized(scope: Scope) -> bool:
    """Tell whether a request may be looked at; compares tokens in constant time."""
    peer = _peer_of(scope)
    if peer is None:
        return False
    headers = dict(scope["headers"])
    return not peer.token or hmac.compare_digest(
        _shown(headers.get(b"authorization", b"")), peer.token.encode()
    )


def admitted(scope: Scope) -> bool:
    """Tell whether an authorized request's connection may go on, or there are too many."""
    entry = scope.get("state", {}).get("entry")
    return not isinstance(entry, TableEntry) or entry.admit()


def _shown(header: bytes) -> bytes:
    """Return the token of a request: a bearer's, or a password, as scripts for XNAT send it."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() != b"basic":
        return b""
    try:
        return b64decode(value, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def actor_of(scope: Scope, said: str = "", *, through: str = "") -> str:
    """Name who makes a change, as the connection tells.

    Args:
        scope: of the request.
        said: what the client says of itself; stands beside the name, marked as said.
        through: which of our interfaces was used.
    """
    peer = _peer_of(scope)
    name = peer.name if peer is not None else UNKNOWN_USER
    words = terminal.visible(said[:MAX_ACTOR_CHARACTERS]).strip().removeprefix(f"{name}{SAYS}")
    named = f"{name} ({through})" if through else name
    return f"{named}{SAYS}{words}" if words and words != name else named


def origin_of_request(scope: Scope) -> str:
    """Name where a request that may be refused comes from: a network, or a login."""
    peer = _peer_of(scope)
    return (peer.network or peer.name) if peer is not None else UNKNOWN_USER


def _peer_of(scope: Scope) -> ApiCaller | None:
    peer = scope.get("state", {}).get("peer")
    return peer if isinstance(peer, ApiCaller) else None
