"""Tag paths, by which a script names elements of a data set (dicomedit 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from engine.anonymize.errors import PathFault

MAX_ITEM: Final = 999_999
MAX_STEPS: Final = 64
_PRIVATE_MASK: Final = 0xFFFF00FF
_STEP = re.compile(
    r"[ \t]*(?:(?P<wild>[*+.])"
    r"|\((?P<group>[^,(){}]*),(?P<element>(?:\{[^}]*\}|[^(){}])*)\)"
    r"(?:[ \t]*\[[ \t]*(?P<item>[0-9]+|%)[ \t]*\])?)[ \t]*"
)
_PLAIN_STEP = re.compile(
    r"\((?P<group>[0-9A-Fa-f]{4}),(?P<element>[0-9A-Fa-f]{4})\)(?:\[(?P<item>[0-9]+)\])?"
)
_DIGITS = re.compile(r"[0-9A-Fa-fXx@#]{4}")
_CREATOR = re.compile(r"\{(?P<creator>[^}]*)\}(?P<offset>.*)", re.DOTALL)


class Levels(Enum):
    """Steps that stand for levels instead of an element."""

    ONE = "."
    """Exactly one level."""
    ANY = "*"
    """Zero or more levels."""


@dataclass(frozen=True, slots=True)
class TagStep:
    """One element of a data set, or all elements that match a pattern of digits."""

    tag: int
    """Digits that are given; for private elements without the block byte."""
    mask: int
    """Which bits of `tag` count."""
    creator: str | None = None
    """Of a private element, without blanks around it."""
    item: int | None = None
    """0-based."""
    every_item: bool = False

    @property
    def exact(self) -> bool:
        """Whether it names exactly one element."""
        return self.mask == (0xFFFFFFFF if self.creator is None else _PRIVATE_MASK)

    @property
    def group(self) -> int:
        """The group number of an exact step."""
        return self.tag >> 16

    def fits(self, tag: int) -> bool:
        """Tell whether the digits match; the creator of a private element is not checked here."""
        # PS3.5 7.8.1: the elements of blocks begin at (gggg,1000), creators are below (gggg,0100).
        return tag & self.mask == self.tag and (self.creator is None or tag & 0xFFFF > 0xFF)


Step = TagStep | Levels


@dataclass(frozen=True, slots=True)
class Path:
    """A path as written and its steps; some properties are computed once for all objects."""

    text: str
    steps: tuple[Step, ...]
    root_tag: int | None = field(init=False, compare=False, repr=False)
    """The tag, if the path names one public element of the root data set."""
    singular: bool = field(init=False, compare=False, repr=False)
    """Whether it names exactly one element or item (3.3)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root_tag", _root_tag(self.steps))
        object.__setattr__(self, "singular", _is_singular(self.steps))

    @property
    def tag_steps(self) -> tuple[TagStep, ...]:
        """The steps that stand for elements."""
        return tuple(step for step in self.steps if isinstance(step, TagStep))

    @property
    def names_item(self) -> bool:
        """Whether it ends in an item instead of an element."""
        last = self.steps[-1]
        return isinstance(last, TagStep) and (last.item is not None or last.every_item)


def _root_tag(steps: tuple[Step, ...]) -> int | None:
    first = steps[0]
    if len(steps) > 1 or not isinstance(first, TagStep) or not first.exact:
        return None
    named = first.creator is None and first.item is None and not first.every_item
    return first.tag if named else None


def _is_singular(steps: tuple[Step, ...]) -> bool:
    *outer, last = steps
    return (
        all(isinstance(step, TagStep) and step.exact for step in steps)
        and all(isinstance(step, TagStep) and step.item is not None for step in outer)
        and not (isinstance(last, TagStep) and last.every_item)
    )


def parse_path(text: str) -> Path:
    """Read a path.

    Raises:
        PathFault: if it is not one.
    """
    steps: list[Step] = []
    at = 0
    while True:
        match = _STEP.match(text, at)
        if match is None:
            raise PathFault(at, "is not a tag path", "write (gggg,eeee), or steps joined by /")
        steps += _steps_of(match)
        at = match.end()
        if at == len(text):
            break
        if text[at] != "/":
            raise PathFault(at, "is not expected in a tag path", "join steps with /")
        at += 1
    if len(steps) > MAX_STEPS:
        raise PathFault(0, f"has more than {MAX_STEPS} steps", "use * for any depth")
    if match["wild"] == "*":
        # At the end it means everything below, but not the sequence itself (dicomedit 3.2).
        steps[-1:] = [Levels.ONE, Levels.ANY]
    return Path(text.strip(), tuple(steps))


