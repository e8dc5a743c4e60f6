"""Where a queued object is now: sessions are built, moved, archived and deleted while it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.session import QUEUED, WORKING, SessionArea, SessionStatus

if TYPE_CHECKING:
    from pathlib import Path

    from engine.forwarding.tables import Item
    from engine.sessions.areas import Areas
    from engine.sessions.arrivals import Arrivals, ObjectPlace

BUSY_SECONDS = 2.0
"""How long is waited for somebody who works on the session."""

_ON_ITS_WAY_OUT = frozenset((SessionStatus.QUEUED_DELETING, SessionStatus.DELETING))


@dataclass(frozen=True, slots=True)
class Located:
    """Where an object is, or why it can't be sent."""

    path: Path | None = None
    is_moving: bool = False
    """Whether it may be elsewhere in a moment."""
    gone: str = ""
    """Why it will never be there again."""


def locate(arrivals: Arrivals, areas: Areas, item: Item) -> Located:
    """Return where a queued object is.

    Raises:
        StorageUnusable: if the index can't be read.
    """
    place = _place(arrivals, item)
    if place is None:
        return Located(gone="it was replaced or removed for good, or the index does not know it")
    if place.area is SessionArea.TRASH or place.status is SessionStatus.DELETED:
        return Located(gone="its session was deleted")
    if place.status in _ON_ITS_WAY_OUT:
        return Located(is_moving=True)  # which may be cancelled
    path = areas.path(place.area, str(place.folder)) / place.file
    return Located(path, is_moving=place.status in WORKING or place.status in QUEUED)


def _place(arrivals: Arrivals, item: Item) -> ObjectPlace | None:
    """Return an object's place; rows of an index that was made anew have other numbers."""
    place = arrivals.place(item.object)
    if place is not None and place.sop_instance_uid == item.sop_instance_uid:
        return place
    newest = arrivals.latest_of(item.sop_instance_uid)
    return None if newest is None else arrivals.place(newest)
