"""Identifies the caller of a request: its login or address, its token, and the actor of changes."""

from __future__ import annotations

import hmac
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.host import terminal
from engine.host.owner import SAYS, UNKNOWN_USER, peer_process, user_name
from engine.net.admission import TableEntry
from engine.remote.logins import cookie_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import Scope

    from engine.remote.logins import Logins

MAX_ACTOR_CHARACTERS = 200


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


def local_peer(
    connected: socket.socket, uid_behind: Callable[[int], int | None] = lambda _pid: None
) -> ApiCaller:
    """Return the process at the other end of a UNIX socket.

    Args:
        connected: the socket.
        uid_behind: returns the user for whom a process runs, if it runs for another.

    Raises:
        OSError: if the kernel has no credentials of it.
    """
    pid, uid = peer_process(connected)
    behind = uid_behind(pid)
    return ApiCaller(user_name(uid if behind is None else behind), pid)


def authorized(scope: Scope, logins: Logins) -> bool:
    """Tell whether a request has the token it needs, or a log-in that was given for it."""
    peer = _peer_of(scope)
    if peer is None:
        return False
    _user, token = _credentials_of(scope)
    # In constant time, so that the answer's delay says nothing of the token.
    if not peer.token or hmac.compare_digest(token, peer.token.encode()):
        return True
    return logins.user_of(cookie_of(scope)) is not None


def user_of(scope: Scope, logins: Logins) -> str:
    """Return the user name that a request gives; it can't be verified. Empty if it gives none."""
    user, _token = _credentials_of(scope)
    return user or logins.user_of(cookie_of(scope)) or ""


def admitted(scope: Scope) -> bool:
    """Tell whether the connection of an authorized request is within the limits."""
    entry = scope.get("state", {}).get("entry")
    return not isinstance(entry, TableEntry) or entry.admit()


def _credentials_of(scope: Scope) -> tuple[str, bytes]:
    """Return user name and token of the Authorization header.

    The token is that of Bearer, or the password of Basic, which scripts for XNAT send.
    """
    header: bytes = dict(scope["headers"]).get(b"authorization", b"")
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return "", value
    if scheme.lower() != b"basic":
        return "", b""
    try:
        user, _, password = b64decode(value, validate=True).partition(b":")
    except ValueError:
        return "", b""
    return user.decode(errors="replace"), password


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
