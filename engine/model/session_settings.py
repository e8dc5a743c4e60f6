"""Site settings for sessions: when they are complete, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.duplicates import DuplicatePolicy
from engine.model.file_name_template import (
    DEFAULT_TEMPLATE,
    FileNameTemplate,
    parse_template,
)
from engine.model.file_name_template import FIELD as TEMPLATE_FIELD
from engine.model.pet_mr import PetMr, pet_mr_problems
from engine.model.series_filter import filter_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


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
    series_filter: str = ""
    """Which objects nobody wants (XNAT 11.2); empty for no filter."""
    pet_mr: PetMr = PetMr.PETMR
    """What becomes of studies with PET and MR, unless their project says else (XNAT 9.5)."""

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


BOUNDS = {"idle_seconds": range(1, 86_401), "trash_days": range(1, 3_651)}


def _faults(raw: Mapping[object, object]) -> Iterator[Problem]:
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
    """Return message and remedy for what is no duplicates policy."""
    if isinstance(value, str) and value in set(DuplicatePolicy):
        return None
    return "is not a policy for duplicates", f"use {', '.join(DuplicatePolicy)}"


_CHECKS: Mapping[str, Callable[[object], Iterable[Problem]]] = {
    **{name: partial(_number_faults, name) for name in BOUNDS},
    "duplicates": _policy_faults,
    "file_name_template": _template_faults,
    "pet_mr": partial(pet_mr_problems, "sessions.pet_mr"),
    "series_filter": partial(filter_problems, "sessions.series_filter"),
}
