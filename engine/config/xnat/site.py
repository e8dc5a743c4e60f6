"""Site settings in XNAT's words: members of `siteConfig`, and the rules of its config service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.config.xnat.receivers import read_json
from engine.errors import InvalidSite, NotFound, Problem
from engine.model.anonymization import SITE_SCRIPT
from engine.model.project import AutoArchive
from engine.model.series_filter import FilterMode, joined_filter, split_filter
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCRIPT = "sitewideAnonymizationScript"
SCRIPT_ENABLED = "enableSitewideAnonymizationScript"
FILTER = "sitewideSeriesImportFilter"
FILTER_MODE = "sitewideSeriesImportFilterMode"
FILTER_ENABLED = "enableSitewideSeriesImportFilter"
RULES = {
    "projectRules": "project",
    "subjectRules": "subject",
    "sessionRules": "session",
    "aaRules": "auto_archive",
}
"""The attribute that each path of XNAT's config service has rules for (XNAT 2.3)."""
FILTER_TOOL = "seriesImportFilter"
"""The name of projects' filters in XNAT's config service (XNAT 11.1)."""
FIXED = {
    "useSopInstanceUidToUniquelyIdentifyDicom": (True, "objects are told apart by it"),
    "preventCrossModalityMerge": (True, "sessions of two modalities are never merged"),
    "separateSecondaryDicomOnArchive": (True, "secondary objects have their own folder"),
    "initialized": (True, "dicomdock needs no set-up"),
}
"""Members that have one value here, and why."""
_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of `siteConfig`, and where it is in a record of ours."""

    read: Callable[[SiteSettings], object]
    change: Callable[[dict[str, Any], Any], None]
    """Puts a value of the right kind into a record of `SiteSettings`."""
    kind: type[bool | int | str]


def _set(name: str, *, part: str = "") -> Callable[[dict[str, Any], Any], None]:
    def change(record: dict[str, Any], value: Any) -> None:
        (record[part] if part else record)[name] = value

    return change


def _set_minutes(record: dict[str, Any], value: int) -> None:
    record["sessions"]["idle_seconds"] = value * _SECONDS_PER_MINUTE


def _fixed(value: bool | int, why: str) -> _Member:
    """Return a member that has one value here."""

    def change(_record: dict[str, Any], wanted: Any) -> None:
        if wanted != value:
            message = f"can't be changed here: {why}"
            raise InvalidSite(Problem("", str(wanted)[:40], message, "leave it out"))

    return _Member(lambda _site: value, change, type(value))


_MEMBERS: Mapping[str, _Member] = {
    "enableDicomReceiver": _Member(
        lambda site: site.receivers_allowed, _set("receivers_allowed"), bool
    ),
    "enableDirectArchiveAppend": _Member(
        lambda site: site.direct_archive_append, _set("direct_archive_append"), bool
    ),
    "rerunProjectAnonOnRename": _Member(
        lambda site: site.sessions.rerun_script_on_rename,
        _set("rerun_script_on_rename", part="sessions"),
        bool,
    ),
    # In XNAT minutes; rounded up, so that no session is taken for complete too early.
    "sessionXmlRebuilderInterval": _Member(
        lambda site: -(-site.sessions.idle_seconds // _SECONDS_PER_MINUTE), _set_minutes, int
    ),
    "defaultProjectAutoArchiveSetting": _Member(
        lambda site: str(int(site.new_project_auto_archive)),
        lambda record, value: record.update(new_project_auto_archive=_code(value)),
        str,
    ),
    "dicomFileNameTemplate": _Member(
        lambda site: site.sessions.file_name_template,
        _set("file_name_template", part="sessions"),
        str,
    ),
    "sitewidePetMr": _Member(
        lambda site: str(site.sessions.pet_mr), _set("pet_mr", part="sessions"), str
    ),
    SCRIPT: _Member(lambda site: site.script.text, _set(SITE_SCRIPT), str),
    SCRIPT_ENABLED: _Member(
        lambda site: site.script.enabled, _set("anonymization_script_enabled"), bool
    ),
    "sessionXmlRebuilderRepeat": _Member(
        # In milliseconds. Sessions are built when they are due, without an interval.
        lambda _site: 1_000,
        lambda _record, _value: None,
        int,
    ),
    **{name: _fixed(value, why) for name, (value, why) in FIXED.items()},
}
_FILTER_MEMBERS = (FILTER_ENABLED, FILTER_MODE, FILTER)


def site_config(site: SiteSettings) -> dict[str, object]:
    """Return the members of XNAT's `siteConfig` that there are here."""
    mode, text = split_filter(site.sessions.series_filter)
    filters = (bool(site.sessions.series_filter), str(mode), text)
    members = {name: member.read(site) for name, member in _MEMBERS.items()}
    return members | dict(zip(_FILTER_MEMBERS, filters, strict=True))


