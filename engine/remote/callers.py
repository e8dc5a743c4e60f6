"""Identifies the caller of a request: its login or address, its token, and the actor of changes."""

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
    """The login, from the kernel; of a TCP connection, ``token from <address>``."""
    pid: int = 0
    """0 if it is not a process of this machine."""
    token: str = ""
    """The bearer token that each request needs; empty on the UNIX socket, whose mode is enough."""
    network: str = ""
    """The address or prefix that limits count; empty on the UNIX socket."""


def local_peer(connected: socket.socket) -> ApiCaller:
    """Return the process at the other end of a UNIX socket.

    Raises:
        OSError: if the kernel has no credentials of it.
    """
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return ApiCaller(user_name(uid), pid)


def authorized(scope: Scope) -> bool:
    """Tell whether a request has the token it needs."""
    peer = _peer_of(scope)
    if peer is None:
        return False
    headers = dict(scope["headers"])
    # In constant time, so that the answer's delay says nothing of the token.
    return not peer.token or hmac.compare_digest(
        _token_of(headers.get(b"authorization", b"")), peer.token.encode()
    )


def admitted(scope: Scope) -> bool:
    """Tell whether the connection of an authorized request is within the limits."""
    entry = scope.get("state", {}).get("entry")
    return not isinstance(entry, TableEntry) or entry.admit()


def _token_of(header: bytes) -> bytes:
    """Return the token of an Authorization header: of Bearer, or the password of Basic.

    Scripts that were written for XNAT send Basic.
    """
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() != b"basic":
        return b""
    try:
        # RFC 7617 2: user name and password; the user name does not count here.
        return b64decode(value, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def actor_of(scope: Scope, said: str = "", *, through: str = "") -> str:
    """Return the actor of a change, for history and audit log.

    Args:
        scope: of the request.
        said: the actor that the client names; it can't be verified, and is marked as such.
        through: the interface, if it is another than the control API.
    """
    peer = _peer_of(scope)
    name = peer.name if peer is not None else UNKNOWN_USER
    words = terminal.visible(said[:MAX_ACTOR_CHARACTERS]).strip().removeprefix(f"{name}{SAYS}")
    named = f"{name} ({through})" if through else name
    return f"{named}{SAYS}{words}" if words and words != name else named


def origin_of_request(scope: Scope) -> str:
    """Return the network or login that a refused request comes from."""
    peer = _peer_of(scope)
    return (peer.network or peer.name) if peer is not None else UNKNOWN_USER


def _peer_of(scope: Scope) -> ApiCaller | None:
    peer = scope.get("state", {}).get("peer")
    return peer if isinstance(peer, ApiCaller) else None
