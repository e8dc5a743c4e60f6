"""Openings of groups in Java patterns: kinds, names and inline flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.routing.java_source import MODE_LETTERS, Mode

if TYPE_CHECKING:
    from engine.routing.java_source import Source

_PLAIN_OPENINGS = (":", "=", "!", ">", "<=", "<!")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_FOREIGN = {
    "P": ("(?P is not Java", "write (?<name>…) for a group and \\k<name> to refer to it"),
    "#": ("(?# is not Java", "remove the comment"),
    "(": ("Java has no conditional groups", "write the alternatives out"),
    "|": ("Java has no branch-reset groups", "write (?:…|…)"),
    "R": ("Java has no recursion", "write the pattern out"),
    "&": ("Java has no recursion", "write the pattern out"),
    "'": ("(?' is not Java", "write (?<name>…)"),
}
_FLAGS = "the flags are i, m, s, d, x, u and U"


@dataclass(frozen=True, slots=True)
class Opening:
    """What stands between an opening bracket and what is inside."""

    text: str
    """In the dialect of `regex`; names are left out."""
    mode: Mode
    """The flags in force inside."""
    name: str = ""
    flags_only: bool = False
    """``(?i)``: no group, the flags hold until the group around ends."""


def read_opening(source: Source, mode: Mode, start: int) -> Opening:
    """Read what follows an opening bracket at `start`."""
    source.skip_comments(mode)
    if not source.accept("?"):
        return Opening("(", mode)
    for opening in _PLAIN_OPENINGS:
        if source.accept(opening):
            return Opening(f"(?{opening}", mode)
    if source.accept("<"):
        return Opening("(", mode, _name(source, start))
    if source.peek() in _FOREIGN:
        source.refuse(*_FOREIGN[source.peek()], start)
    return _flags(source, mode)


def _name(source: Source, start: int) -> str:
    name = source.take_until(">")
    if name is None or not _NAME.fullmatch(name):
        remedy = "write (?<name>…) with letters and digits, a letter first"
        source.refuse("the group's name is not acceptable", remedy, start)
    return name


def _flags(source: Source, mode: Mode) -> Opening:
    removing = False
    while (letter := source.peek()) not in (")", ":"):
        if letter == "-" and not removing:
            removing = True
        elif letter in MODE_LETTERS:
            changed = MODE_LETTERS[letter]
            mode = mode & ~changed if removing else mode | changed
        elif letter == "c":
            source.refuse("the flag c can't be translated", "remove it")
        else:
            source.refuse("the group starts with no Java syntax", _FLAGS)
        source.take()
    flags_only = source.take() == ")"
    return Opening("(?:", mode, flags_only=flags_only)
