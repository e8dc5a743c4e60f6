"""Site settings for sessions: when they are complete, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.duplicates import DuplicatePolicy
from engine.model.file_name_template import (
    DEFAULT_TEMPLATE,
    FileNameTemplate,
    parse_template,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of the site for its sessions."""

    idle_seconds: int = 300
    """A session is complete when no object came for this long (XNAT 9.5)."""
    trash_days: int = 30
    """How long deleted sessions and replaced objects are kept before they are gone for good."""
    duplicates: DuplicatePolicy = DuplicatePolicy.KEEP
    """For an object that is there already with other content, unless its receiver says else."""
    file_name_template: str = DEFAULT_TEMPLATE
    """How stored objects are named (XNAT 9.3)."""

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
        problems = list(_faults(raw))
        if problems:
            raise InvalidSite(*problems)
        given = {name: value for name, value in raw.items() if value is not None}
        if "duplicates" in given:
            given["duplicates"] = DuplicatePolicy(given["duplicates"])
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
        return {**record, "duplicates": str(self.duplicates)}


BOUNDS = {"idle_seconds": range(1, 86_401), "trash_days": range(1, 3_651)}


def _faults(raw: Mapping[object, object]) -> Iterator[Problem]:
    for name, value in raw.items():
        fault = None if value is None else _fault(str(name), value)
        if isinstance(fault, Problem):
            yield fault
        elif fault:
            yield Problem(f"sessions.{name}", str(value)[:40], *fault)


def _fault(name: str, value: object) -> Problem | tuple[str, str] | None:
    """Return the problem, or its message and remedy, of a value that its setting can't have."""
    if name == "duplicates":
        return duplicates_fault(value)
    if name == "file_name_template":
        return _template_fault(value)
    if name not in BOUNDS:
        known = ", ".join(f.name for f in fields(SessionSettings))
        return "is no setting of sessions", f"use {known}"
    bounds = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int) or value not in bounds:
        remedy = f"use {bounds.start} to {bounds.stop - 1}"
        return "is not a whole number in the allowed range", remedy
    return None


def duplicates_fault(value: object) -> tuple[str, str] | None:
    """Return message and remedy for what is no duplicates policy."""
    if isinstance(value, str) and value in set(DuplicatePolicy):
        return None
    return "is not a policy for duplicates", f"use {', '.join(DuplicatePolicy)}"


def _template_fault(value: object) -> Problem | tuple[str, str] | None:
    if not isinstance(value, str):
        return "is not text", "write a template such as ${SOPInstanceUID}"
    try:
        parse_template(value)
    except InvalidSite as error:
        return error.problems[0]
    return None
