"""Routing rules by what they decide: those of a receiver, or those of the whole site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.routing import parse_rules

if TYPE_CHECKING:
    from engine.routing import Rule


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """The rules in force for each attribute; none where others decide."""

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
