"""What a receiver took in last, asked for again while objects arrive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.screens.fetch import Fetch
from tui.widgets.last_objects_table import object_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.view import EngineView, ReceiverStatus
    from engine.view.objects import RecentObject
    from tui.link import EngineCall

SHOWN = 50


class LastObjects:
    """Asks the engine for one receiver and caller at a time."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[RecentObject, ...]] = Fetch("list last objects", ask, changed)
        self._counted: object = None

    def of(self, status: ReceiverStatus, caller: str, now: datetime) -> tuple[RecentObject, ...]:
        """Return what is known of a receiver's objects from a caller (empty for all); may ask."""
        label = status.receiver.label
        counted = (label, status.objects_today, status.failed_today, status.last_object_at)
        came, self._counted = counted != self._counted, counted
        wish = (label, caller)
        self._fetch.want(wish, partial(_recent, *wish), now, again=came)
        return (self._fetch.answer or ()) if self._fetch.wish == wish else ()

    def find(self, key: str | None) -> RecentObject | None:
        """Return the object of a row."""
        return next((one for one in self._fetch.answer or () if object_key(one) == key), None)


def _recent(receiver: str, caller: str, engine: EngineView) -> tuple[RecentObject, ...]:
    return engine.objects.recent(receiver=receiver, calling_ae_title=caller, limit=SHOWN)
