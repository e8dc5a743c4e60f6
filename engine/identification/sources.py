"""The sources of a label: routing rules, assignments in comments, whole elements.

`Routing` puts the clauses of one receiver in order, once per configuration (XNAT 5.1, 5.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydicom.datadict import keyword_for_tag

from engine.index.studies import NO_STUDIES
from engine.model.identity import Attribute, Source, element_number
from engine.routing import Application

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.index.studies import Studies
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from engine.model.routing import RoutingRules, SiteRouting
    from engine.routing import Rule


LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")  # what Java's "." does not match
_DELIMITERS = frozenset(" \t\n\x0b\f\r,;")
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
        if found.start() > first + 1:
            break
        candidate = _value_before(text, found, last)
        if candidate is not None:
            value = candidate
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
    """One thing that may name a value."""

    @property
    def tag(self) -> int:
        """The element that it looks at."""
        ...

    @property
    def source(self) -> Source:
        """Who asks."""
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
        """The clause and its element in a few words."""
        ...

    def take(self, text: str) -> str | None:
        """Return what the clause makes of the element's text; None or empty is nothing.

        Raises:
            RuleError: if a rule fails.
        """
        ...

    def explain(self, text: str) -> Application:
        """Do the same and say why there is nothing; raises as `take` does."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RuleSource:
    """A line of a routing expression; equal only to itself, for two alike fail apart."""

    source: Source
    rule: Rule
    tag: int = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        tag = self.rule.tag
        where = "" if self.rule.line is None else f" in line {self.rule.line}"
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
        """Apply the rule and say why there is nothing."""
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
        """Say what the comment assigns."""
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
        """Say whether the text is blank."""
        value = self.take(text)
        return _application(text, value, "" if value else "blank")


def element_name(tag: int) -> str:
    """Name an element as ``(gggg,eeee) Keyword``."""
    return f"{element_number(tag)} {keyword_for_tag(tag)}".rstrip()


def _application(text: str, value: str | None, why_not: str) -> Application:
    return Application(text, False, value is not None, value, value or None, why_not)


Chains = dict[Attribute, tuple[ValueSource, ...]]
"""For each attribute the clauses in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Routing:
    """All that decides about the objects of one receiver besides their headers."""

    projects: ProjectRegistry
    chains: Mapping[Attribute, tuple[ValueSource, ...]]
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the receiver tells its identifier."""
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
        """Return what decides about the objects of a receiver."""
        settings = dict(receiver.identifier_settings)
        return cls(projects, chains_of(receiver.routing, site), settings, receiver.label, studies)

    @property
    def tags(self) -> frozenset[int]:
        """The elements that may decide."""
        return frozenset(clause.tag for chain in self.chains.values() for clause in chain)


def chains_of(receiver: RoutingRules, site: SiteRouting) -> Chains:
    """Put everything that may decide in order: receiver, site, defaults (XNAT 5.1)."""
    return {
        attribute: (
            *_ruled(Source.RECEIVER, receiver, attribute),
            *_ruled(Source.SITE, site.rules, attribute),
            *(CommentSource(tag, key, site.tolerant_comments) for tag in COMMENTS),
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
