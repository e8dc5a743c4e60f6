"""The headers of each receiver's last objects, so that new rules can be tried on them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.intake.header import HeaderView

HEADERS_PER_RECEIVER = 20
MAX_HEADER_BYTES = 64 * 1024
"""Larger headers are not kept, so that a receiver's take at most 1.25 MiB."""


class RecentHeader(NamedTuple):
    """One object's header, and whence it came."""

    at: datetime
    receiver_id: int
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    header: HeaderView


class RecentHeaders:
    """In memory only, for it is patient data; appending is one step, so threads need no lock."""

    def __init__(self) -> None:
        self._by_receiver: dict[int, deque[RecentHeader]] = {}

    def keep(self, recent: RecentHeader) -> None:
        """Keep a header, and let go of the receiver's oldest one if there are enough."""
        receiver_id = recent.receiver_id
        if recent.header.size_bytes > MAX_HEADER_BYTES:
            return
        kept = self._by_receiver.get(receiver_id)
        if kept is None:
            kept = self._by_receiver.setdefault(receiver_id, deque(maxlen=HEADERS_PER_RECEIVER))
        kept.append(recent)

    def forget_all_but(self, receiver_ids: Iterable[int]) -> None:
        """Let go of the headers of receivers that are gone."""
        for gone in set(self._by_receiver).difference(receiver_ids):
            self._by_receiver.pop(gone, None)

    def of(self, receiver_id: int) -> tuple[RecentHeader, ...]:
        """Return the last headers of a receiver, newest first; id 0 stands for all receivers."""
        if not receiver_id:
            return self.everything()[:HEADERS_PER_RECEIVER]
        return _newest_first(self._by_receiver.get(receiver_id, ()))

    def everything(self) -> tuple[RecentHeader, ...]:
        """Return the last headers of all receivers, newest first."""
        return _newest_first(r for one in list(self._by_receiver.values()) for r in list(one))


def _newest_first(headers: Iterable[RecentHeader]) -> tuple[RecentHeader, ...]:
    return tuple(sorted(headers, key=lambda recent: recent.at, reverse=True))
