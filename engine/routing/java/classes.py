"""Escapes, properties and bracketed classes of Java patterns as sets of `regex`.

Unions, intersections and negations nest as in Java 9 and later, where ``[^a[b]]`` negates all of
it. The result is explicit: no flag of `regex` changes its meaning.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_letters, digits, hexdigits
from typing import TYPE_CHECKING, Final

from engine.routing.java.source import BLANKS, Mode, PatternSource, outside_range, variants

if TYPE_CHECKING:
    from collections.abc import Callable


# ASCII, as in Java without the flag U; `regex` would take the Unicode ones (XNAT 6.6).
_POSIX = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\x00-\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Graph": r"\x21-\x7e",
    "Print": r"\x20-\x7e",
    "Blank": r"\x20\t",
    "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": r"\x20\t\n\x0b\f\r",
}
_HEX_DIGIT = r"\p{Nd}a-fA-F\uff21-\uff26\uff41-\uff46"
_WORD: Final = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d"
_BLANK = r"\p{Zs}\t"
_GRAPH = r"[^\p{White_Space}\p{Cc}\p{Cs}\p{Cn}]"
# The same names under the flag U, by the definitions of Unicode TR18 that Java follows.
_UNICODE_POSIX = {
    "ALPHA": r"\p{Alphabetic}",
    "LOWER": r"\p{Lowercase}",
    "UPPER": r"\p{Uppercase}",
    "SPACE": r"\p{White_Space}",
    "PUNCT": r"\p{P}",
    "XDIGIT": _HEX_DIGIT,
    "ALNUM": r"\p{Alphabetic}\p{Nd}",
    "CNTRL": r"\p{Cc}",
    "DIGIT": r"\p{Nd}",
    "BLANK": _BLANK,
    "GRAPH": _GRAPH,
    "PRINT": rf"[[{_GRAPH}{_BLANK}]&&[^\p{{Cc}}]]",
}
# What `\p{Is…}` may name besides categories and scripts.
_BINARY = {
    "ALPHABETIC": r"\p{Alphabetic}",
    "ASSIGNED": r"\P{Cn}",
    "CONTROL": r"\p{Cc}",
    "HEXDIGIT": _HEX_DIGIT,
    "HEX_DIGIT": _HEX_DIGIT,
    "IDEOGRAPHIC": r"\p{Ideographic}",
    "JOINCONTROL": r"\u200c\u200d",
    "JOIN_CONTROL": r"\u200c\u200d",
    "LETTER": r"\p{L}",
    "LOWERCASE": r"\p{Lowercase}",
    "PUNCTUATION": r"\p{P}",
    "TITLECASE": r"\p{Lt}",
    "UPPERCASE": r"\p{Uppercase}",
    "WHITESPACE": r"\p{White_Space}",
    "WHITE_SPACE": r"\p{White_Space}",
    "WORD": _WORD,
}
_CATEGORY = re.compile(
    "C[cfnos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?",
)
_SPECIAL = {
    "LC": r"\p{Lu}\p{Ll}\p{Lt}",
    "LD": r"\p{L}\p{Nd}",
    "L1": r"\x00-\xff",
    "all": r"\x00-\U0010ffff",
}
# Under the flag i, these match letters of either case in Java.
_ANY_CASE = {
    "Lower": "a-zA-Z",
    "Upper": "a-zA-Z",
    **dict.fromkeys(("Lu", "Ll", "Lt"), r"\p{Lu}\p{Ll}\p{Lt}"),
}
_CASED = r"\p{Lowercase}\p{Uppercase}\p{Lt}"
_CASED_NAMES = frozenset({"LOWERCASE", "UPPERCASE", "TITLECASE", "LOWER", "UPPER"})
_NAME = re.compile(r"[A-Za-z0-9_ -]+")


def word_items(mode: Mode) -> str:
    r"""Return what ``\w`` stands for."""
    return _WORD if Mode.UNICODE_CLASSES in mode else "a-zA-Z_0-9"


def property_items(name: str, mode: Mode) -> str | None:
    r"""Return what ``\p{name}`` stands for, or None if Java or `regex` has no such property."""
    # `\p{sc=Latin}`, `\p{blk=Greek}`, `\p{gc=Lu}`.
    key, equals, value = name.partition("=")
    if equals:
        return _keyed(key.lower(), value, mode)
    if name.startswith("In"):
        return _unicode("Block", name[2:])
    if name.startswith("Is"):
        return _binary(name[2:], mode) or _plain(name[2:], mode) or _script(name[2:])
    if Mode.UNICODE_CLASSES in mode and name.upper() in _UNICODE_POSIX:
        return _binary(name, mode)
    return _plain(name, mode)


def _keyed(key: str, value: str, mode: Mode) -> str | None:
    if key in {"sc", "script"}:
        return _script(value)
    if key in {"blk", "block"}:
        return _unicode("Block", value)
    return _plain(value, mode) if key in {"gc", "general_category"} else None


def _binary(name: str, mode: Mode) -> str | None:
    name = name.upper()
    if Mode.IGNORE_CASE in mode and name in _CASED_NAMES:
        return _CASED
    return _BINARY.get(name) or _UNICODE_POSIX.get(name)


def _plain(name: str, mode: Mode) -> str | None:
    if Mode.IGNORE_CASE in mode and name in _ANY_CASE:
        return _ANY_CASE[name]
    category = rf"\p{{{name}}}" if _CATEGORY.fullmatch(name) else None
    return category or _POSIX.get(name) or _SPECIAL.get(name)


def _script(name: str) -> str | None:
    return _unicode("Script", name)


def _unicode(kind: str, name: str) -> str | None:
    # The name is written into a pattern of `regex`: nothing in it may be syntax there.
    if not _NAME.fullmatch(name):
        return None
    import regex  # slow to import, and only rules need it

    items = rf"\p{{{kind}={name}}}"
    try:
        # `regex` knows the blocks and scripts; it is asked whether there is this one.
        regex.compile(items, regex.VERSION1)
    except regex.error:
        return None
    return items


LINE_BREAKS = r"\n\x0b\f\r\x85\u2028\u2029"
CLASS_LETTERS = "dDwWsShHvVpP"
# Java's `\h`; `\v` there is any vertical white space, in `regex` only U+000B.
_BLANKS = r"\x20\t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_PLAIN_LETTER = "a backslash before a letter or digit must be an escape of Java; remove it"
_HEX = r"write \xhh, \uhhhh or \x{h…} with hexadecimal digits"


def escaped(char: str) -> str:
    """Write a character so that it is a literal everywhere in a `regex` pattern."""
    if char.isascii():
        return char if char.isalnum() else f"\\x{ord(char):02x}"
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def class_items(source: PatternSource, mode: Mode) -> str:
    r"""Read the rest of ``\d``, ``\p{…}`` and the like, which starts with one of `CLASS_LETTERS`.

    Returns:
        What the escape stands for, as the inside of a set.
    """
    if source.peek() in ("p", "P"):
        return _property(source, mode)
    letter = source.take()
    items = _letter_items(mode)[letter.lower()]
    return f"[^{items}]" if letter.isupper() else items


def _letter_items(mode: Mode) -> dict[str, str]:
    unicode = Mode.UNICODE_CLASSES in mode
    return {
        "d": r"\p{Nd}" if unicode else "0-9",
        "w": word_items(mode),
        "s": r"\p{White_Space}" if unicode else r"\x20\t\n\x0b\f\r",
        "h": _BLANKS,
        "v": LINE_BREAKS,
    }


def _property(source: PatternSource, mode: Mode) -> str:
    start = source.offset - 1
    negative = source.take() == "P"
    name = source.take_until("}") if source.accept("{") else source.take()
    if not name:
        source.refuse(r"\p needs a name in braces", r"write for example \p{L}", start)
    if name.startswith("java"):
        remedy = r"use \p{IsLowercase}, \p{IsAlphabetic} or a category such as \p{Lu}"
        source.refuse(rf"\p{{{name}}} asks Java itself and can't be translated", remedy, start)
    items = property_items(name, mode)
    if items is None:
        remedy = r"use a category such as \p{Lu}, \p{Alpha}, \p{IsLatin} or \p{InGreek}"
        source.refuse(rf"there is no character property {name}", remedy, start)
    return f"[^{items}]" if negative else items


def character(source: PatternSource) -> str:
    """Read the rest of an escape that means one character; the backslash has been read."""
    start = source.offset - 1
    letter = source.take()
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter in _READERS:
        return _READERS[letter](source, start)
    if not letter:
        source.refuse("a backslash at the end escapes nothing", "remove it or write \\\\", start)
    if letter in ascii_letters or letter in digits:
        source.refuse(f"\\{letter} is no escape here", _PLAIN_LETTER, start)
    return letter


def _octal(source: PatternSource, start: int) -> str:
    number = ""
    while len(number) < 3 and source.peek() in tuple("01234567"):
        # `\0377` is the largest; a third digit after 4 to 7 is a literal.
        if len(number) == 2 and number[0] > "3":
            break
        number += source.take()
    if not number:
        source.refuse(r"\0 needs octal digits", r"write for example \012", start)
    return chr(int(number, 8))


def _hexadecimal(source: PatternSource, start: int) -> str:
    if not source.accept("{"):
        return chr(_hex_number(source, 2, start))
    number = source.take_until("}")
    if not number or not set(number) <= set(hexdigits):
        source.refuse(r"\x{ needs hexadecimal digits and a }", _HEX, start)
    # The length first: an int of a very long text would take long to parse.
    if len(number) > 12 or int(number, 16) > 0x10FFFF:
        source.refuse("there is no such character", "use at most 10FFFF", start)
    return chr(int(number, 16))


def _utf16(source: PatternSource, start: int) -> str:
    code = _hex_number(source, 4, start)
    # Java joins two escapes that are halves of a surrogate pair to one character.
    paired = 0xD800 <= code < 0xDC00 and source.peek() == "\\" and source.peek(1) == "u"
    if not paired:
        return chr(code)
    following = "".join(source.peek(ahead) for ahead in range(2, 6))
    if len(following) != 4 or not set(following) <= set(hexdigits):
        return chr(code)
    low = int(following, 16)
    if not 0xDC00 <= low < 0xE000:
        return chr(code)
    source.accept(f"\\u{following}")
    return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))


def _hex_number(source: PatternSource, count: int, start: int) -> int:
    number = "".join(source.take() for _ in range(count))
    if len(number) != count or not set(number) <= set(hexdigits):
        source.refuse(f"{count} hexadecimal digits are missing", _HEX, start)
    return int(number, 16)


def _control(source: PatternSource, start: int) -> str:
    char = source.take()
    if not char:
        source.refuse(r"\c needs a character", r"write for example \cA", start)
    # As Java does: it checks neither range nor case of the character.
    return chr(ord(char) ^ 64)


def _named(source: PatternSource, start: int) -> str:
    name = source.take_until("}") if source.accept("{") else None
    try:
        char = unicodedata.lookup(name or "")
    except KeyError:
        char = ""
    # Python also looks up aliases and sequences: only a character's own name counts.
    if not name or unicodedata.name(char or "\0", "") != name.upper():
        source.refuse("there is no character of that name", r"write \x{h…} instead", start)
    return char


_READERS: dict[str, Callable[[PatternSource, int], str]] = {
    "0": _octal,
    "x": _hexadecimal,
    "u": _utf16,
    "c": _control,
    "N": _named,
}


# Each level is one call of `read`: a hostile pattern must not reach the limit of recursion.
MAX_DEPTH = 30
_ESCAPE_IT = "escape the sign with a backslash"


def parse_class(source: PatternSource, mode: Mode) -> str:
    """Read a class after its opening bracket; return the inside of an equal set."""
    return _Class(source, mode).read(source.offset - 1, depth=1)


class _Class:
    """One pass over one class, nested ones included."""

    def __init__(self, source: PatternSource, mode: Mode) -> None:
        self._source = source
        self._mode = mode

    def read(self, start: int, depth: int) -> str:
        """Read up to and including the closing bracket that belongs to `start`."""
        if depth > MAX_DEPTH:
            self._source.refuse("classes are nested too deeply", "simplify the pattern", start)
        negative = self._source.accept("^")
        operands: list[str] = []
        while True:
            operands.append(self._operand(start, depth, first=not operands))
            if not self._source.accept("&&"):
                break
        self._source.take()
        items = operands[0] if len(operands) == 1 else "&&".join(f"[{o}]" for o in operands)
        if len(operands) > 1:
            items = f"[{items}]"
        return f"[^{items}]" if negative else items

    def _operand(self, start: int, depth: int, *, first: bool) -> str:
        items = ""
        kinds = ""
        while not (self._closes(start) and (items or not first)) and not self._intersects():
            if self._source.peek() == "[":
                opening = self._source.offset
                self._source.take()
                items += f"[{self.read(opening, depth + 1)}]"
                kinds += "n"
            else:
                self._check_sign(first=first, leading=not items)
                items += self._item()
                kinds += "p"
        if not items:
            self._source.refuse("nothing on one side of &&", "write [a-z&&[^aeiou]]")
        if not first and kinds.startswith("n") and "p" in kinds and self._source.peek() == "&":
            remedy = "put the part between && and && into brackets of its own"
            self._source.refuse("Java reads this mixture from right to left", remedy)
        return items

    def _closes(self, start: int) -> bool:
        if self._source.at_end:
            self._source.refuse("the class is not closed", "add a ], or write \\[", start)
        return self._source.peek() == "]"

    def _intersects(self) -> bool:
        return self._source.peek() == "&" and self._source.peek(1) == "&"

    def _check_sign(self, *, first: bool, leading: bool = False) -> None:
        sign = self._source.peek()
        # In `regex`, version 1, these are difference and symmetric difference (XNAT 6.6).
        if sign == self._source.peek(1) and sign in ("-", "~"):
            remedy = "write [a-z&&[^aeiou]] for a difference; for the sign itself use a backslash"
            self._source.refuse(f"Java has no {sign}{sign} between classes", remedy)
        if not first and (sign == "&" or (sign == "^" and leading)):
            self._source.refuse(f"Java takes {sign} after && as itself", _ESCAPE_IT)
        if Mode.COMMENTS in self._mode and (sign == "#" or sign in tuple(BLANKS)):
            self._source.refuse("the flag x drops blanks and # inside a class", _ESCAPE_IT)

    def _item(self) -> str:
        start = self._source.offset
        if self._class_escape_comes():
            self._source.take()
            return class_items(self._source, self._mode)
        char = self._character()
        # A hyphen at the end, or before a nested class, is a literal.
        if self._source.peek() != "-" or self._source.peek(1) in ("[", "]", ""):
            return "".join(map(escaped, variants(char, self._mode)))
        if self._source.peek(2) != "]":
            self._check_sign(first=True)
        self._source.take()
        return self._range(char, start)

    def _range(self, first: str, start: int) -> str:
        last = "" if self._class_escape_comes(in_range=True) else self._character()
        if last < first:
            remedy = "put the smaller character first; write \\- for the sign itself"
            self._source.refuse("the range is no range", remedy, start)
        others = "".join(map(escaped, outside_range(first, last, self._mode)))
        return f"{escaped(first)}-{escaped(last)}{others}"

    def _class_escape_comes(self, *, in_range: bool = False) -> bool:
        letter = self._source.peek(1)
        if self._source.peek() != "\\" or letter not in tuple(CLASS_LETTERS):
            return False
        # Java keeps the old meaning of \v, one vertical tab, at both ends of a range.
        return letter != "v" or not (in_range or self._source.peek(2) == "-")

    def _character(self) -> str:
        if not self._source.accept("\\"):
            return self._source.take()
        return "\x0b" if self._source.accept("v") else character(self._source)
