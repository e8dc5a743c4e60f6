"""When receivers were added and last changed, as far as the kept revisions say."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.api.history import ReceiverTimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.config.history import PastRevision

_FIRST = 1


def receiver_times(
    revisions: Iterable[PastRevision], known: Mapping[int, ReceiverTimes], known_at: int
) -> dict[int, ReceiverTimes]:
    """Return the times of the receivers of the newest revision, by id.

    What happened before the oldest kept revision is not known: those times are None.

    Args:
        revisions: newest first; no more of them are read than are needed.
        known: an earlier answer, so that only what came later is read.
        known_at: the newest revision of that answer; 0 for none.
    """
    later: PastRevision | None = None
    found: dict[int, ReceiverTimes] = {}
    open_ids = set[int]()
    """The receivers whose beginning is not found yet."""
    for revision in revisions:
        if later is None:
            open_ids = set(_receivers(revision))
            found = {number: ReceiverTimes(number) for number in open_ids}
        else:
            _compare(later, _receivers(revision), found, open_ids)
        later = revision
        if not open_ids or revision.number <= known_at:
            break
    if later is not None and later.number == _FIRST:
        _compare(later, {}, found, open_ids)
    for number in open_ids if later is not None and later.number <= known_at else ():
        before = known.get(number, found[number])
        changed_at = found[number].changed_at or before.changed_at
        found[number] = replace(before, changed_at=changed_at)
    return found


def _compare(
    later: PastRevision,
    earlier: Mapping[int, Any],
    found: dict[int, ReceiverTimes],
    open_ids: set[int],
) -> None:
    at = _changed_at(later)
    records = _receivers(later)
    for number in tuple(open_ids):
        times = found[number]
        if times.changed_at is None and earlier.get(number) != records[number]:
            found[number] = times = replace(times, changed_at=at)
        if number not in earlier:
            found[number] = replace(times, added_at=at)
            open_ids.remove(number)


def _receivers(revision: PastRevision) -> dict[int, Any]:
    found = dict[int, Any]()
    for key, record in revision.tables.get("receivers", {}).items():
        with suppress(ValueError):  # an editor may write anything
            found[int(key)] = record
    return found


def _changed_at(revision: PastRevision) -> datetime | None:
    for meta in revision.tables.get("meta", {}).values():
        with suppress(KeyError, TypeError, ValueError):
            return datetime.fromisoformat(meta["changed_at"])
    return None
