"""Where the socket unit listens: a port with an optional address, read from a narrow form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.addresses import is_address
from engine.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from typing import Self

_LOW_PORTS = 1024
_PLACE = re.compile(r"(?:(?:\[([^]]*)\]|([0-9.]*)):)?([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Place:
    """One port of one address; whatever is one fits a line of a unit."""

    port: int
    address: str = ""
    """IPv4 or IPv6, with a scope such as ``%eth0`` if it needs one; empty means all addresses."""

    def __post_init__(self) -> None:
        """Refuse what is no address or port.

        Raises:
            ConfigurationError: naming it.
        """
        if not 1 <= self.port <= 65535:
            raise _wrong(str(self.port), "is no port", "use such as 8104")
        if self.address and not is_address(self.address):
            remedy = "use such as 192.0.2.7, ::1 or fe80::1%eth0"
            raise _wrong(self.address, "is not an address", remedy)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``8104``, ``192.0.2.7:8104`` or ``[fe80::1%eth0]:8104``.

        Raises:
            ConfigurationError: if it is none of these.
        """
        found = _PLACE.fullmatch(text)
        if not found or found[1] == "" or found[2] == "":
            raise _wrong(text, "is no port", "use such as 8104 or 127.0.0.1:8104")
        return cls(int(found[3]), found[1] or found[2] or "")

    @property
    def is_low(self) -> bool:
        """Whether the port needs a capability."""
        return self.port < _LOW_PORTS

    @property
    def listen_stream(self) -> str:
        """The value of ``ListenStream=`` (systemd.socket(5)): the scope is behind the port there.

        Its percent sign is doubled, for one alone begins a specifier.
        """
        address, _, scope = self.address.partition("%")
        if not address:
            return str(self.port)
        where = f"[{address}]" if ":" in address else address
        return f"{where}:{self.port}%%{scope}" if scope else f"{where}:{self.port}"


def _wrong(text: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem("port", text[:60], message, remedy))
