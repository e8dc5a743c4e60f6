"""Senders as values (recorded and current, filtered, sorted, described), and their table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

from engine.api import AssociationEnd, AssociationStatus
from engine.api.senders import Sender, SenderState
from tui.associations.allow import advice
from tui.senders.chart import strip
from tui.text import age, count, counted, host_of, moment, safe, size
from tui.theme import StateStyle, Tone
from tui.widgets.filter import folded
from tui.widgets.marks import MarkableTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api import EngineSnapshot
    from engine.api.senders import SenderDetail
    from engine.api.status import AcceptedContext
    from tui.widgets.filter import RowFilter
    from tui.widgets.panel import Fact


Who = tuple[str, str]
"""Calling AE title and address of a sender."""
FIELDS = ("state", "caller", "address", "receiver", "implementation", "why")
"""Fields of a filter."""
UNTIL_ENDED = "counted when its association ends"
SENDER_STYLES = {
    SenderState.SENDING: StateStyle("●", "sending", Tone.OK),
    SenderState.QUIET: StateStyle("○", "quiet", Tone.MUTED),
    SenderState.NEVER_SENT: StateStyle("·", "never", Tone.MUTED),
    SenderState.ONLY_REJECTED: StateStyle("✗", "rejected", Tone.ERROR),
}


def who(sender: Sender) -> Who:
    """Return what identifies a sender."""
    return sender.calling_ae_title, sender.address


def caller_of(association: AssociationStatus) -> Who:
    """Return which sender an association is of."""
    return association.calling_ae_title, host_of(association.address)


def calling_now(snapshot: EngineSnapshot) -> dict[Who, int]:
    """Return how many associations each sender has open."""
    calling: dict[Who, int] = {}
    for association in snapshot.associations:
        caller = caller_of(association)
        calling[caller] = calling.get(caller, 0) + 1
    return calling


def with_live(senders: Sequence[Sender], snapshot: EngineSnapshot) -> tuple[Sender, ...]:
    """Return senders as they are now, after those that call for the first time."""
    calling = calling_now(snapshot)
    known = {who(sender) for sender in senders}
    new = {caller_of(a): a for a in snapshot.associations if caller_of(a) not in known}
    first = [replace(_unknown_sender(a), open_associations=calling[w]) for w, a in new.items()]
    return (*first, *(_as_now(sender, calling.get(who(sender), 0)) for sender in senders))


def _as_now(sender: Sender, calling: int) -> Sender:
    if sender.open_associations == calling:
        return sender
    return replace(sender, open_associations=calling)


def _unknown_sender(association: AssociationStatus) -> Sender:
    """Senders are counted when an association ends; until then this is all that is known."""
    return Sender(
        *caller_of(association),
        first_seen=association.since,
        last_seen=association.since,
        receiver=association.receiver,
        implementation=association.implementation,
        contexts_proposed=association.contexts_proposed,
        contexts_refused=len(association.contexts_refused),
        refused_contexts=tuple(f"{c.sop_class}, {c.reason}" for c in association.contexts_refused),
    )


def sender_fields(sender: Sender) -> dict[str, str]:
    """Return the values that a filter searches, by field."""
    return folded(
        state=f"{SENDER_STYLES[sender.state].word} {sender.state}",
        caller=sender.calling_ae_title,
        address=sender.address,
        receiver=sender.receiver,
        implementation=sender.implementation,
        why=f"{sender.last_rejection} {sender.last_error}",
    )


def wanted_senders(senders: Iterable[Sender], wanted: RowFilter) -> list[Sender]:
    """Return the senders that a filter lets through."""
    if not wanted:
        return list(senders)
    return [sender for sender in senders if wanted.matches(sender_fields(sender))]


def in_order(senders: Sequence[Sender], column: str | None, *, descending: bool) -> list[Sender]:
    """Return senders sorted by a column of their table; None leaves them as they come."""
    if column is None:
        return list(senders)
    return sorted(senders, key=lambda sender: sort_value(sender, column), reverse=descending)


def sort_value(sender: Sender, column: str) -> tuple[float, str]:
    """Return what a sender is sorted by in a column: a number, else a text."""
    numbers = {
        "last": sender.last_seen.timestamp(),
        "first": sender.first_seen.timestamp(),
        "objects": sender.objects,
        "size": sender.bytes,
        "associations": sender.associations,
        "rejected": sender.rejected,
        "failed": sender.failed,
        "day": sum(sender.day),
        "few": sum(sender.day),
    }
    texts = {
        "state": SENDER_STYLES[sender.state].word,
        "address": sender.address,
        "implementation": sender.implementation,
    }
    text = texts.get(column, sender.calling_ae_title)
    return (numbers[column], "") if column in numbers else (0.0, text.casefold())


def rejected_association(sender: Sender, snapshot: EngineSnapshot) -> AssociationStatus | None:
    """Return the rejection that a sender's last call ended in; None if it was let in.

    The engine forgets it when it stops; then it is made of what is kept of the sender.
    """
    at = sender.last_rejection_at
    if not sender.last_rejection or at is None:
        return None
    if sender.open_associations or (sender.associations and at < sender.last_seen):
        return None
    for association in snapshot.ended_associations:
        rejected = association.end is AssociationEnd.REJECTED
        if rejected and caller_of(association) == who(sender):
            return association
    return _as_stored(sender, at)


def _as_stored(sender: Sender, at: datetime) -> AssociationStatus:
    host = f"[{sender.address}]" if ":" in sender.address else sender.address
    return AssociationStatus(
        id="",
        receiver=sender.receiver,
        calling_ae_title=sender.calling_ae_title,
        called_ae_title=sender.receiver.rpartition(":")[0],
        address=f"{host}:0",
        since=sender.first_seen,
        ended_at=at,
        end=AssociationEnd.REJECTED,
        why=sender.last_rejection,
        repeats=max(1, sender.rejected),
    )


def newest_association(sender: Sender, snapshot: EngineSnapshot) -> AssociationStatus | None:
    """Return an open association of a sender, else the last one that was let in."""
    both = (*snapshot.associations, *snapshot.ended_associations)
    return next(
        (a for a in both if a.end is not AssociationEnd.REJECTED and caller_of(a) == who(sender)),
        None,
    )


def sender_facts(
    sender: Sender,
    snapshot: EngineSnapshot,
    detail: SenderDetail | None = None,
    accepted: Sequence[AcceptedContext] = (),
) -> list[Fact]:
    """Return what is known about a sender, what went wrong first; safe text."""
    now = snapshot.taken_at
    facts = [
        ("state", _state(sender)),
        *_rejection(sender, snapshot),
        ("last error", _at(sender.last_error, sender.last_error_at, snapshot)),
        ("receivers", ", ".join(map(safe, receivers_called(sender, snapshot, detail)))),
        ("objects", _objects(sender)),
        ("associations", _associations(sender)),
        ("first seen", moment(sender.first_seen, now)),
        ("last seen", moment(sender.last_seen, now)),
        ("implementation", safe(sender.implementation)),
        ("its class UID", safe(sender.implementation_class_uid)),
        *_contexts(sender, accepted),
    ]
    return [(name, value) for name, value in facts if value]


def _state(sender: Sender) -> str:
    open_now = sender.open_associations
    words = f": {counted(open_now, 'open association')}" if open_now else ""
    return f"{SENDER_STYLES[sender.state].glyph} {sender.state}{words}"


def _rejection(sender: Sender, snapshot: EngineSnapshot) -> list[Fact]:
    association = rejected_association(sender, snapshot)
    return [
        ("last rejection", _at(sender.last_rejection, sender.last_rejection_at, snapshot)),
        ("what to do", advice(association, snapshot) if association else ""),
    ]


def _at(what: str, at: datetime | None, snapshot: EngineSnapshot) -> str:
    if not what or at is None:
        return safe(what)
    return f"{moment(at, snapshot.taken_at)}  {safe(what)}"


def receivers_called(
    sender: Sender, snapshot: EngineSnapshot, detail: SenderDetail | None
) -> tuple[str, ...]:
    """Return the receivers that a sender is known to have called, the last one first."""
    both = (*snapshot.associations, *snapshot.ended_associations)
    lately = (a.receiver for a in both if caller_of(a) == who(sender))
    kept = detail.receivers if detail is not None else ()
    return tuple(filter(None, dict.fromkeys((sender.receiver, *lately, *kept))))


def _objects(sender: Sender) -> str:
    if not sender.associations and sender.open_associations:
        return UNTIL_ENDED
    failed = f", {count(sender.failed)} refused" if sender.failed else ""
    return f"{count(sender.objects)} in {size(sender.bytes)}{failed}"


def _associations(sender: Sender) -> str:
    aborted = f", {count(sender.aborted)} aborted" if sender.aborted else ""
    rejected = f", {count(sender.rejected)} rejected" if sender.rejected else ""
    return f"{count(sender.associations)} ended{aborted}{rejected}"


def _contexts(sender: Sender, accepted: Sequence[AcceptedContext]) -> list[Fact]:
    if not sender.contexts_proposed:
        return []
    taken = sender.contexts_proposed - sender.contexts_refused
    more = sender.contexts_refused - len(sender.refused_contexts)
    return [
        ("contexts", f"{taken} of {sender.contexts_proposed} accepted in its last association"),
        *(("✗ refused", safe(words)) for words in sender.refused_contexts),
        ("✗ refused", f"… and {count(more)} more" if more > 0 else ""),
        *(("✓ accepted", f"{safe(c.sop_class)}, {safe(c.transfer_syntax)}") for c in accepted),
    ]


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
        "scale. {association.allow} lets a rejected caller in or says what helps; "
        "{sender.associations}, {sender.sessions} and {sender.log} show its associations, sessions "
        "and events; {association.abort} aborts what it has open."
    )
    COLUMNS = (
        Column("state", "State", 10),
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
    look = SENDER_STYLES[sender.state]
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
