"""Whether something happened since the last look that may change what is shown of sessions."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.view import EngineSnapshot
    from tui.link import Reading

TOPICS = frozenset({"session", "c-store"})
EVENTS_LOOKED_AT = 200


class SessionNews:
    """Remembers what was known at the last look."""

    def __init__(self) -> None:
        self._known: object = None

    def came(self, reading: Reading, snapshot: EngineSnapshot) -> bool:
        """Tell whether there is a newer event, revision or engine; the first look is news."""
        events = islice(reading.events, EVENTS_LOOKED_AT)
        newest = next((r for r in events if r.event.topic in TOPICS), None)
        known = (newest.sequence if newest else None, snapshot.revision, snapshot.started_at)
        changed, self._known = known != self._known, known
        return changed
