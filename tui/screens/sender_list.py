"""All senders of an engine, asked for anew when an association began or ended, and each hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tui.screens.fetch import Fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from engine.errors import EngineError
    from engine.view import EngineView
    from engine.view.senders import Sender
    from tui.link import EngineCall, Reading

PAGE = 1000
"""Senders in one question; the engine gives no more."""
SENDERS_PER_SECOND = 500
"""A long list is asked for less often."""
TOPICS = frozenset(("associate", "release", "abort"))
"""Events of these topics change what is known of a sender."""
WRITTEN = timedelta(seconds=3)
"""So long after an event it is in the index for sure."""


class SenderList:
    """Keeps the newest list; what was there stays while a newer one is asked for."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[Sender, ...]] = Fetch("list the senders", ask, changed)
        self._heard: Hashable = None
        self._asked_at: datetime | None = None
        self._look_again_at: datetime | None = None

    @property
    def senders(self) -> tuple[Sender, ...] | None:
        """The senders, the last seen first; None before the first answer."""
        return self._fetch.answer

    @property
    def problem(self) -> EngineError | None:
        """Why there is no newer list."""
        return self._fetch.problem

    def look(self, reading: Reading, now: datetime, *, at_once: bool) -> None:
        """Ask if there may be news in what was read."""
        told = next((r.sequence for r in reading.events if r.event.topic in TOPICS), None)
        heard = (told, now.replace(minute=0, second=0, microsecond=0))
        news = heard != self._heard and self._may_ask(now)
        written = self._look_again_at is not None and now >= self._look_again_at
        again = at_once or news or written
        if again:
            self._heard, self._asked_at = heard, now
        if news or written:
            self._look_again_at = now + WRITTEN if news else None
        self._fetch.want("all", all_senders, now, at_once=again)

    def _may_ask(self, now: datetime) -> bool:
        pause = timedelta(seconds=max(1.0, len(self.senders or ()) / SENDERS_PER_SECOND))
        return self._asked_at is None or abs(now - self._asked_at) >= pause


def all_senders(engine: EngineView) -> tuple[Sender, ...]:
    """Return all senders, the last seen first; runs on a worker thread."""
    found: dict[tuple[str, str], Sender] = {}
    offset, total = 0, 1
    while offset < total:
        page = engine.senders.list(offset=offset, limit=PAGE)
        found |= {(s.calling_ae_title, s.address): s for s in page.senders}
        offset, total = offset + PAGE, page.total
    return tuple(found.values())
