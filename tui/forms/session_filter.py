"""What a line typed above the sessions asks for: `SessionQuery`, forgiving while it is typed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError
from engine.model.session import SessionStatus
from engine.model.session_query import SessionQuery, parse_query

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.session import SessionArea

FIELDS = ("project", "status", "since", "modality", "receiver", "caller", "text")
HINT = "words, project:NEURO* status:ready,error since:24h modality:CT receiver:XNAT"


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """A typed line as far as it is understood, and what is wrong with the rest."""

    query: SessionQuery
    problem: str = ""
    """In words, with what to write instead; empty if all is well."""


def session_filter(line: str, area: SessionArea, now: datetime) -> SessionFilter:
    """Return what a line asks for in an area.

    Words without a field are looked for together, as they stand. A field without a value asks
    for nothing yet; a status may be abbreviated, so ``status:queued`` means all that is queued.
    """
    words, terms = list[str](), list[str]()
    for part in line.split():
        field, colon, value = part.partition(":")
        if not colon or field.casefold() not in FIELDS:
            words.append(part)
        elif value.strip(","):
            terms.append(_term(field.casefold(), value))
    try:
        query = parse_query(terms, now)
    except ConfigurationError as error:
        problems = "; ".join(problem.sentence() for problem in error.problems)
        return SessionFilter(SessionQuery(area=area), problems)
    if words:
        query = replace(query, text=" ".join(filter(None, (query.text, *words))))
    return SessionFilter(replace(query, area=area))


def _term(field: str, value: str) -> str:
    if field != "status":
        return f"{field}:{value}"
    parts = (part.upper() for part in value.split(",") if part)
    meant = [status for part in parts for status in _statuses(part)]
    return f"{field}:{','.join(meant)}"


def _statuses(part: str) -> list[str]:
    """Return the statuses that begin so; the part itself if none does."""
    return [status for status in SessionStatus if status.startswith(part)] or [part]
