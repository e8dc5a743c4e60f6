"""Routing rules by what they decide, of a receiver or of the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from engine.errors import ConfigurationError, InvalidSite, Problem
from engine.model.text import MAX_TEXT_CHARACTERS
from engine.routing import parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.routing import Rule


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """The rules in force for each attribute; an attribute without rules is left to others."""

    project: tuple[Rule, ...] = ()
    subject: tuple[Rule, ...] = ()
    session: tuple[Rule, ...] = ()
    auto_archive: tuple[Rule, ...] = ()
    """Of the site only; a receiver has none (XNAT 1.1)."""

    @classmethod
    def parse(cls, project: str, subject: str, session: str, auto_archive: str = "") -> Self:
        """Return the rules of the texts.

        Raises:
            InvalidRule: with every problem of the first text that has any.
        """
        return cls(*map(parse_rules, (project, subject, session, auto_archive)))


ATTRIBUTES = ("project", "subject", "session", "auto_archive")
SITE_ROUTING_FIELDS = tuple(f"{name}_routing" for name in ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class SiteRouting:
    """One text of rules with its switch for each attribute; off and empty at first."""

    project_enabled: bool = False
    project_routing: str = ""
    subject_enabled: bool = False
    subject_routing: str = ""
    session_enabled: bool = False
    session_routing: str = ""
    auto_archive_enabled: bool = False
    auto_archive_routing: str = ""
    tolerant_comments: bool = False
    """Whether ``Project: Subject: Session:`` may stand on lines of their own; not so in XNAT."""
    rules: RoutingRules = field(init=False, repr=False, compare=False)
    """The rules in force: those of the texts that are switched on."""

    def __post_init__(self) -> None:
        # Parsed once here, not for each object. The class is frozen, hence `object.__setattr__`.
        texts = (self.text(name) if self.is_enabled(name) else "" for name in ATTRIBUTES)
        object.__setattr__(self, "rules", RoutingRules.parse(*texts))

    def text(self, attribute: str) -> str:
        """Return the rules of an attribute as written, in force or not."""
        return str(getattr(self, f"{attribute}_routing"))

    def is_enabled(self, attribute: str) -> bool:
        """Tell whether the rules of an attribute are in force."""
        return bool(getattr(self, f"{attribute}_enabled"))

    @classmethod
    def parse(cls, raw: object) -> SiteRouting:
        """Return the routing that a record describes; absent members keep their default.

        Texts that are switched off are kept as they are and not checked.

        Raises:
            InvalidSite: with every problem at once; those of rules name line and column.
        """
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            remedy = "write an object of members"
            raise InvalidSite(Problem("routing", str(raw)[:40], "is not a record", remedy))
        problems = list(_faults(raw))
        if problems:
            raise InvalidSite(*problems)
        return cls(**{name: raw[name] for name in _DEFAULTS if name in raw})

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {name: getattr(self, name) for name in _DEFAULTS}


_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(SiteRouting) if f.init}


def _faults(raw: Mapping[str, object]) -> Iterator[Problem]:
    for name, value in raw.items():
        place, shown = f"routing.{name[:40]}", str(value)[:40]
        default = _DEFAULTS.get(name)
        if default is None:
            yield Problem(place, shown, "is not known", "remove it")
        elif isinstance(default, bool) and not isinstance(value, bool):
            yield Problem(place, shown, "is not a switch", "write true or false")
        elif isinstance(default, str) and not isinstance(value, str):
            yield Problem(place, shown, "is not text", "write text")
    for name in ATTRIBUTES:
        if raw.get(f"{name}_enabled") is True:
            yield from _rule_faults(f"{name}_routing", raw.get(f"{name}_routing"))


def _rule_faults(name: str, text: object) -> Iterator[Problem]:
    if not isinstance(text, str):
        return
    place = f"routing.{name}"
    if len(text) > MAX_TEXT_CHARACTERS:
        remedy = f"use at most {MAX_TEXT_CHARACTERS:,} characters"
        yield Problem(place, text[:40], "is too long", remedy)
        return
    try:
        parse_rules(text, place)
    except ConfigurationError as error:
        yield from error.problems
