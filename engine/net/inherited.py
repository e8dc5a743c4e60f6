"""Listening sockets that the parent process has bound and handed over (systemd's sd_listen_fds).

They are not bound, shut down or unlinked here: only our own descriptors are closed. So a client
that connects while no engine accepts waits in the socket's backlog for the next engine.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.net.ports import ALL_IPV4, ALL_IPV6, shown_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, MutableMapping, Sequence

FIRST_DESCRIPTOR = 3
MOST_DESCRIPTORS = 1024
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_EVERYWHERE = frozenset({ALL_IPV4, ALL_IPV6})


@dataclass(frozen=True, slots=True)
class UnusedDescriptor:
    """A descriptor that no receiver wants, and why."""

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
        """Where it listens."""
        assert self.listening is not None
        address, port = self.listening.getsockname()[:2]
        return str(address), int(port)

    def is_wanted(self, places: Collection[tuple[str, int]]) -> bool:
        """Tell whether it listens at one of some places."""
        return self.listening is not None and any(_is_at(self.place, place) for place in places)


class InheritedSockets:
    """The sockets handed over to this process; any thread may take one."""

    def __init__(self, handed: Sequence[_InheritedDescriptor] = ()) -> None:
        self._lock = threading.Lock()
        self._handed = list(handed)

    @classmethod
    def from_environment(
        cls, environment: MutableMapping[str, str] | None = None, pid: int | None = None
    ) -> InheritedSockets:
        """Take over what the parent says it has handed to this process, and forget that it did.

        The variables are removed and the descriptors closed on exec, for they are not meant for
        our children. Variables that are meant for another process, or make no sense, are ignored.
        """
        variables = os.environ if environment is None else environment
        told = {name: variables.pop(name, "") for name in _VARIABLES}
        if told["LISTEN_PID"] != str(os.getpid() if pid is None else pid):
            return cls()
        count = told["LISTEN_FDS"]
        if not (count.isascii() and count.isdecimal() and int(count[:9]) <= MOST_DESCRIPTORS):
            return cls()
        names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else []
        return cls([_handed(i, names) for i in range(int(count))])

    def take(self, address: str, port: int) -> socket.socket | None:
        """Return a socket that listens where a receiver wants to; the caller closes it.

        A receiver that is switched off and on again gets the same one again.
        """
        with self._lock:
            for handed in self._handed:
                if handed.listening is not None and handed.is_wanted([(address, port)]):
                    return handed.listening.dup()
        return None

    def close_unused(self, places: Collection[tuple[str, int]]) -> tuple[UnusedDescriptor, ...]:
        """Close what is at none of some places, and return what that was.

        Args:
            places: address and port of every receiver, also of those that are switched off: the
                parent holds their ports, so that they could not be bound later.
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
    """Tell whether a socket is the one that is wanted; "everywhere" has two forms."""
    everywhere = place[0] in _EVERYWHERE and wanted[0] in _EVERYWHERE
    return place[1] == wanted[1] and (everywhere or place[0] == wanted[0])
