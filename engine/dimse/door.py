"""Which connections are taken at all, before anything is known about them but their address."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from engine.dimse.rate import ArrivalRates
from engine.dimse.strangers import Strangers
from engine.model.limits import Limits

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.dimse.receiving import ReceivingAssociation
    from engine.journal import Journal

UNASSOCIATED = 50
UNASSOCIATED_PER_ADDRESS = 5
CROWDED = "too many connections wait for their association already"


class Door:
    """Counts the connections that have no association yet; any thread may use it."""

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

    def opens(self, address: str, port: int) -> bool:
        """Tell whether one more connection from an address is taken; note it if not."""
        limits = self.limits
        if self._rates.ignores(address, limits):
            self.strangers.dropped(address, port, too_fast(limits))
            return False
        with self._lock:
            here = Counter(self._waiting.values())[address]
            has_room = len(self._waiting) < self._most and here < self._most_per_address
        if not has_room:
            self.strangers.dropped(address, port, CROWDED)
        return has_room

    def enter(self, association: ReceivingAssociation, address: str) -> None:
        """Count a connection until it has its association, and note how fast they come."""
        association.limits = self.limits
        association.is_hasty = not self._rates.arrive(address, self.limits)
        with self._lock:
            self._waiting[association] = address
            self._lock.notify_all()

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
