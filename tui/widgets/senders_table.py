"""The senders table: a row for each calling AE title at an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from tui.forms.senders import SENDER_LOOKS, sort_value, who
from tui.forms.volume_chart import strip
from tui.text import age, count, safe, size
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, TableRow
from tui.widgets.markable_table import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.view.senders import Sender

HOURS, FEW_HOURS = 24, 8
"""Cells of a day's strip, wide and narrow."""
WIDE = 100


class SendersTable(MarkableTable):
    """Who has ever called, and how much came."""

    NOUN = "sender"
    UNSORTED = "last seen first"
    HELP_TITLE = "Senders"
    HELP = (
        "One row for each calling AE title at an address. sending: it has an association open; "
        "quiet: it has sent before; never: it called and never sent an object; reject: it was "
        "never let in. Numbers are since it was first seen, and what an association brings is "
        "counted when it ends, and each hour. The bars are the last 24 hours, each row to its own "
        "scale. w lets a rejected caller in or says what helps; a, s and l show its associations, "
        "sessions and events; x aborts what it has open."
    )
    COLUMNS = (
        Column("state", "State", 9),
        Column("caller", "Calling AE", 16),
        Column("address", "Address", 15, flexible=True, max_width=39),
        Column("last", "Last", 8),
        Column("first", "First", 8, at_least=140),
        Column("objects", "Objects", 8, right=True),
        Column("size", "Size", 8, right=True, at_least=WIDE),
        Column("associations", "Assoc", 6, right=True, at_least=WIDE),
        Column("rejected", "Rej", 5, right=True),
        Column("failed", "Fail", 5, right=True, at_least=WIDE),
        Column("few", "24 h", FEW_HOURS, at_most=WIDE - 1),
        Column("day", "Last 24 hours", HOURS, at_least=WIDE),
        Column("implementation", "Implementation", 16, at_least=150, flexible=True, max_width=20),
    )

    class OrderChanged(Message):
        """Rows are wanted in another order."""

    def sort_by(self, column: str | None) -> None:
        """Sort by a column, among more senders than are shown."""
        super().sort_by(column)
        self.post_message(self.OrderChanged())


def sender_rows(senders: Iterable[Sender], now: datetime) -> list[TableRow]:
    """Return the rows of senders, as they looked at some moment."""
    return [_row(sender, now) for sender in senders]


def row_key(sender: Sender) -> str:
    """Return what identifies a sender's row."""
    return "\n".join(who(sender))


def _row(sender: Sender, now: datetime) -> TableRow:
    look = SENDER_LOOKS[sender.state]
    sent = Tone.PLAIN if sender.objects else Tone.MUTED
    named = Tone.STRONG if sender.open_associations else Tone.PLAIN
    shown = {
        "last": (age(sender.last_seen, now), Tone.PLAIN),
        "first": (age(sender.first_seen, now), Tone.PLAIN),
        "objects": (count(sender.objects), sent),
        "size": (size(sender.bytes), sent),
        "associations": (count(sender.associations), Tone.PLAIN),
        "rejected": _problems(sender.rejected),
        "failed": _problems(sender.failed),
        "few": (strip(sender.day, FEW_HOURS), Tone.KEY),
        "day": (strip(sender.day, HOURS), Tone.KEY),
    }
    cells = {name: Cell(*words, sort_value(sender, name)[0]) for name, words in shown.items()}
    cells |= {
        "state": Cell(str(look), look.tone),
        "caller": Cell(safe(sender.calling_ae_title), named),
        "address": Cell(safe(sender.address)),
        "implementation": Cell(safe(sender.implementation) or "–"),
    }
    return TableRow(row_key(sender), cells)


def _problems(times: int) -> tuple[str, Tone]:
    return (count(times), Tone.ERROR) if times else ("–", Tone.MUTED)
