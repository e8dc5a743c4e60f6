"""The sources of a label: routing rules, assignments in comments, whole elements.

`Routing` puts the sources of one receiver in order, once per configuration (XNAT 5.1, 5.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydicom.datadict import keyword_for_tag

from engine.model.identity import Attribute, Source, element_number
from engine.routing import Application
from engine.state.studies import NO_STUDIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from engine.model.routing import RoutingRules, SiteRouting
    from engine.routing import Rule
    from engine.state.studies import Studies


# The line breaks that "." of a Java pattern does not match (XNAT 6.6).
LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
# Java's `\s`, comma and semicolon (XNAT 5.3).
_DELIMITERS = frozenset(" \t\n\x0b\f\r,;")
# Possessive quantifiers (`*+`): the search never goes back, so a hostile comment of any length
# takes linear time.
_ASSIGNMENT_PATTERNS = {
    key: re.compile(rf"(?<![^\s,;]){key}(?=\s*+:(\s*+)([\w-]*+))", re.ASCII | re.IGNORECASE)
    for key in ("Project", "Subject", "Session", "AA")
}


def assigned(text: str, key: str, *, tolerant: bool = False) -> str | None:
    r"""Return the value that a text assigns to a key, None if it assigns none (XNAT 5.3).

    This is Java's match of ``(?:\A|(?:.*[\s,;]))KEY\s*\:\s*([\w\-]*)(?:(?:[\s,;].*\Z)|\Z)`` in
    linear time: an assignment at the very start wins, else the last one; one line break may precede
    the key, as its delimiter, and one may follow the value. Where `tolerant`, line breaks are
    blanks, so that every assignment may have a line of its own.
    """
    if ":" not in text:
        return None
    if tolerant:
        text = LINE_BREAK.sub(" ", text)
    breaks = [found.start() for found in LINE_BREAK.finditer(text)]
    first, last = (breaks[0], breaks[-1]) if breaks else (len(text), -1)
    value = None
    for found in _ASSIGNMENT_PATTERNS[key].finditer(text):
        # The `.*` before the key spans no line break; the break itself may be its delimiter.
        if found.start() > first + 1:
            break
        candidate = _value_before(text, found, last)
        # No break: the greedy `.*` makes the last assignment win.
        if candidate is not None:
            value = candidate
            # `\A` is tried first, so an assignment at the very start wins.
            if found.start() == 0:
                break
    return value


def _value_before(text: str, found: re.Match[str], last_break: int) -> str | None:
    """Return the value if nothing but one delimiter and one line's rest follows it."""
    end = found.end(2)
    if last_break <= end and (end == len(text) or text[end] in _DELIMITERS):
        return found[2]
    # The blanks after the colon may be the delimiter as well; then the value is empty.
    return "" if found[1] and last_break < found.end(1) else None


COMMENTS = (0x00104000, 0x00324000, 0x001021B0)
"""Patient Comments, Study Comments and Additional Patient History."""
_ASSIGNMENT_KEYS = {
    Attribute.PROJECT: "Project",
    Attribute.SUBJECT: "Subject",
    Attribute.SESSION: "Session",
    Attribute.AUTO_ARCHIVE: "AA",
}
_WHOLE = {
    Attribute.PROJECT: (0x00081030, 0x00080050),  # Study Description, Accession Number
    Attribute.SUBJECT: (0x00100010,),  # Patient Name
    Attribute.SESSION: (0x00100020,),  # Patient ID
    Attribute.AUTO_ARCHIVE: (),
}


