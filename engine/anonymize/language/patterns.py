"""Java's regular expressions for scripts, bounded in time (dicomedit 4.5)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.routing.errors import PatternFault
from engine.routing.java.regex import compile_java

if TYPE_CHECKING:
    import regex

    from engine.routing.java.regex import JavaPattern

MATCH_SECONDS: Final = 0.1
"""Longest time of one match: a pattern with nested repetition may take for ever."""


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> JavaPattern:
    return compile_java(pattern)


def compiled(pattern: str) -> JavaPattern:
    """Return a pattern ready for use.

    Raises:
        StatementFailure: naming the place in the pattern.
    """
    try:
        return _compiled(pattern)
    except PatternFault as fault:
        raise StatementFailure(
            f"the regular expression is not usable at character {fault.offset + 1}",
            fault.remedy,
        ) from fault


def whole_match(pattern: str, text: str) -> bool:
    """Tell whether a pattern matches the whole text.

    Raises:
        StatementFailure: if the pattern is none or takes too long.
    """
    try:
        return bool(compiled(pattern).compiled.fullmatch(text, timeout=MATCH_SECONDS))
    except (TimeoutError, MemoryError) as error:
        raise _too_slow() from error


def first_match(pattern: str, text: str) -> regex.Match[str] | None:
    """Search a text for a pattern; raises as `whole_match` does."""
    try:
        return compiled(pattern).compiled.search(text, timeout=MATCH_SECONDS)
    except (TimeoutError, MemoryError) as error:
        raise _too_slow() from error


def _too_slow() -> StatementFailure:
    limit = f"{MATCH_SECONDS * 1000:g} ms"
    return StatementFailure(
        f"a regular expression took longer than {limit}",
        "avoid repeated groups that repeat inside",
    )
