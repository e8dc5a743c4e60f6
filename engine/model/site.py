"""Site settings: what holds for all receivers, and how sessions are treated."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.errors import InvalidSite, Problem
from engine.model.alerts import AlertSettings
from engine.model.anonymization import (
    PROFILE,
    ProfileSettings,
    ScriptScope,
    SiteScript,
    in_force,
    profile_problems,
)
from engine.model.file_name_template import (
    DEFAULT_TEMPLATE,
    FileNameTemplate,
    parse_template,
)
from engine.model.file_name_template import FIELD as TEMPLATE_FIELD
from engine.model.limits import Limits
from engine.model.peer import is_address
from engine.model.project import AutoArchive, PetMr, pet_mr_problems
from engine.model.routing import SiteRouting
from engine.model.series_filter import filter_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from engine.model.anonymization import Anonymization


class DuplicatePolicy(StrEnum):
    """For an object whose SOP instance is in its session already, but with another data set.

    An identical data set is always answered with success and not written again.
    """

    KEEP = "keep"
    """Both are kept, and the newcomer's row says so."""
    REPLACE = "replace"
    """The newcomer takes the place of the other, as long as the session is being received."""
    REJECT = "reject"
    """The newcomer is refused with 0x0111 (PS3.7 C.5.7)."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of the site for its sessions."""

    idle_seconds: int = 300
    """A session is complete when no object came for this long (XNAT 9.5)."""
    trash_days: int = 30
    """How long deleted sessions and replaced objects are kept before they are gone for good."""
    duplicates: DuplicatePolicy = DuplicatePolicy.KEEP
    """For an object that is there already with other content, if its receiver has no policy."""
    file_name_template: str = DEFAULT_TEMPLATE
    """How stored objects are named (XNAT 9.3)."""
    series_filter: str = ""
    """Which objects are not stored (XNAT 11.2); empty for no filter."""
    pet_mr: PetMr = PetMr.PETMR
    """The treatment of studies with PET and MR, if their project has no setting (XNAT 9.5)."""
    rerun_script_on_rename: bool = False
    """Whether a project's script runs once more on objects that it has changed, if their session
    gets another label (XNAT's ``rerunProjectAnonOnRename``)."""
    index_days: int = 730
    """How long the index keeps rows of objects in no session, or in one at rest; 0 for ever."""

    @classmethod
    def parse(cls, raw: object) -> SessionSettings:
        """Return the settings that a record describes; absent ones keep their default.

        Raises:
            InvalidSite: with one problem per unacceptable member.
        """
        if raw is None:
            return cls()
        if not isinstance(raw, dict):
            remedy = "write name: value"
            raise InvalidSite(Problem("sessions", str(raw)[:40], "is not an object", remedy))
        problems = list(_session_problems(raw))
        if problems:
            raise InvalidSite(*problems)
        given = {name: value for name, value in raw.items() if value is not None}
        if "duplicates" in given:
            given["duplicates"] = DuplicatePolicy(given["duplicates"])
        if "pet_mr" in given:
            given["pet_mr"] = PetMr(given["pet_mr"])
        return replace(cls(), **given)

    @property
    def template(self) -> FileNameTemplate:
        """The file name template in force."""
        return parse_template(self.file_name_template)

    @property
    def has_default_template(self) -> bool:
        """Whether names tell SOP instances apart by themselves."""
        return self.file_name_template == DEFAULT_TEMPLATE

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**record, "duplicates": str(self.duplicates), "pet_mr": str(self.pet_mr)}


BOUNDS = {
    "idle_seconds": range(1, 86_401),
    "trash_days": range(1, 3_651),
    "index_days": range(36_501),
}


def _session_problems(raw: Mapping[object, object]) -> Iterator[Problem]:
    for name, value in raw.items():
        if value is not None:
            yield from _CHECKS.get(str(name), partial(_unknown, str(name)))(value)


def _unknown(name: str, value: object) -> Iterator[Problem]:
    known = ", ".join(f.name for f in fields(SessionSettings))
    message = "is no setting of sessions"
    yield Problem(f"sessions.{name}", str(value)[:40], message, f"use {known}")


def _number_faults(name: str, value: object) -> Iterator[Problem]:
    bounds = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int) or value not in bounds:
        remedy = f"use {bounds.start} to {bounds.stop - 1}"
        message = "is not a whole number in the allowed range"
        yield Problem(f"sessions.{name}", str(value)[:40], message, remedy)


def _switch_faults(name: str, value: object) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield Problem(f"sessions.{name}", str(value)[:40], "is no switch", "use true or false")


