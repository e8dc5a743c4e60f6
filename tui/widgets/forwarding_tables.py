"""Where stored objects are sent on to, and the objects that were given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.view.forwarding import DestinationState
from tui.text import age, clock, count, duration, moment, safe, size
from tui.theme import Look, Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow
from tui.widgets.markable_table import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.view.forwarding import DestinationStatus, NotForwarded
    from tui.widgets.facts import Fact

DESTINATION_LOOKS = {
    DestinationState.SENDING: Look("●", "sending", Tone.OK),
    DestinationState.IDLE: Look("○", "idle", Tone.MUTED),
    DestinationState.WAITING: Look("▲", "waiting", Tone.WARNING),
    DestinationState.PAUSED: Look("‖", "paused", Tone.WARNING),
    DestinationState.STOPPED: Look("✗", "stopped", Tone.ERROR),
}
STATE_WORDS = {
    DestinationState.SENDING: "an association is open",
    DestinationState.IDLE: "nothing waits, or what waits is not due yet",
    DestinationState.WAITING: "the peer was in trouble; it is tried again by itself",
    DestinationState.PAUSED: "its processor is disabled: nothing is queued and nothing sent",
    DestinationState.STOPPED: "no engine runs",
}


class DestinationsTable(LiveTable):
    """One row for each Forward copy processor."""

    NOUN = "destination"
    HELP_TITLE = "Forwarding"
    HELP = (
        "Each Forward copy processor is a destination with a queue that survives every restart. "
        "Queued objects are sent by themselves, after trouble with growing pauses; what a peer "
        "refuses for good is given up and waits for a decision: enter lists it, r sends it again, "
        "x forgets it. The stored objects stay in any case."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("state", "State", 9),
        Column("label", "Destination", 14, flexible=True, max_width=28),
        Column("peer", "Peer", 20, flexible=True, max_width=40, at_least=78),
        Column("queued", "Queued", 8, right=True),
        Column("failed", "Failed", 7, right=True),
        Column("sent", "Sent", 9, right=True),
        Column("next", "Next try", 8),
        Column("error", "Last error", 20, at_least=110, flexible=True, max_width=80),
    )


class NotForwardedTable(MarkableTable):
    """One row for each object that was given up."""

    NOUN = "object"
    UNSORTED = "newest first"
    HELP_TITLE = "Given up"
    HELP = (
        "Objects that the peer refused for good, or too often. Mark some with space; r sends them "
        "again, x forgets them. Without marks both act on the one under the cursor."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("queued", "Queued", 16),
        Column("attempts", "Tries", 5, right=True),
        Column("reason", "Reason", 24, flexible=True, max_width=90),
        Column("object", "SOP Instance UID", 20, flexible=True, max_width=64, at_least=70),
    )


def destination_rows(found: Iterable[DestinationStatus], now: datetime) -> list[TableRow]:
    """Return the rows of destinations."""
    return [_row(destination, now) for destination in found]


def _row(destination: DestinationStatus, now: datetime) -> TableRow:
    look = DESTINATION_LOOKS[destination.state]
    failed = destination.failed
    at = destination.next_attempt_at
    cells = {
        "state": Cell(str(look), look.tone),
        "label": Cell(safe(destination.label), Tone.STRONG),
        "peer": Cell(safe(destination.peer)),
        "queued": Cell(count(destination.queued), Tone.PLAIN, destination.queued),
        "failed": Cell(count(failed), Tone.ERROR if failed else Tone.PLAIN, failed),
        "sent": Cell(count(destination.sent), Tone.PLAIN, destination.sent),
        "next": Cell(clock(at) if at else "–", Tone.PLAIN, at.timestamp() if at else 0.0),
        "error": Cell(safe(destination.last_error) or "–", Tone.MUTED),
    }
    return TableRow(str(destination.id), cells)


def destination_facts(destination: DestinationStatus, now: datetime) -> list[Fact]:
    """Return name and value of what is known about a destination; safe text."""
    look = DESTINATION_LOOKS[destination.state]
    at, error_at = destination.next_attempt_at, destination.last_error_at
    oldest = destination.oldest_queued_at
    error = f"{moment(error_at, now)}: " if error_at else ""
    facts: list[Fact] = [
        ("state", f"{look}: {STATE_WORDS[destination.state]}"),
        ("last error", f"{error}{safe(destination.last_error)}" if destination.last_error else ""),
        ("next attempt", _until(at, now) if at else ""),
        ("peer", f"{safe(destination.peer)}{', TLS' if destination.tls else ', not encrypted'}"),
        ("queued", f"{count(destination.queued)}{_since(oldest, now)}"),
        ("given up", count(destination.failed)),
        ("sent", f"{count(destination.sent)} ever, {size(destination.bytes_sent)}"),
        ("last sent", age(destination.last_sent_at, now)),
    ]
    return [(name, value) for name, value in facts if value]


def _until(at: datetime, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    return f"{moment(at, now)}, in {duration(seconds)}" if seconds > 0 else "now"


def _since(oldest: datetime | None, now: datetime) -> str:
    return f", the oldest since {moment(oldest, now)}" if oldest else ""


def not_forwarded_rows(items: Iterable[NotForwarded], now: datetime) -> list[TableRow]:
    """Return the rows of objects that were given up."""
    return [
        TableRow(
            str(item.id),
            {
                "queued": Cell(moment(item.queued_at, now), order=item.queued_at.timestamp()),
                "attempts": Cell(count(item.attempts), order=item.attempts),
                "reason": Cell(safe(item.reason)),
                "object": Cell(safe(item.sop_instance_uid), Tone.MUTED),
            },
        )
        for item in items
    ]
