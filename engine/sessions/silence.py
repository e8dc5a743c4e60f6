"""For how long each session that is being received has had no object.

Within a run that is measured by the monotonic clock. The wall clock only says how old the last
object of a session was when its time was seen for the first time.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.clock import Clock


class _Heard(NamedTuple):
    stamp: str
    """When the last object came, as the index has it."""
    at: float
    """The same, by the monotonic clock."""


class Silence:
    """Remembers when each session was heard; used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[int, _Heard] = {}
        self._looked_at = -math.inf

    def seconds(self, receiving: Iterable[tuple[int, str]]) -> Mapping[int, float]:
        """Return for how long sessions have been silent, the longest first.

        Args:
            receiving: all sessions that are being received, with the time of their last object.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        since_last_look = monotonic - self._looked_at
        heard = {}
        for session, stamp in receiving:
            known = self._heard.get(session)
            if known is None or known.stamp != stamp:
                age = (now - datetime.fromisoformat(stamp)).total_seconds()
                # A time in the future counts as now, and no time that is new as older than a look.
                known = _Heard(stamp, monotonic - min(max(age, 0.0), since_last_look))
            heard[session] = known
        self._heard, self._looked_at = heard, monotonic
        silent = {session: monotonic - known.at for session, known in heard.items()}
        return dict(sorted(silent.items(), key=lambda item: -item[1]))
