"""How fast each address may ask for associations (reliability-security 4)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.model.limits import Limits

_FORGET_FROM = 4_096
"""With this many addresses known, the ones that are at rest are forgotten."""


class ArrivalRates:
    """One bucket of tokens per address; any thread may use it.

    A bucket holds as many tokens as may come at once and gains so many a second. Each connection
    takes one. Without a token a request is rejected; with as many missing as the bucket holds,
    connections are closed without an answer, until the address has rested.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens by address, and the monotonic time they were counted."""
        self._forget_from = _FORGET_FROM

    def ignores(self, address: str, limits: Limits) -> bool:
        """Tell whether connections of an address are closed without an answer."""
        with self._lock:
            return self._tokens(address, limits) <= -limits.association_burst_per_address

    def arrive(self, address: str, limits: Limits) -> bool:
        """Count a connection; return whether it is within the rate of its address."""
        with self._lock:
            tokens = self._tokens(address, limits) - 1
            self._buckets[address] = tokens, self._clock.monotonic()
            self._forget(limits)
        return tokens >= 0

    def _tokens(self, address: str, limits: Limits) -> float:
        full = float(limits.association_burst_per_address)
        tokens, at = self._buckets.get(address, (full, 0.0))
        gained = (self._clock.monotonic() - at) * limits.associations_per_second_per_address
        return min(full, tokens + gained)

    def _forget(self, limits: Limits) -> None:
        if len(self._buckets) < self._forget_from:
            return
        full = limits.association_burst_per_address
        self._buckets = {a: b for a, b in self._buckets.items() if self._tokens(a, limits) < full}
        self._forget_from = max(_FORGET_FROM, 2 * len(self._buckets))
