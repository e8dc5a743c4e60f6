r"""Backslash escapes of Java patterns that mean one character or one class of characters."""

from __future__ import annotations

import unicodedata
from string import ascii_letters, digits, hexdigits
from typing import TYPE_CHECKING

from engine.routing.java_properties import property_items, word_items
from engine.routing.java_source import Mode, Source

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_BREAKS = r"\n\x0b\f\r\x85\u2028\u2029"
CLASS_LETTERS = "dDwWsShHvVpP"
_BLANKS = r"\x20\t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_PLAIN_LETTER = "a backslash before a letter or digit must be an escape of Java; remove it"
_HEX = r"write \xhh, \uhhhh or \x{h…} with hexadecimal digits"


def escaped(char: str) -> str:
    """Return a character so that it is a literal everywhere in a `regex` pattern."""
    if char.isascii():
        return char if char.isalnum() else f"\\x{ord(char):02x}"
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def class_items(source: Source, mode: Mode) -> str:
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


def _property(source: Source, mode: Mode) -> str:
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


def character(source: Source) -> str:
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


def _octal(source: Source, start: int) -> str:
    number = ""
    while len(number) < 3 and source.peek() in tuple("01234567"):
        if len(number) == 2 and number[0] > "3":
            break
        number += source.take()
    if not number:
        source.refuse(r"\0 needs octal digits", r"write for example \012", start)
    return chr(int(number, 8))


def _hexadecimal(source: Source, start: int) -> str:
    if not source.accept("{"):
        return chr(_hex_number(source, 2, start))
    number = source.take_until("}")
    if not number or not set(number) <= set(hexdigits):
        source.refuse(r"\x{ needs hexadecimal digits and a }", _HEX, start)
    if len(number) > 12 or int(number, 16) > 0x10FFFF:
        source.refuse("there is no such character", "use at most 10FFFF", start)
    return chr(int(number, 16))


def _utf16(source: Source, start: int) -> str:
    code = _hex_number(source, 4, start)
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


def _hex_number(source: Source, count: int, start: int) -> int:
    number = "".join(source.take() for _ in range(count))
    if len(number) != count or not set(number) <= set(hexdigits):
        source.refuse(f"{count} hexadecimal digits are missing", _HEX, start)
    return int(number, 16)


def _control(source: Source, start: int) -> str:
    char = source.take()
    if not char:
        source.refuse(r"\c needs a character", r"write for example \cA", start)
    return chr(ord(char) ^ 64)


def _named(source: Source, start: int) -> str:
    name = source.take_until("}") if source.accept("{") else None
    try:
        char = unicodedata.lookup(name or "")
    except KeyError:
        char = ""
    if not name or unicodedata.name(char or "\0", "") != name.upper():
        source.refuse("there is no character of that name", r"write \x{h…} instead", start)
    return char


_READERS: dict[str, Callable[[Source, int], str]] = {
    "0": _octal,
    "x": _hexadecimal,
    "u": _utf16,
    "c": _control,
    "N": _named,
}
