"""`SendersView` of an engine in this process: rows of the index, and open associations."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.senders import Sender, SenderDetail, SenderOrder, SenderPage
from engine.index.senders import day_volumes, sender_detail, sender_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.host.clock import Clock
    from engine.index.reader import IndexReader
    from engine.reception.associations import Associations

Who = tuple[str, str]
"""Calling AE title and address."""


class SenderQueries:
    """Reads through its own connection to the index; for all threads."""

    def __init__(self, reader: IndexReader, associations: Associations, clock: Clock) -> None:
        self._reader = reader
        self._associations = associations
        self._clock = clock

    def list(
        self,
        *,
        text: str = "",
        order: SenderOrder = SenderOrder.LAST_SEEN,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SenderPage:
        """Return a page of senders."""
        with self._reader.reading() as connection:
            found, total = sender_page(
                connection, text, order, descending=descending, offset=offset, limit=limit
            )
            days = day_volumes(connection, self._clock.now())
        calling = self._calling()
        return SenderPage(tuple(_now(sender, calling, days) for sender in found), offset, total)

    def detail(self, calling_ae_title: str, address: str) -> SenderDetail:
        """Return a sender with its volume by hour."""
        with self._reader.reading() as connection:
            now = self._clock.now()
            found = sender_detail(connection, calling_ae_title, address, now)
            days = day_volumes(connection, now)
        return replace(found, sender=_now(found.sender, self._calling(), days))

    def _calling(self) -> Counter[Who]:
        live = self._associations.open_ones()
        return Counter((one.calling_ae_title, str(one.address)) for one in live)


def _now(sender: Sender, calling: Counter[Who], days: Mapping[Who, tuple[int, ...]]) -> Sender:
    who = (sender.calling_ae_title, sender.address)
    day, count = days.get(who, ()), calling[who]
    return replace(sender, open_associations=count, day=day) if count or day else sender
