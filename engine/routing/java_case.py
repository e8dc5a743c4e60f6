"""Which characters are one letter in another case, as Java sees it (java.util.regex flags i, u).

Without the flag ``u`` only ASCII letters have two cases; with it, two characters are the same
if the lower case of their upper case is the same, one character at a time.
"""

from __future__ import annotations

from functools import cache
from string import ascii_letters

from engine.routing.java_source import Mode

_CASED_BLOCKS = (
    range(0x41, 0x3000),
    range(0xA640, 0xAC00),
    range(0xFF21, 0xFF5B),
    range(0x10400, 0x11000),
    range(0x118A0, 0x118E0),
    range(0x16E40, 0x16E80),
    range(0x1E900, 0x1E944),
)


def variants(char: str, mode: Mode) -> str:
    """Return every character that `char` stands for in a pattern."""
    if Mode.IGNORE_CASE not in mode:
        return char
    if Mode.UNICODE_CASE not in mode:
        return char + char.swapcase() if char.isascii() and char.isalpha() else char
    folded = _fold(char)
    return char if folded == _upper(char) else _same_letter().get(folded, char)


def outside_range(first: str, last: str, mode: Mode) -> str:
    """Return the characters outside a range that match it in another case."""
    if Mode.IGNORE_CASE not in mode:
        return ""
    if Mode.UNICODE_CASE not in mode:
        others = (char for char in ascii_letters if first <= char.swapcase() <= last)
    else:
        letters = "".join(_same_letter().values())
        others = (c for c in letters if first <= _upper(c) <= last or first <= _fold(c) <= last)
    return "".join(char for char in others if not first <= char <= last)


def _upper(char: str) -> str:
    for other in (char.upper(), char.title()):
        if len(other) == 1:
            return other
    return char


def _fold(char: str) -> str:
    return _upper(char).lower()[0]


@cache
def _same_letter() -> dict[str, str]:
    letters: dict[str, str] = {}
    for block in _CASED_BLOCKS:
        for char in map(chr, block):
            if _fold(char) != char or _upper(char) != char:
                folded = _fold(char)
                letters[folded] = letters.get(folded, "") + char
    return letters
