r"""A Java pattern as a stream of characters, with ``\Q…\E`` quoting resolved (java.util.regex)."""

from __future__ import annotations

from enum import Flag, auto
from functools import cache
from string import ascii_letters
from typing import TYPE_CHECKING, Final, NoReturn

from engine.routing.errors import PatternFault

if TYPE_CHECKING:
    from collections.abc import Iterator


QUOTED: Final = "quoted"
r"""What `PatternSource.peek` returns for a character inside ``\Q…\E``, which is never syntax."""
BLANKS: Final = " \t\n\x0b\f\r"
_LINE_ENDS = "\n\r\x85\u2028\u2029"


class Mode(Flag):
    """The flags in force at one place of a pattern."""

    PLAIN = 0
    IGNORE_CASE = auto()
    MULTI_LINE = auto()
    DOT_ALL = auto()
    UNIX_LINES = auto()
    COMMENTS = auto()
    UNICODE_CASE = auto()
    UNICODE_CLASSES = auto()


MODE_LETTERS: Final = {
    "i": Mode.IGNORE_CASE,
    "m": Mode.MULTI_LINE,
    "s": Mode.DOT_ALL,
    "d": Mode.UNIX_LINES,
    "x": Mode.COMMENTS,
    "u": Mode.UNICODE_CASE,
    # In Java the flag U implies u.
    "U": Mode.UNICODE_CLASSES | Mode.UNICODE_CASE,
}


class PatternSource:
    """Reads one pattern from left to right; a refusal names the place in the text as written."""

    def __init__(self, pattern: str) -> None:
        self._chars = tuple(_resolve_quotes(pattern))
        self._index = 0
        self._length = len(pattern)

    @property
    def offset(self) -> int:
        """0-based place of the next character in the pattern as written."""
        if self._index < len(self._chars):
            return self._chars[self._index][1]
        return self._length

    @property
    def at_end(self) -> bool:
        """Tell whether everything has been read."""
        return self._index >= len(self._chars)

    def peek(self, ahead: int = 0) -> str:
        """Return a coming character; `QUOTED` if it can't be syntax; empty at the end."""
        index = self._index + ahead
        if index >= len(self._chars):
            return ""
        char, _offset, quoted = self._chars[index]
        return QUOTED if quoted else char

    def take(self) -> str:
        """Read one character, syntax or not; empty at the end."""
        if self.at_end:
            return ""
        self._index += 1
        return self._chars[self._index - 1][0]

    def accept(self, text: str) -> bool:
        """Read `text` if it comes next as syntax."""
        if any(self.peek(ahead) != char for ahead, char in enumerate(text)):
            return False
        self._index += len(text)
        return True

    def take_until(self, end: str) -> str | None:
        """Read up to and including `end`; None, and nothing read, if it never comes."""
        for index in range(self._index, len(self._chars)):
            if self._chars[index][0] == end:
                text = "".join(char for char, _offset, _quoted in self._chars[self._index : index])
                self._index = index + 1
                return text
        return None

    def skip_comments(self, mode: Mode) -> None:
        """Pass over blanks and comments if the flag ``x`` is on."""
        if Mode.COMMENTS not in mode:
            return
        ends = "\n" if Mode.UNIX_LINES in mode else _LINE_ENDS
        while (char := self.peek()) and (char in BLANKS or char == "#"):
            self._index += 1
            while char == "#" and not self.at_end and self.take() not in ends:
                pass

    def refuse(self, reason: str, remedy: str, offset: int | None = None) -> NoReturn:
        """Raise a `PatternFault` at `offset`, or at the next character."""
        raise PatternFault(self.offset if offset is None else offset, reason, remedy)


def _resolve_quotes(pattern: str) -> Iterator[tuple[str, int, bool]]:
    quoting = False
    index = 0
    while index < len(pattern):
        pair = pattern[index : index + 2]
        # A quote that is never ended goes to the end of the pattern, as in Java.
        if pair == (r"\E" if quoting else r"\Q"):
            quoting = not quoting
            index += 2
        elif quoting or not (pair.startswith("\\") and len(pair) == 2):
            yield pattern[index], index, quoting
            index += 1
        else:
            # Both at once: `\\Q` is a backslash and a Q, not the start of a quote.
            yield pair[0], index, False
            yield pair[1], index + 1, False
            index += 2


# Only these blocks have characters with another case, so not all of Unicode is searched.
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
    """Return every character that `char` matches under the flags in force."""
    if Mode.IGNORE_CASE not in mode:
        return char
    if Mode.UNICODE_CASE not in mode:
        # Without the flag u, Java ignores the case of ASCII letters only.
        return char + char.swapcase() if char.isascii() and char.isalpha() else char
    folded = _fold(char)
    return char if folded == _upper(char) else _same_letter().get(folded, char)


def outside_range(first: str, last: str, mode: Mode) -> str:
    """Return the characters outside a range whose other case is inside it."""
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
    # By way of the upper case, as Java compares: so the long s equals s.
    return _upper(char).lower()[0]


# Made at the first pattern with the flags iu, which is rare.
@cache
def _same_letter() -> dict[str, str]:
    letters: dict[str, str] = {}
    for block in _CASED_BLOCKS:
        for char in map(chr, block):
            if _fold(char) != char or _upper(char) != char:
                folded = _fold(char)
                letters[folded] = letters.get(folded, "") + char
    return letters
