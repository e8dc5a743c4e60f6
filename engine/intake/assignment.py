"""``Project:… Subject:… Session:…`` in comments: what a text assigns to a key (XNAT 5.3)."""

from __future__ import annotations

import re

LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")  # what Java's "." does not match
_DELIMITERS = frozenset(" \t\n\x0b\f\r,;")
_KEYS = {
    key: re.compile(rf"(?<![^\s,;]){key}(?=\s*+:(\s*+)([\w-]*+))", re.ASCII | re.IGNORECASE)
    for key in ("Project", "Subject", "Session", "AA")
}


def assigned(text: str, key: str, *, tolerant: bool = False) -> str | None:
    r"""Return the value that a text assigns to a key, None if it assigns none (XNAT 5.3).

    This is Java's match of ``(?:\A|(?:.*[\s,;]))KEY\s*\:\s*([\w\-]*)(?:(?:[\s,;].*\Z)|\Z)`` in
    linear time: an assignment at the very start wins, else the last one; one line break may precede
    the key, as its delimiter, and one may follow the value. Where `tolerant`, line breaks are
    blanks, so that every assignment may have a line of its own.
    """
    if ":" not in text:
        return None
    if tolerant:
        text = LINE_BREAK.sub(" ", text)
    breaks = [found.start() for found in LINE_BREAK.finditer(text)]
    first, last = (breaks[0], breaks[-1]) if breaks else (len(text), -1)
    value = None
    for found in _KEYS[key].finditer(text):
        if found.start() > first + 1:
            break
        candidate = _value_before(text, found, last)
        if candidate is not None:
            value = candidate
            if found.start() == 0:
                break
    return value


def _value_before(text: str, found: re.Match[str], last_break: int) -> str | None:
    """Return the value if nothing but one delimiter and one line's rest follows it."""
    end = found.end(2)
    if last_break <= end and (end == len(text) or text[end] in _DELIMITERS):
        return found[2]
    # The blanks after the colon may be the delimiter as well; then the value is empty.
    return "" if found[1] and last_break < found.end(1) else None
