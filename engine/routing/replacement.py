"""Replacement texts in Java's syntax: ``$1``, ``${name}``, and a backslash before what is meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from engine.routing.errors import PatternFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Part = str | int
"""Literal text, or the number of a group."""

MAX_REPLACEMENT_CHARACTERS: Final = 1000
_NAME = re.compile(r"\$\{([A-Za-z][A-Za-z0-9]*)\}")
_LITERAL_DOLLAR = "write \\$ for the sign itself"


def parse_replacement(text: str, groups: int, names: Mapping[str, int]) -> tuple[Part, ...]:
    """Split a replacement into literal texts and groups (java.util.regex.Matcher).

    Raises:
        PatternFault: where Java would fail when the replacement is used.
    """
    if len(text) > MAX_REPLACEMENT_CHARACTERS:
        reason = f"is longer than {MAX_REPLACEMENT_CHARACTERS} characters ({len(text)})"
        raise PatternFault(MAX_REPLACEMENT_CHARACTERS, reason, "shorten it")
    parts: list[Part] = []
    for part in _parts(text, groups, names):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(parts)


def _parts(text: str, groups: int, names: Mapping[str, int]) -> Iterator[Part]:
    at = 0
    while at < len(text):
        start = at
        at += 1
        if text[start] == "\\":
            if at == len(text):
                raise PatternFault(start, "a backslash at the end escapes nothing", "write \\\\")
            yield text[at]
            at += 1
        elif text[start] != "$":
            yield text[start]
        elif text[at : at + 1] == "{":
            number, at = _named(text, start, names)
            yield number
        else:
            number, at = _numbered(text, start, groups)
            yield number


def _named(text: str, start: int, names: Mapping[str, int]) -> tuple[int, int]:
    found = _NAME.match(text, start)
    if found is None:
        raise PatternFault(start, "${ needs a group name and a }", _LITERAL_DOLLAR)
    if found[1] not in names:
        remedy = "name the group in t: as (?<name>…)"
        raise PatternFault(start, f"t: has no group named {found[1]}", remedy)
    return names[found[1]], found.end()


def _numbered(text: str, start: int, groups: int) -> tuple[int, int]:
    at = start + 1
    if not _is_digit(text, at):
        raise PatternFault(start, "$ needs a group number", _LITERAL_DOLLAR)
    number = int(text[at])
    if number > groups:
        remedy = f"use $0 to ${groups}" if groups else "use $0, or put brackets around a part of t:"
        raise PatternFault(start, f"t: has no group {number}", remedy)
    at += 1
    # Java takes a further digit only as long as a group of that number exists.
    while _is_digit(text, at) and number * 10 + int(text[at]) <= groups:
        number = number * 10 + int(text[at])
        at += 1
    return number, at


def _is_digit(text: str, at: int) -> bool:
    return text[at : at + 1].isascii() and text[at : at + 1].isdigit()
