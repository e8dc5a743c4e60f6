"""Which project, subject and session an object belongs to, and which element says so (XNAT 5)."""

from __future__ import annotations

import re
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from engine.errors import RoutingFailed
from engine.model.identity import DEFAULT_SESSION_LABEL, Decision, Identity, to_label
from engine.model.receiver import DEFAULT_IDENTIFIERS, IdentifierInfo
from engine.model.routing import NO_RULES, RoutingRules
from engine.routing import RuleError, RuleTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.intake.header import HeaderView
    from engine.model.project import ProjectRegistry
    from engine.routing import Rule

Comments = tuple[tuple[str, str], ...]
"""The comments that an object has, each with the element's name."""

_COMMENTS = (
    (0x00104000, "(0010,4000) PatientComments"),
    (0x00324000, "(0032,4000) StudyComments"),
    (0x001021B0, "(0010,21B0) AdditionalPatientHistory"),
)
_PROJECTS = (
    (0x00081030, "(0008,1030) StudyDescription"),
    (0x00080050, "(0008,0050) AccessionNumber"),
)
_SUBJECTS = ((0x00100010, "(0010,0010) PatientName"),)
_SESSIONS = ((0x00100020, "(0010,0020) PatientID"),)

_NO_SUBJECT = Decision(None, "no value names a subject")
_NO_SESSION = Decision(DEFAULT_SESSION_LABEL, "no value names a session")
_SWITCHES = {"t": True, "true": True, "f": False, "false": False}

RULE_SECONDS = 0.010
OBJECT_SECONDS = 0.050
"""What one rule, and all rules of one object, may take (reliability-security 7)."""

_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")  # what Java's "." does not match
_DELIMITERS = frozenset(" \t\n\x0b\f\r,;")


class Identifier(Protocol):
    """Derives where an object belongs from its header."""

    info: IdentifierInfo

    def identify(
        self, header: HeaderView, projects: ProjectRegistry, rules: RoutingRules = NO_RULES
    ) -> Identity:
        """Return project, subject and session of an object, each with its source.

        Raises:
            RoutingFailed: if a subject or session rule failed.
        """
        ...


class DefaultIdentifier:
    """XNAT's ``dicomObjectIdentifier`` (XNAT 5.2)."""

    info = DEFAULT_IDENTIFIERS[0]

    def identify(
        self, header: HeaderView, projects: ProjectRegistry, rules: RoutingRules = NO_RULES
    ) -> Identity:
        """Return project, subject and session: by the receiver's rules, then by the defaults.

        Raises:
            RoutingFailed: if a subject or session rule failed.
        """
        comments = tuple(_present(header, _COMMENTS))
        ruled = _Ruled(header)
        project, warning = _project(
            chain(ruled(rules.project), _values(header, comments, "Project", _PROJECTS)), projects
        )
        return Identity(
            project,
            _label(
                chain(ruled(rules.subject), _values(header, comments, "Subject", _SUBJECTS)),
                _NO_SUBJECT,
            ),
            _label(
                chain(ruled(rules.session), _values(header, comments, "Session", _SESSIONS)),
                _NO_SESSION,
            ),
            _auto_archive(comments),
            warning,
        )


class _Ruled:
    """What routing rules make of one header, within the time that they may take together."""

    def __init__(self, header: HeaderView) -> None:
        self._header = header
        self._left_seconds = OBJECT_SECONDS

    def __call__(self, rules: tuple[Rule, ...]) -> Iterator[tuple[str, str]]:
        """Yield each value that a rule gives, top to bottom.

        Raises:
            RuleError: if a rule fails, or the time of the object is used up.
        """
        for number, rule in enumerate(rules, start=1):
            value = self._apply(rule)
            if value:
                group, element = divmod(rule.tag, 0x10000)
                yield value, f"receiver rule {number}, ({group:04X},{element:04X})"

    def _apply(self, rule: Rule) -> str | None:
        if self._left_seconds <= 0:
            raise RuleTimeout("the rules of one object take too long", "simplify the patterns")
        began = monotonic()
        try:
            return rule.apply(self._header.text(rule.tag), min(RULE_SECONDS, self._left_seconds))
        finally:
            self._left_seconds -= monotonic() - began


def _present(header: HeaderView, elements: Iterable[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    for tag, element in elements:
        text = header.text(tag)
        if text and not text.isspace():
            yield text, element


def _values(
    header: HeaderView, comments: Comments, key: str, whole: Iterable[tuple[int, str]]
) -> Iterator[tuple[str, str]]:
    """Yield what names the key: assignments in comments, then whole values (XNAT 5.2)."""
    for text, element in comments:
        value = assigned(text, key)
        if value:
            yield value, f"{element} {key}:"
    yield from _present(header, whole)


def _project(values: Iterator[tuple[str, str]], projects: ProjectRegistry) -> tuple[Decision, str]:
    """Return the first value that is the id or alias of a project (XNAT 5.5), and any warning.

    A rule that fails leaves the object unassigned and no other is asked, as in XNAT; unlike there,
    it is told.
    """
    try:
        for value, source in values:
            project = projects.find(value)
            if project is not None:
                return Decision(project, source), ""
    except RuleError as error:
        return Decision(None, "a project rule failed"), f"a project rule failed: {error.detail}"
    return Decision(None, "no value names a project"), ""


def _label(values: Iterator[tuple[str, str]], otherwise: Decision) -> Decision:
    """Return the first value, made a label (XNAT 5.4)."""
    try:
        for value, source in values:
            return Decision(to_label(value), source)
    except RuleError as error:
        raise RoutingFailed(f"a routing rule failed: {error.detail}") from error
    return otherwise


def _auto_archive(comments: Comments) -> bool | None:
    for text, _ in comments:
        value = assigned(text, "AA")
        if value:
            return _SWITCHES.get(value.lower())
    return None


_KEYS = {
    key: re.compile(rf"(?<![^\s,;]){key}(?=\s*+:(\s*+)([\w-]*+))", re.ASCII | re.IGNORECASE)
    for key in ("Project", "Subject", "Session", "AA")
}


def assigned(text: str, key: str) -> str | None:
    r"""Return the value that a text assigns to a key, None if it assigns none (XNAT 5.3).

    This is Java's match of ``(?:\A|(?:.*[\s,;]))KEY\s*\:\s*([\w\-]*)(?:(?:[\s,;].*\Z)|\Z)`` in
    linear time: an assignment at the very start wins, else the last one; one line break may precede
    the key, as its delimiter, and one may follow the value.
    """
    if ":" not in text:
        return None
    breaks = [found.start() for found in _LINE_BREAK.finditer(text)]
    first, last = (breaks[0], breaks[-1]) if breaks else (len(text), -1)
    value = None
    for found in _KEYS[key].finditer(text):
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
