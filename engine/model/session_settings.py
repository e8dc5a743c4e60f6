"""Site settings for sessions: when they are complete, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of the site for its sessions."""

    idle_seconds: int = 300
    """A session is complete when no object came for this long (XNAT 9.5)."""
    trash_days: int = 30
    """How long deleted sessions and replaced objects are kept before they are gone for good."""

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
        return replace(cls(), **{name: value for name, value in raw.items() if value is not None})

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


BOUNDS = {"idle_seconds": range(1, 86_401), "trash_days": range(1, 3_651)}


def _faults(raw: Mapping[object, object]) -> Iterator[Problem]:
    for name, value in raw.items():
        field, shown = f"sessions.{name}", str(value)[:40]
        bounds = BOUNDS.get(str(name))
        if bounds is None:
            known = ", ".join(f.name for f in fields(SessionSettings))
            yield Problem(field, shown, "is no setting of sessions", f"use {known}")
        elif value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value not in bounds
        ):
            remedy = f"use {bounds.start} to {bounds.stop - 1}"
            yield Problem(field, shown, "is not a whole number in the allowed range", remedy)
