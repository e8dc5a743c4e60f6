"""Connections that never came to an association: told once, then counted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING

from engine.dimse.associations import FOLDED_WITHIN, TOLD_REPETITIONS
from engine.events import ConnectionRefused

if TYPE_CHECKING:
    from datetime import datetime

    from engine.clock import Clock
    from engine.journal import Journal
    from engine.model.whitelist import Address

_KNOWN = 256
"""Callers that are told apart; the one that was quiet for longest is forgotten first."""


@dataclass(slots=True)
class _Repeated:
    times: int
    last: datetime


class Refusals:
    """Tells of refused connections; every method may be called from any thread."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int, str], _Repeated] = OrderedDict()

    def refused(
        self, host: Address, shown: str, port: int, why: str, receiver: str = "", calling: str = ""
    ) -> None:
        """Note a refused connection; the same one again within ten minutes becomes a count.

        Args:
            host: the caller's address; those of one IPv6 network count as one.
            shown: the caller's address as it is told.
            port: the port that was called.
            why: the reason in words.
            receiver: the receiver that was called, if that is known.
            calling: the calling AE title, if that is known.
        """
        times = self._count((_origin(host), port, why))
        if times in TOLD_REPETITIONS:
            self._journal.record(
                ConnectionRefused(
                    receiver=receiver,
                    calling_ae_title=calling,
                    address=shown,
                    port=port,
                    why=why,
                    times=times,
                )
            )

    def _count(self, key: tuple[str, int, str]) -> int:
        now = self._clock.now()
        with self._lock:
            before = self._known.pop(key, None)
            recent = before is not None and now - before.last < FOLDED_WITHIN
            times = before.times + 1 if before is not None and recent else 1
            self._known[key] = _Repeated(times, now)
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return times


def _origin(host: Address) -> str:
    """Return what identifies a caller: an IPv6 host may have any address of its /64."""
    return str(host if host.version == 4 else ip_network(f"{host}/64", strict=False))
