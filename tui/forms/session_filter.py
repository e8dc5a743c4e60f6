"""What a line typed above the sessions asks for: `SessionQuery`, forgiving while it is typed.

It is read as every filter is (see `row_filter`); ``*`` stands for anything besides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.model.identity import UNASSIGNED
from engine.model.session import SessionStatus
from engine.model.session_query import InvalidQuery, SessionQuery, parse_query
from tui.forms.row_filter import TERMS, field_named, is_unfinished

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from datetime import datetime

    from engine.model.session import SessionArea

FIELDS = ("project", "status", "since", "modality", "receiver", "caller", "text")
HINT = "words, !word, project:neuro status:ready,error since:24h modality:CT receiver:XNAT"
PATTERNS = ("project", "modality", "receiver")
"""Fields that a part of the value is enough for."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """A typed line as far as it is understood, and what is wrong with the rest."""

    query: SessionQuery
    problem: str = ""
    """In words, with what to write instead; empty if all is well."""


def session_filter(line: str, area: SessionArea, now: datetime) -> SessionFilter:
    """Return what a line asks for in an area.

    Each word must occur, and each ``!word`` must not. A field without a value asks for nothing
    yet; a status may be abbreviated, so ``status:queued`` means all that is queued.
    """
    wanted: dict[bool, list[str]] = {True: [], False: []}
    try:
        terms = list(_terms(line, wanted))
        query = parse_query(terms, now)
    except ConfigurationError as error:
        problems = "; ".join(problem.sentence() for problem in error.problems)
        return SessionFilter(SessionQuery(area=area), problems)
    words = (*query.words, *wanted[True])
    return SessionFilter(replace(query, words=words, without=tuple(wanted[False]), area=area))


def _terms(line: str, words: dict[bool, list[str]]) -> Iterator[str]:
    """Yield the terms that a query is parsed from; sort the words in by whether they must occur."""
    for match in TERMS.finditer(line):
        value = match["quoted"] if match["quoted"] is not None else match["word"]
        field = field_named((match["field"] or "").casefold(), FIELDS) if match["field"] else ""
        if is_unfinished(match, value, FIELDS) or not value.strip(","):
            continue
        if field and match["no"]:
            remedy = "write !word for a word, or name what is wanted"
            raise InvalidQuery(Problem(field, f"!{field}:", "can't be excluded", remedy))
        if field:
            yield f"{field}:{_value(field, value, match)}"
        else:
            before = f"{match['field']}:{match['exact'] or ''}" if match["field"] else ""
            words[not match["no"]].append(before + value)


def _value(field: str, value: str, match: re.Match[str]) -> str:
    if field == "status":
        parts = (part.upper() for part in value.split(",") if part)
        return ",".join(status for part in parts for status in _statuses(part))
    is_whole = match["exact"] or "*" in value or value.casefold() == UNASSIGNED.casefold()
    return value if is_whole or field not in PATTERNS else f"*{value}*"


def _statuses(part: str) -> list[str]:
    """Return the statuses that begin so; the part itself if none does."""
    return [status for status in SessionStatus if status.startswith(part)] or [part]
