"""Which sessions somebody wants to see: words such as ``project:NEURO-01 since:2h``; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.model.identity import UNASSIGNED
from engine.model.moment import MOMENT_REMEDY, parse_moment
from engine.model.session import SessionArea, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class InvalidQuery(ConfigurationError):
    """A word that no session can be looked for by."""

    title = "Not a filter for sessions"


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """What a session must be like; what is None does not matter."""

    project: str | None = None
    """``Unassigned`` for sessions without a project.

    In this and the two others below ``*`` stands for anything; then letter case is ignored.
    """
    statuses: tuple[SessionStatus, ...] = ()
    """Any of them; none means all."""
    since: datetime | None = None
    """When its last object may have come at the earliest."""
    modality: str | None = None
    receiver: str | None = None
    """``AE:port``, or the AE title alone."""
    caller: str | None = None
    """Part of the calling AE title; letter case is ignored."""
    words: tuple[str, ...] = ()
    """Each is part of project, subject, label or Study Instance UID; letter case is ignored."""
    without: tuple[str, ...] = ()
    """None of them is part of any of these."""
    area: SessionArea | None = None


FIELDS = ("project", "status", "since", "modality", "receiver", "caller", "text", "area")


def parse_query(words: Iterable[str], now: datetime) -> SessionQuery:
    """Return the query that words such as ``status:READY,CONFLICT`` make together.

    Raises:
        InvalidQuery: with one problem per word that is none.
    """
    query, problems = SessionQuery(), list[Problem]()
    for word in words:
        name, colon, value = word.partition(":")
        try:
            if not colon or not value or name not in FIELDS:
                known = ", ".join(f"{field}:" for field in FIELDS)
                raise _problem(name, word, "is no filter", f"use {known}")
            query = _with(query, name, value, now)
        except InvalidQuery as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidQuery(*problems)
    return query


def _with(query: SessionQuery, name: str, value: str, now: datetime) -> SessionQuery:
    if name == "status":
        return replace(query, statuses=(*query.statuses, *map(_status, value.split(","))))
    if name == "since":
        return replace(query, since=_moment(value, now))
    if name == "area":
        return replace(query, area=_area(value))
    if name == "project" and value.casefold() == UNASSIGNED.casefold():
        value = UNASSIGNED
    if name == "modality":
        value = value.upper()
    if name == "text":
        return replace(query, words=(*query.words, value))
    return replace(query, **{name: value})  # type: ignore[arg-type]


def _status(text: str) -> SessionStatus:
    try:
        return SessionStatus(text.upper())
    except ValueError:
        remedy = f"use {', '.join(SessionStatus)}"
        raise _problem("status", text, "is no status of a session", remedy) from None


def _area(text: str) -> SessionArea:
    try:
        return SessionArea(text.lower())
    except ValueError:
        remedy = f"use {', '.join(SessionArea)}"
        raise _problem("area", text, "is no place of sessions", remedy) from None


def _moment(text: str, now: datetime) -> datetime:
    try:
        return parse_moment(text, now)
    except ValueError:
        raise _problem("since", text, "is neither an age nor a time", MOMENT_REMEDY) from None


def _problem(field: str, value: str, message: str, remedy: str) -> InvalidQuery:
    return InvalidQuery(Problem(field[:40], value[:80], message, remedy))
