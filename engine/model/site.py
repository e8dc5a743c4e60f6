"""Site settings: what holds for all receivers of this installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from engine.addresses import is_address
from engine.errors import InvalidSite, Problem
from engine.model.alerts import AlertSettings
from engine.model.anonymization import (
    PROFILE,
    ProfileSettings,
    ScriptScope,
    in_force,
    profile_problems,
)
from engine.model.auto_archive import AutoArchive
from engine.model.limits import Limits
from engine.model.session_settings import SessionSettings
from engine.model.site_routing import SiteRouting
from engine.model.site_script import SiteScript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.model.anonymization import Anonymization

R = TypeVar("R")
T = TypeVar("T")


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
    routing: SiteRouting = SiteRouting()
    """Rules for the objects of all receivers, asked after those of the receiver."""
    new_project_auto_archive: AutoArchive = AutoArchive.ARCHIVE
    """What a project is given when it is made (XNAT's ``defaultProjectAutoArchiveSetting``)."""
    script: SiteScript = SiteScript()
    """What objects are anonymized with on receipt."""
    profile: ProfileSettings = ProfileSettings()
    """What is done to them before that script."""

    @property
    def anonymization(self) -> Anonymization | None:
        """What is done to each object on receipt, None for nothing."""
        script = self.script
        return in_force(
            ScriptScope.SITE,
            enabled=script.enabled,
            text=script.text,
            revision=script.revision,
            profile=self.profile,
        )

    alerts: AlertSettings = AlertSettings()
    """Who is told when something is wrong."""

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
        limits = _member(Limits.parse, raw.get("limits"), problems)
        sessions = _member(SessionSettings.parse, raw.get("sessions"), problems)
        routing = _member(SiteRouting.parse, raw.get("routing"), problems)
        script = _member(SiteScript.parse, raw, problems)
        alerts = _member(AlertSettings.parse, raw.get("alerts"), problems)
        code = _code(raw)
        if limits is None or sessions is None or routing is None:
            raise InvalidSite(*problems)
        if code is None or script is None or alerts is None or problems:
            raise InvalidSite(*problems)
        return cls(
            receivers_allowed=bool(raw.get("receivers_allowed", True)),
            allow_low_ports=bool(raw.get("allow_low_ports", False)),
            bind_address=str(raw.get("bind_address", "")),
            limits=limits,
            sessions=sessions,
            routing=routing,
            new_project_auto_archive=code,
            script=script,
            profile=ProfileSettings.of(raw.get(PROFILE)),
            alerts=alerts,
        )

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {
            "receivers_allowed": self.receivers_allowed,
            "allow_low_ports": self.allow_low_ports,
            "bind_address": self.bind_address,
            "limits": self.limits.to_record(),
            "sessions": self.sessions.to_record(),
            "routing": self.routing.to_record(),
            "new_project_auto_archive": int(self.new_project_auto_archive),
            **self.script.to_record(),
            PROFILE: self.profile.to_record(),
            "alerts": self.alerts.to_record(),
        }


SITE_MEMBERS = frozenset(SiteSettings().to_record())
"""The members that a record may have."""


def _member(parse: Callable[[R], T], raw: R, problems: list[Problem]) -> T | None:
    try:
        return parse(raw)
    except InvalidSite as error:
        problems.extend(error.problems)
    return None


def _code(raw: Mapping[str, object]) -> AutoArchive | None:
    code = raw.get("new_project_auto_archive", AutoArchive.ARCHIVE)
    if not isinstance(code, int) or isinstance(code, bool) or code not in set(AutoArchive):
        return None
    return AutoArchive(code)


def _faults(raw: Mapping[str, object]) -> Iterator[Problem]:
    for name in ("receivers_allowed", "allow_low_ports"):
        if not isinstance(raw.get(name, False), bool):
            yield Problem(name, str(raw[name])[:40], "is not a switch", "write true or false")
    yield from profile_problems(raw.get(PROFILE))
    bind = raw.get("bind_address", "")
    if bind and not is_address(str(bind)):
        yield Problem("bind_address", str(bind)[:60], "is not an address", "leave empty for all")
    if _code(raw) is None:
        code = str(raw["new_project_auto_archive"])[:40]
        remedy = f"use {', '.join(f'{known:d} ({known.name.lower()})' for known in AutoArchive)}"
        yield Problem("new_project_auto_archive", code, "is not a code", remedy)