def changed_site(site: SiteSettings, wanted: Mapping[str, Any]) -> SiteSettings:
    """Return the settings with some members of `siteConfig` changed.

    Raises:
        NotFound: naming the members that there are not.
        InvalidSite: with every problem at once; the fields have XNAT's names.
    """
    unknown = [name[:40] for name in wanted if name not in _MEMBERS.keys() | {*_FILTER_MEMBERS}]
    if unknown:
        known = ", ".join((*_MEMBERS, *_FILTER_MEMBERS))
        raise NotFound(f"siteConfig has no {', '.join(unknown[:20])} here", f"it has {known}")
    record, problems = site.to_record(), list[Problem]()
    for name, value in wanted.items():
        if name in _MEMBERS:
            try:
                member = _MEMBERS[name]
                read = _read(value, member.kind)
                # A client sends back what it got, which may be rounded.
                if read != member.read(site):
                    member.change(record, read)
            except InvalidSite as error:
                problems += [replace(problem, field=name) for problem in error.problems]
    try:
        record["sessions"]["series_filter"] = _changed_filter(site, wanted)  # type: ignore[index]
    except InvalidSite as error:
        problems += error.problems
    if problems:
        raise InvalidSite(*problems)
    return _parsed(record)


def _parsed(record: Mapping[str, object]) -> SiteSettings:
    try:
        return SiteSettings.parse(record)
    except InvalidSite as error:
        raise InvalidSite(*map(_in_their_words, error.problems)) from error


_THEIRS = {
    "anonymization_script": SCRIPT,
    "anonymization_script_enabled": SCRIPT_ENABLED,
    "new_project_auto_archive": "defaultProjectAutoArchiveSetting",
    "sessions.idle_seconds": "sessionXmlRebuilderInterval",
    "sessions.file_name_template": "dicomFileNameTemplate",
    "sessions.pet_mr": "sitewidePetMr",
    "sessions.series_filter": FILTER,
}


def _in_their_words(problem: Problem) -> Problem:
    return replace(problem, field=_THEIRS.get(problem.field, problem.field))


def _read(value: object, kind: type[bool | int | str]) -> bool | int | str:
    """Return a value of a kind; XNAT's clients send switches and numbers as texts too."""
    text = str(value).strip() if isinstance(value, str | int) else None
    if kind is bool:
        if isinstance(value, bool) or str(text).lower() in ("true", "false"):
            return str(text).lower() == "true"
        raise InvalidSite(Problem("", str(value)[:40], "is not a switch", "write true or false"))
    if kind is int:
        if text is None or isinstance(value, bool) or not (text.isascii() and text.isdecimal()):
            remedy = "write a whole number"
            raise InvalidSite(Problem("", str(value)[:40], "is not a number", remedy))
        return int(text[:12])
    if text is None or isinstance(value, bool):
        raise InvalidSite(Problem("", str(value)[:40], "is not text", "write text"))
    return value if isinstance(value, str) else text


def _code(text: str) -> object:
    return int(text) if text in {str(int(code)) for code in AutoArchive} else text


