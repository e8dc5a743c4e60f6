"""Senders as a console sees them: live associations added, filtered, sorted, and told in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.view import AssociationEnd, AssociationStatus
from engine.view.senders import Sender, SenderState
from tui.forms.allow_form import advice
from tui.forms.row_filter import folded
from tui.text import count, counted, host_of, moment, safe, size
from tui.theme import Look, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.view import EngineSnapshot
    from engine.view.associations import AcceptedContext
    from engine.view.senders import SenderDetail
    from tui.forms.row_filter import RowFilter
    from tui.widgets.facts import Fact

Who = tuple[str, str]
"""Calling AE title and address of a sender."""
FIELDS = ("state", "caller", "address", "receiver", "implementation", "why")
"""What a filter can ask for by name."""
UNTIL_ENDED = "counted when its association ends"
SENDER_LOOKS = {
    SenderState.SENDING: Look("●", "sending", Tone.OK),
    SenderState.QUIET: Look("○", "quiet", Tone.MUTED),
    SenderState.NEVER_SENT: Look("·", "never", Tone.MUTED),
    SenderState.ONLY_REJECTED: Look("✗", "reject", Tone.ERROR),
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
    first = [replace(_newcomer(a), open_associations=calling[w]) for w, a in new.items()]
    return (*first, *(_as_now(sender, calling.get(who(sender), 0)) for sender in senders))


def _as_now(sender: Sender, calling: int) -> Sender:
    if sender.open_associations == calling:
        return sender
    return replace(sender, open_associations=calling)


def _newcomer(association: AssociationStatus) -> Sender:
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
    """Return what a filter looks at."""
    return folded(
        state=f"{SENDER_LOOKS[sender.state].word} {sender.state}",
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
        "state": SENDER_LOOKS[sender.state].word,
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
    return _as_kept(sender, at)


def _as_kept(sender: Sender, at: datetime) -> AssociationStatus:
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
    return f"{SENDER_LOOKS[sender.state].glyph} {sender.state}{words}"


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
