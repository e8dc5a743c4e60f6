"""Texts of several lines, such as scripts: allowed characters and length; moments; near misses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


MAX_TEXT_CHARACTERS = 100_000


def text_faults(field: str, value: object) -> Iterator[Problem]:
    """Yield what keeps a value from being a text of several lines, with line and column."""
    if not isinstance(value, str):
        yield Problem(field, str(value)[:40], "is not text", "write text")
    elif len(value) > MAX_TEXT_CHARACTERS:
        message = f"has {len(value):,} characters"
        yield Problem(
            field, f"{value[:20]}…", message, f"use at most {MAX_TEXT_CHARACTERS:,} characters"
        )
    elif not value.isprintable():
        yield from _control_characters(field, value)


def _control_characters(field: str, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), start=1):
        # Control characters could steer a terminal that shows the text.
        odd = next((at for at, c in enumerate(line) if not c.isprintable() and c != "\t"), None)
        if odd is not None:
            message = "is a control character"
            yield Problem(field, line[odd], message, "remove it", number, odd + 1)
            return


MOMENT_REMEDY = "use such as 30m, 2h, 7d or 2026-01-31T12:00"

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the UTC time that a text means.

    Raises:
        ValueError: if it is neither an age nor a time; `MOMENT_REMEDY` is the remedy.
    """
    age = _AGE.fullmatch(text)
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        # A time without zone is local time, as people write it.
        return datetime.fromisoformat(text).astimezone(UTC)
    # OverflowError: an age may reach back beyond the year 1.
    except (ValueError, OverflowError) as error:
        raise ValueError("neither an age nor a time") from error


_MOST_COMPARED = 40
"""Characters: a longer word is no mistyped name, and comparing takes time."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question for the most similar name; empty if none is similar."""
    # Only for an error: nothing else should wait for it.
    import difflib

    names = {name.lower(): name for name in known}
    given = word.lower() if len(word) <= _MOST_COMPARED else ""
    similar = difflib.get_close_matches(given, names, n=1)
    return f"did you mean {names[similar[0]]}?" if similar else ""
