"""Reports of storage commitment that are not delivered: a table below the destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.api.commitments import CommitmentState
from tui.text import clock, count, counted, duration, moment, safe
from tui.theme import StateStyle, Tone
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api.commitments import CommitmentStatus
    from tui.widgets.panel import Fact

COMMITMENT_STYLES = {
    CommitmentState.ASKED: StateStyle("●", "asked", Tone.OK),
    CommitmentState.WAITING: StateStyle("▲", "waiting", Tone.WARNING),
    CommitmentState.GIVEN_UP: StateStyle("✗", "given up", Tone.ERROR),
    CommitmentState.DELIVERED: StateStyle("○", "delivered", Tone.MUTED),
}


class CommitmentsTable(LiveTable):
    """One row for each report that its peer does not have."""

    NOUN = "report"
    HELP_TITLE = "Storage commitment"
    HELP = (
        "Modalities that asked whether their objects are safe, and have no answer yet. Reports are "
        "sent by themselves, with growing pauses, until they are given up. {list.open} says "
        "everything about one, {commitment.retry} looks the objects up again and sends the report "
        "at once. An unknown peer is added with: dicomdock peers add."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("state", "State", 10),
        Column("peer", "Peer", 16),
        Column("age", "Asked", 12, right=True),
        Column("objects", "Objects", 8, right=True),
        Column("failed", "Failed", 7, right=True),
        Column("next", "Next try", 8, at_least=78),
        Column("reason", "Reason", 20, flexible=True, max_width=90),
    )


def undelivered(found: Iterable[CommitmentStatus]) -> tuple[CommitmentStatus, ...]:
    """Return those that somebody may have to do something about."""
    return tuple(one for one in found if one.state is not CommitmentState.DELIVERED)


def commitment_rows(found: Iterable[CommitmentStatus], now: datetime) -> list[TableRow]:
    """Return the rows of reports."""
    return [_row(one, now) for one in found]


def _row(one: CommitmentStatus, now: datetime) -> TableRow:
    look, at = COMMITMENT_STYLES[one.state], one.next_attempt_at
    seconds = (now - one.asked_at).total_seconds()
    cells = {
        "state": Cell(str(look), look.tone),
        "peer": Cell(safe(one.calling_ae_title), Tone.STRONG),
        "age": Cell(duration(seconds), Tone.PLAIN, seconds),
        "objects": Cell(count(one.objects), Tone.PLAIN, one.objects),
        "failed": Cell(count(one.failed), Tone.ERROR if one.failed else Tone.PLAIN, one.failed),
        "next": Cell(clock(at) if at else "–", Tone.PLAIN, at.timestamp() if at else 0.0),
        "reason": Cell(safe(one.reason) or "–", Tone.MUTED),
    }
    return TableRow(str(one.id), cells)


def commitment_facts(one: CommitmentStatus, now: datetime) -> list[Fact]:
    """Return name and value of what is known about a report; safe text."""
    at = one.next_attempt_at
    facts: list[Fact] = [
        ("state", f"{COMMITMENT_STYLES[one.state]}, since {moment(one.changed_at, now)}"),
        ("reason", safe(one.reason)),
        ("next attempt", moment(at, now) if at else ""),
        ("attempts", count(one.attempts)),
        ("peer", safe(one.calling_ae_title)),
        ("receiver", safe(one.receiver)),
        ("asked", moment(one.asked_at, now)),
        ("objects", f"{count(one.objects)}, {count(one.failed)} not committed"),
        ("transaction", safe(one.transaction_uid)),
        ("its objects", f"dicomdock commitments show {one.id}"),
    ]
    return [(name, value) for name, value in facts if value]


def commitments_title(found: Sequence[CommitmentStatus]) -> str:
    """Return how many there are, and how many are given up."""
    given_up = sum(one.state is CommitmentState.GIVEN_UP for one in found)
    lost = f"   {given_up:,} given up" if given_up else ""
    return f"{counted(len(found), 'report')} not delivered{lost}"
