"""Site settings for sessions: when they are complete, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.duplicates import DuplicatePolicy

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

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**record, "duplicates": str(self.duplicates)}


BOUNDS = {"idle_seconds": range(1, 86_401), "trash_days": range(1, 3_651)}


def _faults(raw: Mapping[object, object]) -> Iterator[Problem]:
    for name, value in raw.items():
        fault = None if value is None else _fault(str(name), value)
        if fault:
            yield Problem(f"sessions.{name}", str(value)[:40], *fault)


def _fault(name: str, value: object) -> tuple[str, str] | None:
    """Return message and remedy for a value that its setting can't have."""
    if name == "duplicates":
        return duplicates_fault(value)
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
