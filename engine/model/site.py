"""Site settings: what holds for all receivers of this installation."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.limits import Limits
from engine.model.session_settings import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Settings of the installation; the defaults are those of a fresh one."""

    receivers_allowed: bool = True
    """The switch over all receivers: off means that none listens."""
    allow_low_ports: bool = False
    """Whether receivers may use ports outside 1024–49151."""
    bind_address: str = ""
    """The local address receivers listen on; empty means all, IPv4 and IPv6."""
    limits: Limits = Limits()
    sessions: SessionSettings = SessionSettings()

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
        problems = list(_faults(raw))
        limits, sessions = Limits(), SessionSettings()
        try:
            limits = Limits.parse(raw.get("limits"))
        except InvalidSite as error:
            problems.extend(error.problems)
        try:
            sessions = SessionSettings.parse(raw.get("sessions"))
        except InvalidSite as error:
            problems.extend(error.problems)
        if problems:
            raise InvalidSite(*problems)
        return cls(
            receivers_allowed=bool(raw.get("receivers_allowed", True)),
            allow_low_ports=bool(raw.get("allow_low_ports", False)),
            bind_address=str(raw.get("bind_address", "")),
            limits=limits,
            sessions=sessions,
        )

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {
            "receivers_allowed": self.receivers_allowed,
            "allow_low_ports": self.allow_low_ports,
            "bind_address": self.bind_address,
            "limits": self.limits.to_record(),
            "sessions": self.sessions.to_record(),
        }


def is_address(text: str) -> bool:
    """Tell whether a text is an IPv4 or IPv6 address."""
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _faults(raw: Mapping[str, object]) -> Iterator[Problem]:
    for name in ("receivers_allowed", "allow_low_ports"):
        if not isinstance(raw.get(name, False), bool):
            yield Problem(name, str(raw[name])[:40], "is not a switch", "write true or false")
    bind = raw.get("bind_address", "")
    if bind and not is_address(str(bind)):
        yield Problem("bind_address", str(bind)[:60], "is not an address", "leave empty for all")
