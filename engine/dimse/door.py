"""Limits on connections that have no association yet: in total, per address and per second."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from engine.addresses import origin_of
from engine.dimse.rate import ArrivalRates
from engine.dimse.strangers import Strangers
from engine.model.limits import Limits

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.dimse.receiving import ReceivingAssociation
    from engine.journal import Journal
    from engine.model.whitelist import Address

UNASSOCIATED = 50
UNASSOCIATED_PER_ADDRESS = 5
CROWDED = "too many connections wait for their association already"
GAVE_WAY = "it was silent, and gave way to another connection when too many waited"


class Door:
    """Counts the connections that have no association yet; any thread may use it.

    An address may have only so many of them. When there are too many over all addresses, the
    oldest silent one of the address with most gives way, so that nobody is kept out by others.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        unassociated: int = UNASSOCIATED,
        unassociated_per_address: int = UNASSOCIATED_PER_ADDRESS,
    ) -> None:
        self.strangers = Strangers(clock, journal)
        self.limits = Limits()
        """The site's; replaced when they change."""
        self._rates = ArrivalRates(clock)
        self._most = unassociated
        self._most_per_address = unassociated_per_address
        self._lock = threading.Condition()
        self._waiting: dict[ReceivingAssociation, str] = {}
        """What each counts as, in the order in which they came."""

    def opens(self, address: Address, port: int) -> bool:
        """Tell whether one more connection from an address is taken; note it if not."""
        limits, counted = self.limits, origin_of(address)
        if self._rates.ignores(counted, limits):
            self.strangers.dropped(address, port, too_fast(limits))
            return False
        with self._lock:
            has_room = Counter(self._waiting.values())[counted] < self._most_per_address
            is_full = len(self._waiting) >= self._most
            gives_way = self._first_to_go() if has_room and is_full else None
        if gives_way is not None:
            gives_way.why = GAVE_WAY
            gives_way.hang_up()
        if not has_room:
            self.strangers.dropped(address, port, CROWDED)
        return has_room

    def _first_to_go(self) -> ReceivingAssociation | None:
        """Take out a connection, of the address with most the one that has been silent longest."""
        numbers = Counter(self._waiting.values())
        waiting = [one for one in self._waiting if not one.is_heard]
        # The first of equals is the oldest.
        first = max(waiting, key=lambda a: (numbers[self._waiting[a]], a.is_silent), default=None)
        if first is not None:
            del self._waiting[first]
        return first

    def enter(self, association: ReceivingAssociation, address: Address) -> None:
        """Count a connection until it has its association, and note how fast they come."""
        counted = origin_of(address)
        association.limits = self.limits
        association.is_hasty = not self._rates.arrive(counted, self.limits)
        with self._lock:
            self._waiting[association] = counted

    def leave(self, association: ReceivingAssociation) -> None:
        """Stop counting a connection: it has its association, or is closed."""
        with self._lock:
            self._waiting.pop(association, None)
            self._lock.notify_all()

    def wait_until_empty(self, seconds: float) -> bool:
        """Return whether nobody waits for an association any more, waiting for it that long."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._waiting, seconds)

    def hang_up(self) -> None:
        """Close the connections that wait for their association."""
        with self._lock:
            waiting = tuple(self._waiting)
        for association in waiting:
            association.hang_up()


def too_fast(limits: Limits) -> str:
    """Say that an address asks for associations faster than it may."""
    allowed = limits.associations_per_second_per_address
    return f"its address asks for more than {allowed} associations a second"