def _changed_filter(site: SiteSettings, wanted: Mapping[str, Any]) -> str:
    """Return the text of the series import filter; a filter that is off is not kept here."""
    mode, text = split_filter(site.sessions.series_filter)
    enabled, problems = bool(site.sessions.series_filter), list[Problem]()
    values: dict[str, Any] = {FILTER_ENABLED: enabled, FILTER_MODE: str(mode), FILTER: text}
    for name, kind in ((FILTER_ENABLED, bool), (FILTER_MODE, str), (FILTER, str)):
        try:
            values[name] = _read(wanted.get(name, values[name]), kind)
        except InvalidSite as error:
            problems += [replace(problem, field=name) for problem in error.problems]
    if problems:
        raise InvalidSite(*problems)
    changes = any(name in wanted for name in _FILTER_MEMBERS)
    return filter_text(*values.values()) if changes else site.sessions.series_filter


def filter_text(enabled: bool, mode: str, text: str) -> str:
    """Return our text of one of XNAT's filters; empty if it is off (XNAT 11.1).

    Raises:
        InvalidSite: if there can be no such filter here; the fields have XNAT's names.
    """
    if not enabled:
        return ""
    if mode not in set(FilterMode):
        remedy = f"use {' or '.join(FilterMode)}"
        raise InvalidSite(Problem(FILTER_MODE, mode[:40], "is not possible here", remedy))
    if not text.strip():
        message = "is on, but there are no patterns"
        remedy = "send them with it; a filter that is off is not kept here"
        raise InvalidSite(Problem(FILTER_ENABLED, "true", message, remedy))
    return joined_filter(FilterMode(mode), text)


def filter_record(text: str) -> dict[str, object]:
    """Return the record of a project's filter, as XNAT's config service has it (XNAT 11.1)."""
    mode, patterns = split_filter(text)
    return {"enabled": bool(text), "mode": str(mode), "list": patterns, "strict": False}


def posted_filter(contents: str) -> str:
    """Return our text of a project's filter; empty if it is off.

    Raises:
        ConfigurationError: if the contents are no such record.
    """
    return filter_of_record(read_json(contents, "contents", "send the record of a filter"))


def filter_of_record(record: object) -> str:
    """Return our text of the record of a project's filter; empty if it is off.

    Raises:
        InvalidSite: if it is no such record.
    """
    if not isinstance(record, dict):
        remedy = "send an object with enabled, mode and list"
        raise InvalidSite(Problem("filter", str(record)[:40], "is not a filter", remedy))
    read: dict[str, Any] = {}
    kinds = {"enabled": (bool, True), "mode": (str, "blacklist"), "list": (str, "")}
    for name, (kind, default) in kinds.items():
        value = record.get(name)
        try:
            # XNAT itself writes the switch as a text.
            read[name] = default if value is None else _read(value, kind)
        except InvalidSite as error:
            problems = (replace(problem, field=f"filter.{name}") for problem in error.problems)
            raise InvalidSite(*problems) from error
    try:
        return filter_text(*read.values())
    except InvalidSite as error:
        names = dict(zip(_FILTER_MEMBERS, kinds, strict=True))
        renamed = (replace(p, field=f"filter.{names[p.field]}") for p in error.problems)
        raise InvalidSite(*renamed) from error


def changed_rules(
    site: SiteSettings, name: str, text: str | None, enabled: bool | None
) -> SiteSettings:
    """Return the settings with other rules for one attribute.

    Args:
        site: the settings as they are.
        name: the path of XNAT's config service, such as ``projectRules``.
        text: the rules; None keeps them.
        enabled: whether they are in force. None keeps that, but new rules are in force.

    Raises:
        InvalidSite: with every problem at once; the fields are ours.
    """
    attribute, record = RULES[name], site.routing.to_record()
    if text is not None:
        record |= {f"{attribute}_routing": text, f"{attribute}_enabled": True}
    if enabled is not None:
        record[f"{attribute}_enabled"] = enabled
    return replace(site, routing=type(site.routing).parse(record))


def changed_script(
    site: SiteSettings, *, text: str | None = None, enabled: bool | None = None
) -> SiteSettings:
    """Return the settings with another site script, or with its switch turned.

    Raises:
        InvalidSite: if it is on without a text.
    """
    wanted = {SCRIPT: text, SCRIPT_ENABLED: enabled}
    return changed_site(site, {n: v for n, v in wanted.items() if v is not None})
