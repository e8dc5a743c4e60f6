"""Folds what flows: the objects of one association are one event, and not one each second."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.events import ObjectsStored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.events import RecordedEvent

LOOKED_THROUGH = 2_000
"""So many of the newest events are folded; what is older would not be shown."""


def folded_events(events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """Return the newest events, newest first, with one `ObjectsStored` for each association.

    It stands where its association began to store, so that the flow never pushes a warning down.
    """
    found: dict[object, RecordedEvent] = {}
    run, newest = 0, 0
    for recorded in reversed(list(islice(events, LOOKED_THROUGH))):
        # An engine that was started anew counts events and associations from the beginning.
        run, newest = run + (recorded.sequence <= newest), recorded.sequence
        event = recorded.event
        if not isinstance(event, ObjectsStored) or not event.association:
            found[recorded.sequence, recorded.at] = recorded
            continue
        key = run, event.association, event.receiver
        first = found.get(key)
        found[key] = recorded if first is None else _together(first, event)
    return list(reversed(found.values()))


def _together(first: RecordedEvent, later: ObjectsStored) -> RecordedEvent:
    so_far = first.event
    assert isinstance(so_far, ObjectsStored)
    sums = {
        name: getattr(so_far, name) + getattr(later, name)
        for name in ("objects", "duplicates", "bytes", "filtered")
    }
    return replace(first, event=replace(so_far, **sums))
