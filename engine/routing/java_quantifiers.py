"""Quantifiers of Java patterns: ``* + ? {n} {n,} {n,m}``, then lazy ``?`` or possessive ``+``."""

from __future__ import annotations

from string import digits
from typing import TYPE_CHECKING

from engine.routing.java_pieces import Quantifier

if TYPE_CHECKING:
    from engine.routing.java_source import Mode, Source

_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_LARGEST = 2**31 - 1
_BRACES = "write {n}, {n,} or {n,m}, or \\{ for the sign itself"


def read_quantifier(source: Source, mode: Mode) -> Quantifier | None:
    """Read the quantifier that follows an atom, if one does."""
    source.skip_comments(mode)
    sign = source.peek()
    start = source.offset
    if sign in _SIGNS:
        source.take()
        low, high = _SIGNS[sign]
        text = sign
    elif sign == "{":
        low, high = _counts(source)
        text = f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"
    else:
        return None
    source.skip_comments(mode)
    suffix = source.take() if source.peek() in ("?", "+") else ""
    source.skip_comments(mode)
    if source.peek() in ("*", "+", "?", "{"):
        remedy = "put brackets (?:…) around what is repeated"
        source.refuse("a quantifier can't follow a quantifier", remedy, start)
    kinds = {"counted": sign == "{", "possessive": suffix == "+", "lazy": suffix == "?"}
    return Quantifier(text + suffix, low, high, **kinds)


def _counts(source: Source) -> tuple[int, int | None]:
    start = source.offset
    source.take()
    low = _number(source)
    high: int | None = low
    if source.accept(","):
        high = None if source.peek() == "}" else _number(source)
    if low is None or not source.accept("}"):
        source.refuse("this { starts no quantifier", _BRACES, start)
    if max(low, high or 0) > _LARGEST or (high is not None and high < low):
        source.refuse("the quantifier's numbers are not acceptable", _BRACES, start)
    return low, high


def _number(source: Source) -> int | None:
    start = source.offset
    number = ""
    while (char := source.peek()) and char in digits:
        number += source.take()
    if len(number) > 10:
        source.refuse("the quantifier's numbers are not acceptable", _BRACES, start)
    return int(number) if number else None
