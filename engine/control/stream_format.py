"""How urgent events are written in a stream (WHATWG HTML 9.2, server-sent events)."""

from __future__ import annotations

from engine.control.codec import Codec
from engine.events import RecordedEvent

BEAT_SECONDS = 10.0
"""How often a stream without news says that it is alive."""
SILENT_SECONDS = 3 * BEAT_SECONDS
"""After so long without a beat it is not."""
NEWS = Codec(lambda schemas: schemas.of(RecordedEvent), lenient=True)
BEAT = b": alive\n\n"
_DATA = b"data: "


def written(recorded: RecordedEvent) -> bytes:
    """Return the lines of one event."""
    return b"id: %d\n" % recorded.sequence + _DATA + NEWS.dump(recorded) + b"\n\n"


def event_of(line: bytes) -> bytes | None:
    """Return the JSON of an event that a line brings; None if it brings none."""
    return line.removeprefix(_DATA) if line.startswith(_DATA) else None
