"""Errors of routing rules: at parse time and at run time."""

from __future__ import annotations

from engine.errors import ConfigurationError, EngineError


class InvalidRule(ConfigurationError):
    """The text is not a routing rule; each problem has a line, a column and a remedy."""

    title = "Not a routing rule"

    @property
    def line(self) -> int | None:
        """1-based line of the first problem; None when a single rule was parsed."""
        return self.problems[0].line

    @property
    def column(self) -> int | None:
        """1-based column of the first problem."""
        return self.problems[0].column

    @property
    def reason(self) -> str:
        """The message of the first problem, without place and remedy."""
        return self.problems[0].message


class RuleError(EngineError):
    """A rule could not be applied to a value."""

    title = "A routing rule failed"


class RuleTimeout(RuleError):
    """A rule took longer than its time limit, so whether the value matches is not known."""

    title = "A routing rule took too long"


class RulesTimeout(RuleError):
    """The rules of one object together took longer than their time limit."""

    title = "Routing rules took too long"


class RuleSuspended(RuleError):
    """A rule timed out so often that it is no longer evaluated."""

    title = "A routing rule is suspended"


class PatternFault(Exception):
    """A fault in a pattern or replacement, with its place; the parser of rules catches it."""

    def __init__(self, offset: int, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.offset = offset
        """0-based, in characters."""
        self.reason = reason
        self.remedy = remedy
