"""Settings of anonymization: a profile, a script, or both, applied in that order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.errors import InvalidSite, Problem
from engine.model.session import ProjectScript
from engine.model.text import text_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


PROFILE = "profile"
"""The member of a record that has the settings of the profile."""
MAX_SHIFT_DAYS = 36_500

_MEMBERS = ("enabled", "retain", "shift_days")
# Tag patterns that match (7FE0,xxxx): X is any digit, @ an even and # an odd one (dicomedit 3.1).
_PIXELS = re.compile(r"alterPixels|\(\s*[7X#][FX#][EX@][0X@]", re.IGNORECASE)


class Retain(StrEnum):
    """Options of the basic profile: values that it would remove and that stay (PS3.15 E.3)."""

    UIDS = "uids"
    DEVICE = "device"
    INSTITUTION = "institution"
    PATIENT_CHARACTERISTICS = "patient-characteristics"
    DATES = "dates"


class AsReceived(StrEnum):
    """Why objects of a receiver are stored with all that identifies the patient."""

    SWITCHED_OFF = "anonymization is off"
    NO_SCRIPT = "no script or profile is in force"


def stored_as_received(*, wanted: bool, in_force: bool) -> AsReceived | None:
    """Return why a receiver stores objects as received; None if they are anonymized.

    Args:
        wanted: whether the receiver's anonymization is on.
        in_force: whether the site or any project has a script or profile that runs.
    """
    if not wanted:
        return AsReceived.SWITCHED_OFF
    return None if in_force else AsReceived.NO_SCRIPT


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """Whether the basic profile of PS3.15 Annex E is applied, and with which options."""

    enabled: bool = False
    retain: tuple[Retain, ...] = ()
    shift_days: int | None = None
    """How far dates move if they are kept modified; None for not at all."""

    @classmethod
    def of(cls, record: object) -> ProfileSettings:
        """Return the settings that a record without `profile_problems` describes."""
        if not isinstance(record, dict):
            return cls()
        chosen = record.get("retain")
        known = chosen if isinstance(chosen, list | tuple) else ()
        retain = tuple(option for option in Retain if option in known)
        return cls(bool(record.get("enabled", False)), retain, record.get("shift_days"))

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `of` reads."""
        return {
            "enabled": self.enabled,
            "retain": [str(option) for option in self.retain],
            "shift_days": self.shift_days,
        }


class ScriptScope(StrEnum):
    """Whether an anonymization is that of the site or of a project."""

    SITE = "site"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Anonymization:
    """The anonymization of the site or of one project: the profile first, then the script."""

    scope: ScriptScope
    text: str = ""
    """DicomEdit; empty for no script."""
    revision: int = 0
    """The revision of the configuration that brought the script."""
    profile: ProfileSettings | None = None
    """None if it is not applied."""

    @property
    def script_name(self) -> str:
        """The name of the script in messages."""
        return f"{self.scope} script"

    @property
    def names_pixels(self) -> bool:
        """Whether the script may use pixel data, judged by its text: rather too often."""
        return _PIXELS.search(self.text) is not None


def in_force(
    scope: ScriptScope, *, enabled: bool, text: str, revision: int, profile: ProfileSettings
) -> Anonymization | None:
    """Return the anonymization that is switched on; None if nothing is."""
    if not (enabled or profile.enabled):
        return None
    # A script that is off keeps its text, which must not run beside the profile.
    script = (text, revision) if enabled else ("", 0)
    return Anonymization(scope, *script, profile if profile.enabled else None)


def profile_problems(record: object) -> Iterator[Problem]:
    """Yield what keeps a record from describing how the profile is applied."""
    if record is None:
        return
    if not isinstance(record, dict):
        yield Problem(PROFILE, str(record)[:40], "is not a record", "write its members in {}")
        return
    for name in record.keys() - set(_MEMBERS):
        remedy = f"use {', '.join(_MEMBERS)}"
        yield Problem(f"{PROFILE}.{str(name)[:40]}", "", "is not known", remedy)
    yield from _enabled_problems(record)
    yield from _retain_problems(record.get("retain") or ())
    yield from _shift_problems(record)


def _enabled_problems(record: Mapping[str, object]) -> Iterator[Problem]:
    enabled = record.get("enabled", False)
    if not isinstance(enabled, bool):
        name = f"{PROFILE}.enabled"
        yield Problem(name, str(enabled)[:40], "is not a switch", "write true or false")


