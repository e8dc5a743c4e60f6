"""A number of seconds, bytes or anything else in words, for the note beside its field."""

from __future__ import annotations

from tui.text import count, size


def in_words(name: str, text: str) -> str:
    """Say a number with the unit that its name ends with; what is no number stays as it is."""
    if not text.isascii() or not text.isdecimal():
        return text
    number = int(text)
    if name.endswith("_bytes"):
        return size(number)
    if name.endswith("_seconds"):
        return _time(number)
    if name.endswith("_percent"):
        return f"{number} % of the storage"
    if name.endswith("_days"):
        return "1 day" if number == 1 else f"{count(number)} days"
    return count(number)


def _time(seconds: int) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length and not seconds % length:
            return f"{seconds // length} {unit}"
    return f"{count(seconds)} s"