def _policy_faults(value: object) -> Iterator[Problem]:
    fault = duplicates_fault(value)
    if fault:
        yield Problem("sessions.duplicates", str(value)[:40], *fault)


def _template_faults(value: object) -> Iterator[Problem]:
    if not isinstance(value, str):
        remedy = "write a template such as ${SOPInstanceUID}"
        yield Problem(TEMPLATE_FIELD, str(value)[:40], "is not text", remedy)
        return
    try:
        parse_template(value)
    except InvalidSite as error:
        yield from error.problems


def duplicates_fault(value: object) -> tuple[str, str] | None:
    """Return message and remedy for a value that is no policy for duplicates."""
    if isinstance(value, str) and value in set(DuplicatePolicy):
        return None
    return "is not a policy for duplicates", f"use {', '.join(DuplicatePolicy)}"


_CHECKS: Mapping[str, Callable[[object], Iterable[Problem]]] = {
    **{name: partial(_number_faults, name) for name in BOUNDS},
    "duplicates": _policy_faults,
    "file_name_template": _template_faults,
    "pet_mr": partial(pet_mr_problems, "sessions.pet_mr"),
    "rerun_script_on_rename": partial(_switch_faults, "rerun_script_on_rename"),
    "series_filter": partial(filter_problems, "sessions.series_filter"),
}


R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Settings of the installation; the defaults are those of a fresh one."""

    receivers_allowed: bool = True
    """The switch over all receivers: off means that none listens."""
    allow_low_ports: bool = False
    """Whether receivers may use ports outside 1024–49151."""
    offer_all_identifiers: bool = False
    """Whether the dialog offers identifiers that no receiver uses; plug-ins are always offered."""
    direct_archive_append: bool = False
    """XNAT's ``enableDirectArchiveAppend``: whether receivers that archive directly add to archived
    sessions, each in its own mode. Off: later objects wait, or follow their project's code."""
    bind_address: str = ""
    """The local address receivers listen on; empty means all, IPv4 and IPv6."""
    limits: Limits = Limits()
    sessions: SessionSettings = SessionSettings()
    routing: SiteRouting = SiteRouting()
    """Rules for the objects of all receivers, applied after those of the receiver."""
    new_project_auto_archive: AutoArchive = AutoArchive.ARCHIVE
    """The code of a new project (XNAT's ``defaultProjectAutoArchiveSetting``)."""
    script: SiteScript = SiteScript()
    """The script that runs on receipt."""
    profile: ProfileSettings = ProfileSettings()
    """The profile that is applied before that script."""

    @property
    def anonymization(self) -> Anonymization | None:
        """The anonymization of each object on receipt; None if there is none."""
        script = self.script
        return in_force(
            ScriptScope.SITE,
            enabled=script.enabled,
            text=script.text,
            revision=script.revision,
            profile=self.profile,
        )

    alerts: AlertSettings = AlertSettings()
    """Targets of alerts."""

    @property
    def ports(self) -> range:
        """The ports that a receiver may use."""
        # XNAT 1.6. Ports below 1024 need a capability; from 49152 on systems give them to clients
        # (RFC 6335 6).
        return range(1, 65536) if self.allow_low_ports else range(1024, 49152)

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SiteSettings:
        """Return the settings that a record describes; absent members keep their default.

        Raises:
            InvalidSite: with one problem per unacceptable member.
        """
        problems = list(_site_problems(raw))
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
            offer_all_identifiers=bool(raw.get("offer_all_identifiers", False)),
            direct_archive_append=bool(raw.get("direct_archive_append", False)),
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
            "offer_all_identifiers": self.offer_all_identifiers,
            "direct_archive_append": self.direct_archive_append,
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


_SWITCHES = (
    *("receivers_allowed", "allow_low_ports"),
    *("offer_all_identifiers", "direct_archive_append"),
)


def _member(parse: Callable[[R], T], raw: R, problems: list[Problem]) -> T | None:
    try:
        return parse(raw)
    except InvalidSite as error:
        problems.extend(error.problems)
    return None


def _code(raw: Mapping[str, object]) -> AutoArchive | None:
    # A bool is an int in Python: true would be taken for 1.
    code = raw.get("new_project_auto_archive", AutoArchive.ARCHIVE)
    if not isinstance(code, int) or isinstance(code, bool) or code not in set(AutoArchive):
        return None
    return AutoArchive(code)


def _site_problems(raw: Mapping[str, object]) -> Iterator[Problem]:
    for name in _SWITCHES:
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
