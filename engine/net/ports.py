"""TCP ports: addresses to bind, who holds a port, and sockets inherited from the parent."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import psutil

from engine.api import PortHolder, PortState, PortStatus
from engine.errors import AddressNotLocal, ListenError, PortInUse, PortNotPermitted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, MutableMapping, Sequence


ALL_IPV6 = "::"
ALL_IPV4 = "0.0.0.0"


def listening_address(bind_address: str) -> str:
    """Return the address to bind, in its shortest form; without one, all addresses."""
    if bind_address:
        address = ip_address(bind_address)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)
    return ALL_IPV6 if _has_dual_stack() else ALL_IPV4


def calling_address(address: str) -> str:
    """Return the address by which programs of this host reach a listening address."""
    return "127.0.0.1" if address in {ALL_IPV4, ALL_IPV6} else address


def shown_address(address: str, port: int) -> str:
    """Return address and port as text; IPv6 in brackets (RFC 3986 3.2.2)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listen_error(error: OSError, address: str, port: int) -> ListenError:
    """Translate an error of `bind` into a reason and a remedy."""
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
        # Without a pid the socket is another user's, about whom this user may know nothing.
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
            # As the listener does: connections in TIME_WAIT do not hold a port.
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


# sd_listen_fds(3): the descriptors follow stdin, stdout and stderr.
FIRST_DESCRIPTOR = 3
MOST_DESCRIPTORS = 1024
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_EVERYWHERE = frozenset({ALL_IPV4, ALL_IPV6})


@dataclass(frozen=True, slots=True)
class UnusedDescriptor:
    """A descriptor that no receiver uses, and why."""

    name: str
    why: str


@dataclass(slots=True)
class _InheritedDescriptor:
    """One descriptor: its name, and the socket if it is a listening one."""

    name: str
    listening: socket.socket | None
    fault: str = ""

    @property
    def place(self) -> tuple[str, int]:
        """The address and port that it listens on."""
        assert self.listening is not None
        address, port = self.listening.getsockname()[:2]
        return str(address), int(port)

    def is_wanted(self, places: Collection[tuple[str, int]]) -> bool:
        """Tell whether it listens at one of some places."""
        return self.listening is not None and any(_is_at(self.place, place) for place in places)


class InheritedSockets:
    """The listening sockets that this process has inherited (sd_listen_fds(3)); for all threads."""

    def __init__(self, handed: Sequence[_InheritedDescriptor] = ()) -> None:
        self._lock = threading.Lock()
        self._handed = list(handed)

    @classmethod
    def from_environment(
        cls, environment: MutableMapping[str, str] | None = None, pid: int | None = None
    ) -> InheritedSockets:
        """Take over the sockets of the environment variables, and remove the variables.

        The descriptors are closed on exec: they are not meant for our children. Variables for
        another process, and invalid ones, are ignored.
        """
        variables = os.environ if environment is None else environment
        given = {name: variables.pop(name, "") for name in _VARIABLES}
        if given["LISTEN_PID"] != str(os.getpid() if pid is None else pid):
            return cls()
        count = given["LISTEN_FDS"]
        if not (count.isascii() and count.isdecimal() and int(count[:9]) <= MOST_DESCRIPTORS):
            return cls()
        names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else []
        return cls([_handed(i, names) for i in range(int(count))])

    def take(self, address: str, port: int) -> socket.socket | None:
        """Return an inherited socket for an address and port, or None; the caller closes it.

        It is a duplicate, so a receiver that is disabled and enabled again gets the socket again.
        """
        with self._lock:
            for handed in self._handed:
                if handed.listening is not None and handed.is_wanted([(address, port)]):
                    return handed.listening.dup()
        return None

    def close_unused(self, places: Collection[tuple[str, int]]) -> tuple[UnusedDescriptor, ...]:
        """Close the sockets that no receiver uses, and return them.

        Args:
            places: address and port of every receiver, also of disabled ones: the parent holds
                their ports, so they could not be bound later.
        """
        with self._lock:
            wanted = [handed for handed in self._handed if handed.is_wanted(places)]
            unused = [handed for handed in self._handed if handed not in wanted]
            self._handed = wanted
        return tuple(_closed(unused))

    def close(self) -> None:
        """Close all our descriptors; the parent's, and so the sockets, stay open."""
        with self._lock:
            handed, self._handed = self._handed, []
        for one in handed:
            if one.listening is not None:
                one.listening.close()


def _handed(index: int, names: Sequence[str]) -> _InheritedDescriptor:
    descriptor = FIRST_DESCRIPTOR + index
    name = names[index] if index < len(names) and names[index].isprintable() else ""
    shown = name[:255] or f"descriptor {descriptor}"
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        with suppress(OSError):
            os.close(descriptor)
        return _InheritedDescriptor(shown, None, f"it is no socket ({error.strerror})")
    fault = _fault(found)
    if fault:
        found.close()
        return _InheritedDescriptor(shown, None, fault)
    return _InheritedDescriptor(shown, found)


def _fault(found: socket.socket) -> str:
    if found.family not in {socket.AF_INET, socket.AF_INET6} or found.type != socket.SOCK_STREAM:
        return "it is not a TCP socket"
    with suppress(OSError):
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return ""
    return "it does not listen"


def _closed(unused: Sequence[_InheritedDescriptor]) -> Iterator[UnusedDescriptor]:
    for handed in unused:
        if handed.listening is None:
            yield UnusedDescriptor(handed.name, handed.fault)
            continue
        where = shown_address(*handed.place)
        handed.listening.close()
        yield UnusedDescriptor(handed.name, f"no receiver listens on {where}")


def _is_at(place: tuple[str, int], wanted: tuple[str, int]) -> bool:
    """Tell whether a socket is at the wanted place; "all addresses" has two forms."""
    everywhere = place[0] in _EVERYWHERE and wanted[0] in _EVERYWHERE
    return place[1] == wanted[1] and (everywhere or place[0] == wanted[0])
