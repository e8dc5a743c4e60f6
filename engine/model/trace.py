"""How an object's project, subject, session and auto-archiving were decided, step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

_MASK = "•"


class Attribute(StrEnum):
    """What is decided about an object, in this order."""

    PROJECT = "project"
    SUBJECT = "subject"
    SESSION = "session"
    AUTO_ARCHIVE = "auto-archive"


class Source(StrEnum):
    """Who asks, in this order (XNAT 5.1)."""

    RECEIVER = "receiver"
    SITE = "site"
    DEFAULT = "default"
    PROCESSOR = "processor"
    """A processor that assigns a label, before anything else is asked."""
    IDENTIFIER = "identifier"
    """An identifier that decides by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One look at one element."""

    attribute: Attribute
    source: Source
    line: int | None
    """1-based line of the rule in its text; None for a default."""
    rule: str
    """The rule as written, or what a default looks for."""
    tag: int | None
    """None where an identifier decides without an element."""
    keyword: str
    """The element's keyword; empty if the data dictionary has none."""
    value: str | None
    """The value as the rule saw it; None if the object has none."""
    cut: bool
    """Whether that is only the beginning of the element's value."""
    captured: str | None
    """What the rule took out of the value, before ``t:`` and ``r:``."""
    given: str | None
    """What came of it, which may still be no project's name."""
    result: str | None
    """What was decided; None if a later step had to be asked."""
    why_not: str = ""
    """A sentence if this step decided nothing, or nothing clear."""
    failed: bool = False
    """Whether the rule failed, so that nothing after it was asked."""

    @property
    def decided(self) -> bool:
        """Tell whether this step settled its attribute."""
        return self.result is not None

    @property
    def element(self) -> str:
        """Name the element as ``(gggg,eeee) Keyword``."""
        return "" if self.tag is None else f"{element_number(self.tag)} {self.keyword}".rstrip()

    def masked(self) -> Step:
        """Return the step with nothing of the object's values but their length."""
        why_not = self.why_not
        if self.given:
            why_not = why_not.replace(repr(self.given), repr(masked(self.given)))
        return replace(
            self,
            value=masked(self.value),
            captured=masked(self.captured),
            given=masked(self.given),
            result=masked(self.result),
            why_not=why_not,
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """Every step that was taken, in order; the last of each attribute is the one that counts."""

    steps: tuple[Step, ...] = ()

    def of(self, attribute: Attribute) -> tuple[Step, ...]:
        """Return the steps towards one attribute."""
        return tuple(step for step in self.steps if step.attribute is attribute)

    def deciding(self, attribute: Attribute) -> Step | None:
        """Return the step that settled an attribute; None if nothing did."""
        return next((step for step in self.of(attribute) if step.decided), None)

    def masked(self) -> Trace:
        """Return the trace without values of the object."""
        return Trace(tuple(step.masked() for step in self.steps))


def element_number(tag: int) -> str:
    """Return a tag as ``(gggg,eeee)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def masked(text: str | None) -> str | None:
    """Return a text with nothing left of it but its length."""
    return None if text is None else _MASK * len(text)