def plain_path(text: str) -> Path:
    """Read the path form of set and delete: by number only, items default to 0 (9.6).

    Raises:
        PathFault: if it is not one.
    """
    steps: list[Step] = []
    at = 0
    for part in text.split("/"):
        match = _PLAIN_STEP.fullmatch(part)
        if match is None:
            raise PathFault(at, "is not a plain path", "write (gggg,eeee)[n]/(gggg,eeee)")
        item = _item(match)
        last = at + len(part) == len(text)
        # Private elements too: this form names them by number (dicomedit 9.6).
        tag = int(match["group"] + match["element"], 16)
        steps.append(TagStep(tag, 0xFFFFFFFF, None, item if last else item or 0))
        at += len(part) + 1
    return Path(text, tuple(steps))


def _steps_of(match: re.Match[str]) -> list[Step]:
    if match["wild"]:
        # dicomedit 3.1: one level, and any more.
        return [Levels.ONE, Levels.ANY] if match["wild"] == "+" else [Levels(match["wild"])]
    return [_tag_step(match)]


def _tag_step(match: re.Match[str]) -> TagStep:
    group, element = match["group"], match["element"].lstrip(" \t")
    start, place = match.start("group"), match.start("element")
    if match["group"].startswith((" ", "\t")) or match["element"].endswith((" ", "\t")):
        raise PathFault(start, "has a blank beside a bracket", "write (gggg,eeee)")
    tag, mask = _pattern(group.rstrip(" \t"), start, "group")
    # PS3.5 7.8: the last bit of the group tells private elements from public ones.
    if mask & 1 == 0:
        remedy = "end the group in a digit, @ (even) or # (odd)"
        raise PathFault(start, "leaves open whether the group is private", remedy)
    item, every = _item(match), match["item"] == "%"
    private = _CREATOR.fullmatch(element)
    if tag & 1 == 0:
        if private:
            raise PathFault(place, "names a creator in an even group", "write (gggg,eeee)")
        low, low_mask = _pattern(element, place, "element")
        return TagStep(tag << 16 | low, mask << 16 | low_mask, None, item, every)
    if private is None:
        raise PathFault(
            place, "names a private element by number", f"write ({group},{{CREATOR}}ee)"
        )
    # The block byte is open: each data set may give the creator another block (PS3.5 7.8.1).
    return _private_step(private, tag, mask, place, item, every)


def _private_step(
    match: re.Match[str], group: int, mask: int, place: int, item: int | None, every: bool
) -> TagStep:
    # Any character but `}`: XNAT takes fewer, and such creators exist (dicomedit 2.3).
    creator = match["creator"].strip()
    if not creator:
        raise PathFault(place, "names no creator", "write it as in its (gggg,00bb) element")
    if len(match["offset"]) != 2:
        remedy = "write two digits behind the creator: the block's part is found by the creator"
        raise PathFault(place, "has no two-digit offset", remedy)
    low, low_mask = _pattern("00" + match["offset"], place, "offset")
    return TagStep(group << 16 | low, mask << 16 | low_mask & 0xFF, creator, item, every)


def _pattern(digits: str, offset: int, what: str) -> tuple[int, int]:
    """Return the given bits and their mask: X leaves a digit open, @ and # all but its parity."""
    if not _DIGITS.fullmatch(digits):
        remedy = "use 0-9, A-F, X (any), @ (even) or # (odd)"
        raise PathFault(offset, f"has no {what} of hexadecimal digits", remedy)
    value = mask = 0
    for digit in digits:
        bits, known = _WILD_DIGITS.get(digit) or (int(digit, 16), 0xF)
        value, mask = value << 4 | bits, mask << 4 | known
    return value, mask


_WILD_DIGITS: Final = {"X": (0, 0), "x": (0, 0), "@": (0, 1), "#": (1, 1)}


def _item(match: re.Match[str]) -> int | None:
    number = match["item"]
    if number is None or number == "%":
        return None
    # Before int(), which refuses thousands of digits.
    if len(number) > len(str(MAX_ITEM)):
        raise PathFault(match.start("item"), "is no item number", f"use 0 to {MAX_ITEM}")
    return int(number)
