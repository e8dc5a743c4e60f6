"""Tests TCP ports: whether a port can be bound, and which process holds it if not."""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import psutil

from engine.api import PortHolder, PortState, PortStatus
from engine.errors import AddressNotLocal, ListenError, PortInUse, PortNotPermitted

if TYPE_CHECKING:
    from collections.abc import Collection

ALL_IPV6 = "::"
ALL_IPV4 = "0.0.0.0"


def listening_address(bind_address: str) -> str:
    """Return the address to bind, in its shortest form: the configured one, else all there are."""
    if bind_address:
        address = ip_address(bind_address)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)
    return ALL_IPV6 if _has_dual_stack() else ALL_IPV4


def calling_address(address: str) -> str:
    """Return what a program of this host calls to reach what listens on an address."""
    return "127.0.0.1" if address in {ALL_IPV4, ALL_IPV6} else address


def shown_address(address: str, port: int) -> str:
    """Return address and port as people write them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listen_error(error: OSError, address: str, port: int) -> ListenError:
    """Translate what `bind` raised into a reason and a remedy."""
    if error.errno == errno.EADDRINUSE:
        return PortInUse(address, port, str(find_holder(port, address)))
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PortNotPermitted(
            address,
            port,
            f"no permission for port {port}",
            "use a port from 1024 on, or grant CAP_NET_BIND_SERVICE",
        )
    if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return AddressNotLocal(
            address, port, f"{address} is not an address of this host", "change the bind address"
        )
    return ListenError(address, port, f"{error.strerror or error}", "retry, or choose another port")


def find_holder(port: int, address: str = "") -> PortHolder:
    """Return the process that listens on a port, as far as this user may know.

    Args:
        port: the port in question.
        address: the local address that can't be bound; empty means any.
    """
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return PortHolder()
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        same_port = connection.laddr.port == port
        if same_port and connection.pid and _collide(connection.laddr.ip, address):
            return _describe(connection.pid)
    return PortHolder()


def _collide(held: str, wanted: str) -> bool:
    """Tell whether a socket on one address may keep another one off the same port."""
    return held == wanted or not {held, wanted}.isdisjoint({"", ALL_IPV4, ALL_IPV6})


def probe(port: int, bind_address: str, own: Collection[str] = ()) -> PortStatus:
    """Tell whether a port could be bound now; only the real bind decides.

    Args:
        port: the port in question.
        bind_address: the local address; empty means all.
        own: the AE titles of our own receivers that listen there already.
    """
    if own:
        return PortStatus(PortState.OURS, f"shared with {', '.join(own)}")
    address = listening_address(bind_address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind((address, port))
            candidate.listen(1)
    except (OSError, OverflowError) as error:
        if isinstance(error, OverflowError):
            return PortStatus(PortState.NOT_PERMITTED, "not a port number")
        failure = listen_error(error, address, port)
        state = PortState.TAKEN if isinstance(failure, PortInUse) else PortState.NOT_PERMITTED
        detail = f"held by {failure.holder}" if isinstance(failure, PortInUse) else failure.detail
        return PortStatus(state, detail)
    return PortStatus(PortState.FREE, "free")


def _has_dual_stack() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as candidate:
            candidate.bind((ALL_IPV6, 0))
            return candidate.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    except OSError as error:
        # Anything else, such as no descriptor left, passes: the listeners must not move for it.
        return error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def _describe(pid: int) -> PortHolder:
    try:
        process = psutil.Process(pid)
        since = datetime.fromtimestamp(process.create_time(), UTC)
        return PortHolder(pid, process.name(), process.username(), since)
    except (psutil.Error, OSError, KeyError):
        return PortHolder(pid)
