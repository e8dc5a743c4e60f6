"""Series import filters: which objects a site or a project does not want (XNAT 11.2); pure.

The text is XNAT's list of patterns. Its first line may be `whitelist` or `blacklist`, which XNAT
keeps beside the text; without it the filter is a blacklist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.routing import Finder, InvalidRule, parse_finder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_VALUE_CHARACTERS = 300
"""The patterns see this much of a value (XNAT 11.2)."""
SERIES_DESCRIPTION = 0x0008103E
"""The element of the lines before the first header."""
MODALITY = 0x00080060
LAST_TAG = 0x7FDFFFFF

# XNAT 11.2: a backslash with an n is a line break too.
_LINE_BREAK = re.compile(r"\r?\n|\\n")
_HEADER = re.compile(r"\[\s*\(?\s*([^\])]*?)\s*\)?\s*\]")
_NUMBERS = re.compile(r"([0-9A-Fa-f]{4})\s*,\s*([0-9A-Fa-f]{4})")


class FilterMode(StrEnum):
    """The effect of a line that applies to an object."""

    BLACKLIST = "blacklist"
    """The object is not wanted."""
    WHITELIST = "whitelist"
    """The object is wanted, and no other is."""


class Presence(StrEnum):
    """A line that asks for an element instead of its value; an empty one is present."""

    EXISTS = "EXISTS"
    ABSENT = "!EXISTS"


@dataclass(frozen=True, slots=True)
class FilterLine:
    """One condition on one element."""

    number: int
    """1-based, in the text."""
    tag: int
    condition: Presence | Finder
    text: str

    def applies(self, value: str | None) -> bool:
        """Tell whether it applies to an element's value; None is an element that is absent.

        Raises:
            RuleError: if the pattern takes too long.
        """
        if isinstance(self.condition, Presence):
            return (value is not None) == (self.condition is Presence.EXISTS)
        # XNAT 11.2: found anywhere in the value, in any case.
        return value is not None and self.condition.finds(value[:MAX_VALUE_CHARACTERS])


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """A filter text that was checked."""

    mode: FilterMode
    lines: tuple[FilterLine, ...]

    @property
    def last_tag(self) -> int:
        """The greatest tag whose value is needed."""
        return max((line.tag for line in self.lines), default=0)

    def excludes(self, value_of: Callable[[int], str | None]) -> str:
        """Return why an object is not wanted; empty if it is.

        Args:
            value_of: gives all values of an element joined by backslashes, None if it is absent.

        Raises:
            RuleError: if a pattern takes too long.
        """
        found = next((line for line in self.lines if line.applies(value_of(line.tag))), None)
        if self.mode is FilterMode.BLACKLIST:
            return f"line {found.number}: {found.text}" if found else ""
        # An empty whitelist would drop every object of the site.
        return "" if found or not self.lines else "no line of the whitelist"


@cache
def parse_series_filter(text: str) -> SeriesFilter:
    """Return the filter that a text describes.

    Raises:
        InvalidRule: with one problem per line that is none.
    """
    mode, tag = FilterMode.BLACKLIST, SERIES_DESCRIPTION
    lines: list[FilterLine] = []
    problems: list[Problem] = []
    for number, line in _meaningful(text):
        # Further down it is a pattern like any other line.
        if line.lower() in set(FilterMode) and not lines:
            mode = FilterMode(line.lower())
        elif header := _HEADER.fullmatch(line):
            tag = _tag(header[1])
            if not tag:
                problems.append(_unknown_element(header[1], number))
        else:
            try:
                lines.append(FilterLine(number, tag, _condition(line), line))
            except InvalidRule as error:
                problems.extend(_at_line(error, number))
    if problems:
        raise InvalidRule(*problems)
    return SeriesFilter(mode, tuple(lines))


def looks_at_modality(lines: Iterable[str]) -> bool:
    """Tell whether a pattern below these lines of a filter looks into the Modality."""
    headers = [found[1] for line in lines if (found := _HEADER.fullmatch(line.strip()))]
    return bool(headers) and _tag(headers[-1]) == MODALITY


def filter_problems(field: str, text: object) -> tuple[Problem, ...]:
    """Return what keeps a value from being a filter text, for the field that it is in."""
    if not isinstance(text, str):
        return (Problem(field, str(text)[:40], "is not text", "write one pattern per line"),)
    try:
        parse_series_filter(text)
    except InvalidRule as error:
        return tuple(
            Problem(field, p.value, p.message, p.remedy, p.line, p.column) for p in error.problems
        )
    return ()


def split_filter(text: str) -> tuple[FilterMode, str]:
    """Return the mode of a filter text, and the text without the line that says it."""
    number, first = next(_meaningful(text), (0, ""))
    if first.lower() not in set(FilterMode):
        return FilterMode.BLACKLIST, text
    lines = _LINE_BREAK.split(text)
    del lines[number - 1]
    return FilterMode(first.lower()), "\n".join(lines)


def joined_filter(mode: FilterMode, text: str) -> str:
    """Return the filter text for a mode and patterns, the reverse of `split_filter`."""
    _number, first = next(_meaningful(text), (0, ""))
    is_plain = mode is FilterMode.BLACKLIST and first.lower() not in set(FilterMode)
    return text if is_plain else f"{mode}\n{text}"


def _meaningful(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _condition(line: str) -> Presence | Finder:
    return Presence(line) if line in set(Presence) else parse_finder(line)


def _tag(name: str) -> int:
    """Return the tag of a keyword or of ``gggg,eeee``; 0 if it is none of a header."""
    numbers = _NUMBERS.fullmatch(name)
    if numbers:
        tag = int(numbers[1] + numbers[2], 16)
    else:
        # Imported here: the data dictionary takes a while to load.
        from pydicom.datadict import tag_for_keyword

        tag = tag_for_keyword(name) or 0
    return tag if tag <= LAST_TAG else 0


def _unknown_element(name: str, number: int) -> Problem:
    remedy = "use a keyword, or a tag such as (0008,103E)"
    return Problem("series_filter", name[:40], "is no element of a header", remedy, number)


def _at_line(error: InvalidRule, number: int) -> Iterator[Problem]:
    for p in error.problems:
        yield Problem(p.field, p.value, p.message, p.remedy, number, p.column)
