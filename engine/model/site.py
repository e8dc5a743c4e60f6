"""Site settings: what holds for all receivers of this installation."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Settings of the installation; the defaults are those of a fresh one."""

    allow_low_ports: bool = False
    """Whether receivers may use ports outside 1024–49151."""
    bind_address: str = ""
    """The local address receivers listen on; empty means all, IPv4 and IPv6."""

    @property
    def ports(self) -> range:
        """The ports that a receiver may use."""
        return range(1, 65536) if self.allow_low_ports else range(1024, 49152)

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SiteSettings:
        """Return the settings that a record describes; absent members keep their default.

        Raises:
            InvalidSite: with one problem per unacceptable member.
        """
        problems = []
        low = raw.get("allow_low_ports", False)
        if not isinstance(low, bool):
            problems.append(
                Problem("allow_low_ports", str(low), "is not a switch", "true or false")
            )
        bind = raw.get("bind_address", "")
        if not isinstance(bind, str) or not _is_address(bind):
            problems.append(
                Problem("bind_address", str(bind), "is not an address", "leave empty for all")
            )
        if problems:
            raise InvalidSite(*problems)
        return cls(bool(low), str(bind))

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {"allow_low_ports": self.allow_low_ports, "bind_address": self.bind_address}


def _is_address(text: str) -> bool:
    try:
        return not text or bool(ip_address(text))
    except ValueError:
        return False
