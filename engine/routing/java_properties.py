r"""The ``\p{…}`` classes of Java 17, each as the inside of a set of the `regex` package.

POSIX names are ASCII unless the flag ``U`` is on; categories, scripts, blocks and the binary
properties (``\p{IsAlphabetic}``) are Unicode's.
"""

from __future__ import annotations

import re
from typing import Final

from engine.routing.java_source import Mode

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
    if not _NAME.fullmatch(name):
        return None
    import regex  # which takes a while, and only rules need it

    items = rf"\p{{{kind}={name}}}"
    try:
        regex.compile(items, regex.VERSION1)
    except regex.error:
        return None
    return items