class ValueSource(Protocol):
    """One source of a value: a rule, an assignment in a comment, or a whole element."""

    @property
    def tag(self) -> int:
        """The element that it reads."""
        ...

    @property
    def source(self) -> Source:
        """Receiver, site or default."""
        ...

    @property
    def line(self) -> int | None:
        """1-based line of a rule in its text."""
        ...

    @property
    def words(self) -> str:
        """The rule as written, or what a default looks for."""
        ...

    @property
    def name(self) -> str:
        """The source and its element in a few words."""
        ...

    def take(self, text: str) -> str | None:
        """Return the value that it finds in the element's text; None or empty if none.

        Raises:
            RuleError: if a rule fails.
        """
        ...

    def explain(self, text: str) -> Application:
        """Do the same, with the reason if there is no value; raises as `take` does."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RuleSource:
    """A line of a routing expression.

    Equal only to itself: failures of two equal lines are counted separately.
    """

    source: Source
    rule: Rule
    tag: int = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        tag = self.rule.tag
        where = "" if self.rule.line is None else f" in line {self.rule.line}"
        # Derived once: both are read for each object, and a frozen dataclass is set this way.
        object.__setattr__(self, "tag", tag)
        object.__setattr__(self, "name", f"{self.source} rule{where}, {element_number(tag)}")

    @property
    def line(self) -> int | None:
        """1-based line of the rule in its text."""
        return self.rule.line

    @property
    def words(self) -> str:
        """The rule as written."""
        return self.rule.text

    def take(self, text: str) -> str | None:
        """Apply the rule."""
        return self.rule.apply(text)

    def explain(self, text: str) -> Application:
        """Apply the rule, with the reason if there is no value."""
        return self.rule.explain(text)


@dataclass(frozen=True, slots=True)
class CommentSource:
    """An assignment such as ``Project:P1`` in a comment (XNAT 5.3)."""

    tag: int
    key: str
    tolerant: bool = False
    name: str = field(init=False)
    source = Source.DEFAULT
    line = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{element_name(self.tag)} {self.key}:")

    @property
    def words(self) -> str:
        """What is looked for."""
        return f"{self.key}:"

    def take(self, text: str) -> str | None:
        """Return what the comment assigns."""
        return assigned(text, self.key, tolerant=self.tolerant)

    def explain(self, text: str) -> Application:
        """Return what the comment assigns, with the reason if there is no value."""
        value = self.take(text)
        return _application(text, value, "" if value else self._why_not(text, value))

    def _why_not(self, text: str, value: str | None) -> str:
        if value is not None:
            return f"{self.words} has no value"
        if not self.tolerant and assigned(text, self.key, tolerant=True):
            return f"{self.words} stands where line breaks hide it; see tolerant comments"
        return f"no {self.words} followed by letters, digits, '_' or '-'"


@dataclass(frozen=True, slots=True)
class ElementSource:
    """An element's whole value."""

    tag: int
    name: str = field(init=False)
    source = Source.DEFAULT
    line = None
    words = "whole value"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", element_name(self.tag))

    def take(self, text: str) -> str | None:
        """Return the text unless it is blank."""
        return None if text.isspace() else text

    def explain(self, text: str) -> Application:
        """Return the text, with the reason if it is blank."""
        value = self.take(text)
        return _application(text, value, "" if value else "blank")


def element_name(tag: int) -> str:
    """Name an element as ``(gggg,eeee) Keyword``."""
    return f"{element_number(tag)} {keyword_for_tag(tag)}".rstrip()


def _application(text: str, value: str | None, why_not: str) -> Application:
    return Application(text, False, value is not None, value, value or None, why_not)


Chains = dict[Attribute, tuple[ValueSource, ...]]
"""For each attribute its sources in the order of evaluation."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Sources, projects and settings that decide about the objects of one receiver."""

    projects: ProjectRegistry
    chains: Mapping[Attribute, tuple[ValueSource, ...]]
    settings: Mapping[str, str] = field(default_factory=dict)
    """The receiver's values of its identifier's fields."""
    receiver: str = ""
    """``AE:port``."""
    studies: Studies = NO_STUDIES

    @classmethod
    def of(
        cls,
        receiver: Receiver,
        site: SiteRouting,
        projects: ProjectRegistry,
        studies: Studies = NO_STUDIES,
    ) -> Routing:
        """Compile the routing of a receiver."""
        settings = dict(receiver.identifier_settings)
        return cls(projects, chains_of(receiver.routing, site), settings, receiver.label, studies)

    @property
    def tags(self) -> frozenset[int]:
        """The elements that any source reads."""
        return frozenset(clause.tag for chain in self.chains.values() for clause in chain)


def chains_of(receiver: RoutingRules, site: SiteRouting) -> Chains:
    """Put the sources in order: receiver, site, defaults (XNAT 5.1)."""
    return {
        attribute: (
            *_ruled(Source.RECEIVER, receiver, attribute),
            *_ruled(Source.SITE, site.rules, attribute),
            *(CommentSource(tag, key, site.tolerant_comments) for tag in COMMENTS),
            # XNAT 5.2: comments before whole elements.
            *map(ElementSource, _WHOLE[attribute]),
        )
        for attribute, key in _ASSIGNMENT_KEYS.items()
    }


def _ruled(source: Source, rules: RoutingRules, attribute: Attribute) -> Iterator[ValueSource]:
    texts = {
        Attribute.PROJECT: rules.project,
        Attribute.SUBJECT: rules.subject,
        Attribute.SESSION: rules.session,
        Attribute.AUTO_ARCHIVE: rules.auto_archive,
    }
    return (RuleSource(source, rule) for rule in texts[attribute])