def _retain_problems(chosen: object) -> Iterator[Problem]:
    name, remedy = f"{PROFILE}.retain", f"use {', '.join(Retain)}"
    if not isinstance(chosen, list | tuple):
        yield Problem(name, str(chosen)[:40], "is not a list of options", remedy)
        return
    for option in chosen:
        if not isinstance(option, str) or option not in set(Retain):
            yield Problem(name, str(option)[:40], "is not an option", remedy)


def _shift_problems(record: Mapping[str, object]) -> Iterator[Problem]:
    days, name = record.get("shift_days"), f"{PROFILE}.shift_days"
    if days is None:
        return
    if isinstance(days, bool) or not isinstance(days, int) or not 0 < abs(days) <= MAX_SHIFT_DAYS:
        remedy = f"use 1 to {MAX_SHIFT_DAYS:,} or a negative number, or remove it"
        yield Problem(name, str(days)[:40], "is not a number of days", remedy)
    # PS3.15 E.3.6: full dates and modified dates are two options that exclude each other.
    elif Retain.DATES in ProfileSettings.of(record).retain:
        remedy = "either keep dates as they are, or move them"
        yield Problem(name, str(days), "contradicts the option dates", remedy)


SITE_SCRIPT = "anonymization_script"
"""The name of the text in records and problems."""
ENABLED = "anonymization_script_enabled"
REVISION = "anonymization_script_revision"


@dataclass(frozen=True, slots=True)
class SiteScript:
    """A DicomEdit script for the objects of all receivers whose anonymization is on.

    `engine.config` checks the script: the model knows no script language.
    """

    enabled: bool = False
    text: str = ""
    revision: int = 0
    """The revision of the configuration that brought the text; assigned by the store."""

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SiteScript:
        """Return the script that a record of site settings describes.

        Raises:
            InvalidSite: with every problem at once.
        """
        problems = list(_faults(raw))
        if problems:
            raise InvalidSite(*problems)
        revision = raw.get(REVISION) or 0
        assert isinstance(revision, int)
        return cls(bool(raw.get(ENABLED, False)), str(raw.get(SITE_SCRIPT, "")), revision)

    def to_record(self) -> dict[str, object]:
        """Return the members of the site's record that `parse` reads."""
        return {ENABLED: self.enabled, SITE_SCRIPT: self.text, REVISION: self.revision}


def _faults(raw: Mapping[str, object]) -> Iterator[Problem]:
    text, enabled, revision = raw.get(SITE_SCRIPT, ""), raw.get(ENABLED, False), raw.get(REVISION)
    yield from text_faults(SITE_SCRIPT, text)
    if not isinstance(enabled, bool):
        yield Problem(ENABLED, str(enabled)[:40], "is not a switch", "write true or false")
    elif enabled and isinstance(text, str) and not text.strip():
        remedy = "set a script, or switch it off"
        yield Problem(ENABLED, "true", "is on, but there is no script", remedy)
    if revision is not None and (
        isinstance(revision, bool) or not isinstance(revision, int) or revision < 0
    ):
        yield Problem(REVISION, str(revision)[:40], "is not a whole number", "remove it")


CREATOR_ELEMENT: Final = 0x00020100
"""Private Information Creator UID."""
NOTE_ELEMENT: Final = 0x00020102
"""Private Information."""
# PS3.10 7.1: the writer of Private Information is named by a UID. PS3.5 B.2: 2.25 and a UUID.
CREATOR_UID: Final = "2.25.186105016680874560506540094134239472899"
EXEMPT: Final = b"anonymization was off "
_DONE: Final = b"anonymized for "


def done_for(project: str) -> bytes:
    """Return the note of an object that a project's script or profile has run on."""
    # PS3.5 7.1.1: a value has an even length.
    note = _DONE + project.encode()
    return note + b" " * (len(note) % 2)


def script_state(note: bytes, project: str | None) -> ProjectScript:
    """Return what a note means for an object that is in a project now."""
    if note == EXEMPT:
        return ProjectScript.EXEMPT
    if project is not None and note == done_for(project):
        return ProjectScript.DONE
    # Also the note of another project: the session was moved, and has another script to pass.
    return ProjectScript.DUE
