"""The routing rules that are in force for one object, in the order in which they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.routing import parse_rules

if TYPE_CHECKING:
    from engine.routing import Rule


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """A receiver's rules for project, subject and session; empty where the defaults decide."""

    project: tuple[Rule, ...] = ()
    subject: tuple[Rule, ...] = ()
    session: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, project: str, subject: str, session: str) -> Self:
        """Return the rules of three texts.

        Raises:
            InvalidRule: with every problem of the first text that has any.
        """
        return cls(parse_rules(project), parse_rules(subject), parse_rules(session))

    @property
    def last_tag(self) -> int:
        """The greatest tag that a rule reads; 0 without rules."""
        return max((rule.tag for rule in (*self.project, *self.subject, *self.session)), default=0)


NO_RULES = RoutingRules()
