"""Java's MessageFormat as far as scripts use it: ``{n}``, and quoting with ``'`` (9.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.anonymize.errors import Failure
from engine.anonymize.values import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REMEDY = "write {0}, {1} … for the arguments, and '{' for a brace"


def message(pattern: str, arguments: Sequence[str]) -> str:
    """Put arguments in their places; a place without an argument stays.

    Raises:
        Failure: if a brace has no partner, there is no number in a pair, or it is too long.
    """
    return joined(_filled(piece, arguments) for piece in _pieces(pattern))


def _filled(piece: str | int, arguments: Sequence[str]) -> str:
    if isinstance(piece, str):
        return piece
    return arguments[piece] if piece < len(arguments) else f"{{{piece}}}"


def _pieces(pattern: str) -> Iterator[str | int]:
    at = 0
    quoted = False
    while at < len(pattern):
        character = pattern[at]
        if pattern.startswith("''", at):
            yield "'"
            at += 1
        elif character == "'":
            quoted = not quoted
        elif character == "{" and not quoted:
            end = pattern.find("}", at)
            yield _number(pattern[at + 1 : end] if end > 0 else "")
            at = end
        else:
            yield character
        at += 1


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise Failure("the pattern of format has a brace without a number", _REMEDY)
    return int(text)
