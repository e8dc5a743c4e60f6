"""Formats text for the screen: hostile characters escaped, numbers with units, local times."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size

if TYPE_CHECKING:
    from datetime import datetime


_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
_MARKS = frozenset({"Me", "Mn"})
_MAX_MARKS = 2
_BLOCKS = " ▁▂▃▄▅▆▇█"


def safe(text: str, width: int | None = None) -> str:
    """Return text that cannot steer the terminal or hide part of itself, cut to `width` cells.

    Control characters become control pictures (``␛``), everything else that is invisible or that
    reorders its surroundings becomes its code point (``⟨202E⟩``).
    """
    if not (text.isascii() and text.isprintable()):  # most texts need no look at each character
        text = _made_visible(text)
    return text if width is None else cut(text, width)


def _made_visible(text: str) -> str:
    shown = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        # Endless combining marks would pile up over the lines around.
        marks = marks + 1 if category in _MARKS else 0
        hidden = category in _HIDDEN_CATEGORIES or character in _INVISIBLE or marks > _MAX_MARKS
        hidden = hidden or _selects_variation(character)
        shown.append(_picture(character) if hidden else character)
    return "".join(shown)


def _selects_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨{code:04X}⟩"


def cut(text: str, width: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    room = width - 1
    end = 0
    for character in text:
        room -= get_character_cell_size(character)
        if room < 0:
            break
        end += 1
    return text[:end] + "…"


def cut_middle(text: str, width: int) -> str:
    """Return the text, or its ends around an ellipsis, in at most `width` cells.

    For names that begin alike, such as UIDs: two thirds are of the end.
    """
    if cell_len(text) <= width or width < 3:
        return cut(text, width)
    beginning = cut(text, max(2, width // 3))
    end = cut(text[::-1], width - cell_len(beginning) + 1)[-2::-1]
    return beginning + end


def fit(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """Return the text in exactly `width` cells; what is too long is cut at its end or `middle`."""
    text = cut_middle(text, width) if middle else cut(text, width)
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def count(number: int) -> str:
    """Return a whole number with thousands separated."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return number and noun, the noun in its plural where due."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(size_bytes: float) -> str:
    """Return a size with the decimal unit that keeps it short, such as ``13.4 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size_bytes < 999.5 or unit == "TB":  # 999.5 would be rounded to 1000
            break
        size_bytes /= 1000
    return f"{size_bytes:.0f} {unit}" if unit in ("B", "kB") else f"{size_bytes:.1f} {unit}"


_UNITS: dict[str, int] = {
    f"{prefix}{binary}B": (1024 if binary else 1000) ** power
    for binary in ("", "i")
    for power, prefix in enumerate(" KMGTP" if binary else " kMGTP")
    if power
} | {"B": 1}


def exact_size(size_bytes: int) -> str:
    """Return a size in the largest unit of which it is a multiple, such as ``256 MiB``."""
    units = ((factor, unit) for unit, factor in _UNITS.items() if size_bytes % factor == 0)
    factor, unit = max(units) if size_bytes else (1, "B")
    return f"{size_bytes // factor} {unit}"


def typed_number(name: str, value: int) -> str:
    """Return a number as a form shows it, and as it may be typed: one of bytes with its unit."""
    return exact_size(value) if name.endswith("_bytes") else str(value)


def size_in(text: str) -> int | str:
    """Return the bytes that ``256 MiB``, ``4 GB`` or ``65536`` mean; other text as it is."""
    typed = text.strip()
    digits = typed.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").rstrip()
    unit = typed[len(digits) :].strip().casefold()
    factor = {known.casefold(): factor for known, factor in _UNITS.items()}.get(unit or "b")
    if factor is None or not (digits.isascii() and digits.isdecimal()):
        return typed
    return int(digits) * factor


def megabytes(size_bytes: float) -> str:
    """Return bytes, or bytes per second, as a number of megabytes."""
    return f"{size_bytes / 1e6:,.1f}"


def duration(seconds: float) -> str:
    """Return a duration in one or two units that change rarely."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def clock(at: datetime) -> str:
    """Return the local time of day."""
    return at.astimezone().strftime("%H:%M:%S")


def moment(at: datetime, now: datetime) -> str:
    """Return the local time of day, with the date unless that is today."""
    local = at.astimezone()
    same_day = local.date() == now.astimezone().date()
    return local.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M")


def age(at: datetime | None, now: datetime) -> str:
    """Return the time of day if today, else how long ago, in at most eight cells."""
    if at is None:
        return "never"
    days = (now.astimezone().date() - at.astimezone().date()).days
    return clock(at) if days <= 0 else f"{min(days, 999)}d ago"


def sparkline(values: tuple[int, ...], width: int, top: int) -> str:
    """Return one line of block characters, the newest value at the right end.

    Even a bar of `top` leaves an eighth free, so that bars of lines below each other stay apart.
    """
    return "".join(_BLOCKS[_level(value, top, 7)] for value in _resampled(values, width))


def sparkrows(values: tuple[int, ...], width: int, height: int, top: int) -> list[str]:
    """Return a bar chart of `height` lines, upper line first; `top` fills it."""
    bars = _resampled(values, width)
    eighths = [_level(value, top, 8 * height) for value in bars]
    lines = range(height - 1, -1, -1)
    return ["".join(_BLOCKS[min(8, max(0, e - 8 * line))] for e in eighths) for line in lines]


def _level(value: int, top: int, most: int) -> int:
    if value <= 0 or top <= 0:
        return 0
    return max(1, min(most, round(most * value / top)))  # little is not nothing


def _resampled(values: tuple[int, ...], width: int) -> list[int]:
    if not values or width < 1:
        return []
    if width <= len(values):
        return list(values[-width:])
    return [values[i * len(values) // width] for i in range(width)]


def host_of(address: str) -> str:
    """Return the address of a peer without its port."""
    host = address.rpartition(":")[0] or address
    return host[1:-1] if host.startswith("[") and ":" in host else host


def sentence_case(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def with_unit(name: str, text: str) -> str:
    """Say a number with the unit that its name ends with; what is no number stays as it is."""
    if name.endswith("_bytes"):
        found = size_in(text)
        return size(found) if isinstance(found, int) else found
    if not text.isascii() or not text.isdecimal():
        return text
    number = int(text)
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
