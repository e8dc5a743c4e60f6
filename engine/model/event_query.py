"""Which events somebody wants to see: words such as ``receiver:CT1 kind:Object*``; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.events import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIELDS = (
    "severity", "kind", "topic", "receiver", "calling_ae_title", "association", "address",
    "session", "project", "status",
)  # fmt: skip
"""What can be asked for by name."""
_ALIASES = {"ae": "calling_ae_title", "what": "topic"}


class InvalidEventQuery(ConfigurationError):
    """A word that no event can be looked for by."""

    title = "Not a filter for events"


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What an event must be like."""

    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For each name the patterns of which one must match; case does not matter."""
    words: tuple[str, ...] = ()
    """What its sentence must contain, all of them."""
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
        name = _ALIASES.get(name, name)
        if not colon:
            plain.append(word.casefold())
        elif name in FIELDS and value:
            fields.append((name, tuple(value.casefold().split(","))))
        else:
            known = ", ".join(f"{field}:" for field in FIELDS)
            problems.append(Problem(name[:40], word[:80], "is no filter", f"use {known}"))
    if problems:
        raise InvalidEventQuery(*problems)
    return EventQuery(tuple(fields), tuple(plain), since, least)


def _any_matches(patterns: Iterable[str], name: str, record: Mapping[str, object]) -> bool:
    value = str(record.get(name, "")).casefold()
    # A receiver may be named by its AE title, an address without its port.
    alone = value.rpartition(":")[0] if name in ("receiver", "address") else value
    return any(fnmatchcase(value, p) or fnmatchcase(alone, p) for p in patterns)
