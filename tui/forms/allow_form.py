"""Letting a rejected caller in: which line may do it, and what the whitelist would be then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.model.whitelist import match, normalize_address, parse_entry
from engine.model.whitelist_review import also_admits, proposals, review
from engine.view import AssociationEnd, ReceiverState
from tui.text import counted, host_of, safe

if TYPE_CHECKING:
    from engine.model.receiver import Receiver
    from engine.model.whitelist import Address
    from engine.view import AssociationStatus, EngineSnapshot, ReceiverStatus

_LIMIT_ADVICE = (
    "wait until an association ends, or raise the limit: e edits the receiver, whose own limits "
    "are under Advanced"
)
_ADVICE_BY_ENDING = (
    ("no more are allowed", _LIMIT_ADVICE),
    ("the engine is stopping", "the caller may try again once the engine runs again"),
    ("is not DICOM's", "the caller is no DICOM application, or speaks another version"),
)
"""How reasons that have nothing to do with a receiver's settings end, and what helps then."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whitelist line that would let the caller in."""

    line: str
    also_admits: str
    """Whom else it lets in, in words."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One line of the whitelist as it would be."""

    number: int
    text: str
    is_new: bool
    meaning: str
    notes: tuple[str, ...]
    """What is odd about it."""


class AllowForm:
    """A rejected caller and the receiver it called, until a line is chosen."""

    def __init__(self, association: AssociationStatus, receiver: Receiver, address: Address):
        self.association = association
        self.receiver = receiver
        """The receiver as it is replaced on saving."""
        self._address = address
        title = association.calling_ae_title
        self.proposals = tuple(
            Proposal(entry.text, also_admits(entry)) for entry in proposals(title, address)
        )

    def why(self) -> str:
        """Say why the caller is refused by the whitelist as it is."""
        return self._verdict_of(self.receiver)

    def rebase(self, receiver: Receiver) -> None:
        """Go on with the receiver as somebody else has changed it meanwhile."""
        self.receiver = receiver

    def is_needed(self) -> bool:
        """Tell whether the caller is still refused."""
        return self.receiver.whitelist_enabled and bool(self._verdict_of(self.receiver))

    def preview(self, proposal: Proposal) -> tuple[PreviewLine, ...]:
        """Return the whitelist with the new line at its end."""
        lines = self.to_receiver(proposal).whitelist
        findings = review(lines)
        return tuple(
            PreviewLine(
                number,
                line,
                number == len(lines),
                parse_entry(line).meaning(),
                tuple(f.message for f in findings if f.line == number),
            )
            for number, line in enumerate(lines, start=1)
        )

    def to_receiver(self, proposal: Proposal) -> Receiver:
        """Return the receiver with the new line."""
        return replace(self.receiver, whitelist=(*self.receiver.whitelist, proposal.line))

    def _verdict_of(self, receiver: Receiver) -> str:
        entries, title = receiver.whitelist_entries, self.association.calling_ae_title
        return match(entries, title, self._address).why


def allow_form(association: AssociationStatus, snapshot: EngineSnapshot) -> AllowForm | None:
    """Return the form if a whitelist line would help the caller, else None."""
    status = _called(association, snapshot)
    if status is None or status.state is ReceiverState.NOT_ALLOWED:
        return None
    address = _address(association)
    if address is None or not line_helps(association, status.receiver):
        return None
    return AllowForm(association, status.receiver, address)


@lru_cache(maxsize=64)
def line_helps(association: AssociationStatus, receiver: Receiver) -> bool:
    """Tell whether it is this receiver's whitelist that keeps a rejected caller out."""
    address = _address(association)
    if association.end is not AssociationEnd.REJECTED or address is None:
        return False
    if not receiver.enabled or any(association.why.endswith(e) for e, _ in _ADVICE_BY_ENDING):
        return False
    form = AllowForm(association, receiver, address)
    return form.is_needed() and bool(form.proposals)


def advice(association: AssociationStatus, snapshot: EngineSnapshot) -> str:
    """Say what helps a rejected caller."""
    if allow_form(association, snapshot) is not None:
        return "w on its row offers whitelist lines that let it in"
    status = _called(association, snapshot)
    if status is None:
        return _unknown_receiver(association, snapshot)
    name = safe(status.receiver.label)
    if not status.receiver.enabled:
        return f"{name} is stopped; s on its row starts it"
    if status.state is ReceiverState.NOT_ALLOWED:
        return "DICOM receivers are not allowed on this site now; B allows them again"
    for ending, helps in _ADVICE_BY_ENDING:
        if association.why.endswith(ending):
            return helps
    if not status.receiver.whitelist_enabled:
        return f"the whitelist of {name} is off now: every caller is accepted, it may try again"
    return f"{name} would let it in now; it may try again"


def sent_as(calling_ae_title: str) -> str:
    """Return an AE title in quotes with its length and bytes, unless it is plainly readable."""
    if calling_ae_title.isascii() and calling_ae_title.isalnum():
        return ""
    sent = calling_ae_title.encode("utf-8", "surrogatepass")
    length = counted(len(calling_ae_title), "character")
    return f'"{safe(calling_ae_title)}"  {length}: {sent.hex(" ").upper()}'


def _called(association: AssociationStatus, snapshot: EngineSnapshot) -> ReceiverStatus | None:
    labels = (s for s in snapshot.receivers if s.receiver.label == association.receiver)
    return next(labels, None)


def _address(association: AssociationStatus) -> Address | None:
    try:
        return normalize_address(host_of(association.address))
    except ValueError:
        return None


def _unknown_receiver(association: AssociationStatus, snapshot: EngineSnapshot) -> str:
    port = association.receiver.rpartition(":")[2]
    known = [s.receiver for s in snapshot.receivers if str(s.receiver.port) == port]
    titles = ", ".join(safe(r.ae_title) for r in known if r.enabled) or "none"
    return (
        f"no receiver {safe(association.receiver)} is configured: n creates one, or the caller "
        f"calls one of those on port {safe(port)}: {titles}"
    )
