"""Filters of events and sessions: words such as ``receiver:CT1 kind:Object*``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.events import Severity
from engine.model.identity import UNASSIGNED
from engine.model.session import SessionArea, SessionStatus
from engine.model.text import MOMENT_REMEDY, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


EVENT_FIELDS = (
    "level", "kind", "topic", "receiver", "caller", "association", "address", "session", "project",
    "status",
)  # fmt: skip
"""The names of filters, the same in the commands and in the console's log."""
_IN_RECORDS = {"level": "severity", "caller": "calling_ae_title"}
"""Names that an event's record has instead; a filter may be written with them too."""
_WRITTEN = {name: field for field, name in _IN_RECORDS.items()}


class InvalidEventQuery(ConfigurationError):
    """A word is no filter for events."""

    title = "Not a filter for events"


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Conditions on an event; all must hold."""

    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For each name the patterns of which one must match; case does not matter."""
    words: tuple[str, ...] = ()
    """Words that its sentence must contain."""
    since: datetime | None = None
    least: Severity = Severity.INFO

    def matches(self, record: Mapping[str, object]) -> bool:
        """Tell whether an event's record is wanted."""
        message = str(record.get("message", "")).casefold()
        return (
            self._is_recent(record)
            and self._is_severe(record)
            and all(word in message for word in self.words)
            and all(_any_matches(patterns, name, record) for name, patterns in self.fields)
        )

    def _is_recent(self, record: Mapping[str, object]) -> bool:
        if self.since is None:
            return True
        try:
            return datetime.fromisoformat(str(record["at"])) >= self.since
        # A line of the event log may be damaged, or have a time without zone.
        except (KeyError, ValueError, TypeError):
            return False

    def _is_severe(self, record: Mapping[str, object]) -> bool:
        order = [str(severity) for severity in Severity]
        severity = record.get("severity")
        return severity in order and order.index(str(severity)) >= order.index(self.least)


def parse_event_query(
    words: Iterable[str], since: datetime | None = None, least: Severity = Severity.INFO
) -> EventQuery:
    """Return the query that ``field:value`` and plain words make together.

    Raises:
        InvalidEventQuery: with one problem per word that is none.
    """
    fields, plain, problems = [], [], []
    for word in words:
        name, colon, value = word.partition(":")
        name = _WRITTEN.get(name, name)
        if not colon:
            plain.append(word.casefold())
        elif name == "level" and value:
            fields.append(("severity", tuple(map(_level, value.split(",")))))
        elif name in EVENT_FIELDS and value:
            patterns = tuple(value.casefold().split(","))
            fields.append((_IN_RECORDS.get(name, name), patterns))
        else:
            known = ", ".join(f"{field}:" for field in EVENT_FIELDS)
            # No plain word: a misspelt filter would find nothing, without a reason.
            problems.append(Problem(name[:40], word[:80], "is no filter", f"use {known}"))
    if problems:
        raise InvalidEventQuery(*problems)
    return EventQuery(tuple(fields), tuple(plain), since, least)


def _level(value: str) -> str:
    """Return what the records of a level have, which may be abbreviated: ``warn``, ``warning``."""
    begun = value.casefold()
    meant = (str(level) for level in Severity if begun and level.word.startswith(begun))
    return next(meant, value).casefold()


def _any_matches(patterns: Iterable[str], name: str, record: Mapping[str, object]) -> bool:
    value = str(record.get(name, "")).casefold()
    # A receiver may be named by its AE title, an address without its port.
    alone = value.rpartition(":")[0] if name in ("receiver", "address") else value
    # Both sides are case-folded by now.
    return any(fnmatchcase(value, p) or fnmatchcase(alone, p) for p in patterns)


class InvalidQuery(ConfigurationError):
    """A word is no filter for sessions."""

    title = "Not a filter for sessions"


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Conditions on a session; None is no condition."""

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


SESSION_FIELDS = ("project", "status", "since", "modality", "receiver", "caller", "text", "area")


def parse_query(words: Iterable[str], now: datetime) -> SessionQuery:
    """Return the query that words such as ``status:READY,CONFLICT`` make together.

    Raises:
        InvalidQuery: with one problem per word that is none.
    """
    query, problems = SessionQuery(), list[Problem]()
    for word in words:
        name, colon, value = word.partition(":")
        try:
            if not colon or not value or name not in SESSION_FIELDS:
                known = ", ".join(f"{field}:" for field in SESSION_FIELDS)
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
