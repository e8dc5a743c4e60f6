"""The audit log of access to identifying values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from engine.events import IdentifyingValuesShown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.index.traces import TraceKey

SUPPRESS_SECONDS: Final = 60.0
"""What a form shows anew at every key is noted once in this time."""
_SOP_INSTANCE_UID: Final = 0x00080018
_LONGEST_ACTOR: Final = 200
_MOST_REMEMBERED: Final = 1_000


class PhiAccessLog:
    """Records in the journal who saw identifying values; any thread."""

    def __init__(self, report: Callable[[Event], object], key: TraceKey, clock: Clock) -> None:
        """Take the journal, and the key of the hashes that stand for the objects."""
        self._report = report
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When each object was shown last to whom; guarded by the lock."""

    def note(self, actor: str, sop_instance_uid: str, session: int | None = None) -> None:
        """Record that the identifying values of an object were shown."""
        self._record(actor, (self._hash(sop_instance_uid),), session)

    def note_all(self, actor: str, sop_instance_uids: Iterable[str]) -> None:
        """Record the same of several objects, except those that were recorded a moment ago."""
        hashes = dict.fromkeys(map(self._hash, sop_instance_uids))
        with self._lock:
            new = tuple(found for found in hashes if self._is_new(actor, found))
        if new:
            self._record(actor, new, None)

    def _is_new(self, actor: str, found: str) -> bool:
        now = self._clock.monotonic()
        last = self._last.get((actor, found))
        if last is not None and now - last < SUPPRESS_SECONDS:
            return False
        self._last[actor, found] = now
        self._last.move_to_end((actor, found))
        while len(self._last) > _MOST_REMEMBERED:
            self._last.popitem(last=False)
        return True

    def _record(self, actor: str, hashes: tuple[str, ...], session: int | None) -> None:
        first, *others = hashes
        self._report(
            IdentifyingValuesShown(
                by=actor[:_LONGEST_ACTOR], object=first, session=session, others=tuple(others)
            )
        )

    def _hash(self, sop_instance_uid: str) -> str:
        return self._key.hash(_SOP_INSTANCE_UID, sop_instance_uid).hex()
