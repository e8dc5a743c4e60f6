"""The table of receivers: configuration and live state, one row per receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import ReceiverState
from tui.text import age, count, megabytes, safe, size
from tui.theme import RECEIVER_FLAGS, RECEIVER_STYLES, Tone
from tui.widgets.filter import NO_FILTER, folded
from tui.widgets.table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from datetime import datetime

    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.model.receiver import Receiver
    from tui.widgets.filter import RowFilter

FIELDS = ("receiver", "state", "port", "identifier", "to")
"""What a filter can ask for by name."""


class ReceiversTable(LiveTable):
    """All receivers, in the order of the configuration unless sorted."""

    NOUN = "receiver"
    UNSORTED = "as configured"
    HELP_TITLE = "Receivers"
    HELP = (
        "A receiver is a DICOM storage SCP: an AE title and a port that modalities send to. "
        "The row under the cursor is the selected receiver; its keys work from every panel. "
        "Rates are means over the last five seconds; Today counts stored objects since midnight."
    )
    COLUMNS = (
        Column("state", "State", 9),
        Column("ae_title", "AE title", 16, flexible=True, max_width=18),
        Column("port", "Port", 5, right=True),
        Column("identifier", "Identifier", 16, at_least=100, flexible=True, max_width=30),
        Column("to_short", "To", 6, at_least=70, at_most=99),
        Column("to", "To", 10, at_least=100),
        Column("flags", "Flags", 5, at_least=70),
        Column("associations", "Assoc", 5, right=True),
        Column("objects_rate", "Obj/s", 6, right=True, at_least=100),
        Column("bytes_rate", "MB/s", 6, right=True),
        Column("today", "Today", 8, right=True, at_least=64),
        Column("size_today", "Size today", 10, right=True, at_least=140),
        Column("failed_today", "Failed today", 12, right=True, at_least=140),
        Column("last", "Last obj", 8, right=True),
        Column("since", "State since", 11, right=True, at_least=160),
        Column("address", "Listens on", 16, at_least=160, flexible=True),
    )


def receiver_rows(snapshot: EngineSnapshot, wanted: RowFilter = NO_FILTER) -> list[TableRow]:
    """Return the rows of all receivers that match the filter."""
    now = snapshot.taken_at
    statuses = snapshot.receivers
    return [_row(s, now) for s in statuses if not wanted or wanted.matches(receiver_fields(s))]


def receiver_fields(status: ReceiverStatus) -> dict[str, str]:
    """Return what a filter looks at."""
    receiver = status.receiver
    return folded(
        receiver=receiver.label,
        state=RECEIVER_STYLES[status.state].word,
        port=receiver.port,
        identifier=receiver.identifier,
        to=_destination(receiver),
    )


def _row(status: ReceiverStatus, now: datetime) -> TableRow:
    receiver = status.receiver
    look = RECEIVER_STYLES[status.state]
    cells = {
        "state": Cell(str(look), look.tone),
        "ae_title": Cell(safe(receiver.ae_title), Tone.STRONG),
        "port": Cell(str(receiver.port), order=receiver.port),
        "identifier": Cell(safe(receiver.identifier)),
        "to_short": Cell("arc" if receiver.direct_archive else "prearc"),
        "to": Cell(_destination(receiver)),
        "flags": Cell(flags(receiver)),
        "today": _number(count(status.objects_today), status.objects_today),
        "size_today": _number(size(status.bytes_today), status.bytes_today),
        "failed_today": _number(count(status.failed_today), status.failed_today),
        "last": _last(status, now),
        "since": Cell(age(status.since, now), order=status.since.timestamp()),
        "address": Cell(safe(status.address) or "–"),
    }
    return TableRow(str(receiver.id), cells | _live_cells(status))


def _live_cells(status: ReceiverStatus) -> dict[str, Cell]:
    if status.state not in (ReceiverState.LISTENING, ReceiverState.DRAINING):
        nothing = Cell("–", Tone.MUTED, -1)
        return dict.fromkeys(("associations", "objects_rate", "bytes_rate"), nothing)
    rate = status.throughput
    return {
        "associations": _number(count(status.open_associations), status.open_associations),
        "objects_rate": _number(f"{rate.objects_rate:,.0f}", rate.objects_rate),
        "bytes_rate": _number(megabytes(rate.bytes_rate), rate.bytes_rate),
    }


def _number(text: str, value: float) -> Cell:
    return Cell(text, Tone.PLAIN if value else Tone.MUTED, value)


def _last(status: ReceiverStatus, now: datetime) -> Cell:
    at = status.last_object_at
    tone = Tone.PLAIN if at is not None else Tone.MUTED
    return Cell(age(at, now), tone, at.timestamp() if at is not None else 0)


def _destination(receiver: Receiver) -> str:
    return "archive" if receiver.direct_archive else "prearchive"


def flags(receiver: Receiver) -> str:
    """Return one letter for each switch that is on, a dot for the others."""
    return "".join(letter if getattr(receiver, name) else "·" for letter, name, _ in RECEIVER_FLAGS)
