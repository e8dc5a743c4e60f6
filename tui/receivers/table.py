"""The table of receivers: configuration and live state, one row per receiver."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from engine.api import ReceiverState
from engine.model.anonymization import AsReceived, stored_as_received
from tui.keys import pressed
from tui.receivers.failure import failure_report
from tui.shell.details import Details
from tui.text import age, count, counted, cut, fit, megabytes, moment, safe, size
from tui.theme import (
    AS_RECEIVED,
    DARK,
    RECEIVER_FLAGS,
    Palette,
    Tone,
    palette_of,
    receiver_style,
)
from tui.widgets.filter import NO_FILTER, folded
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from datetime import date, datetime

    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.model.receiver import Receiver
    from tui.widgets.filter import RowFilter


FIELDS = ("receiver", "state", "port", "identifier", "to")
"""Fields of a filter."""


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


class ReceiverRows:
    """Rows of receivers; one is made anew only if its status or what concerns all has changed."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[ReceiverStatus, tuple[date, bool, bool], TableRow]] = {}
        """By receiver."""

    def of(self, snapshot: EngineSnapshot, wanted: RowFilter = NO_FILTER) -> list[TableRow]:
        """Return the rows of all receivers that match the filter."""
        # Times of another day are shown as days.
        rejecting = bool(snapshot.storage.refusal)
        same = snapshot.taken_at.astimezone().date(), snapshot.has_anonymization, rejecting
        before, self._made = self._made, {}
        for status in snapshot.receivers:
            number = status.receiver.id
            known = before.get(number)
            # An engine gives the same object for as long as nothing of it changes: with 500
            # receivers their rows were two thirds of what an idle console did (2026).
            if known is None or known[0] is not status or known[1] != same:
                known = (status, same, _row(status, snapshot))
            self._made[number] = known
        made = self._made.values()
        if not wanted:
            return [row for _, _, row in made]
        fields = partial(receiver_fields, rejecting=rejecting)
        return [row for status, _, row in made if wanted.matches(fields(status))]


def receiver_fields(status: ReceiverStatus, *, rejecting: bool = False) -> dict[str, str]:
    """Return the values that a filter searches, by field."""
    receiver = status.receiver
    return folded(
        receiver=receiver.label,
        state=receiver_style(status.state, rejecting=rejecting).word,
        port=receiver.port,
        identifier=receiver.identifier,
        to=_destination(receiver),
    )


def _row(status: ReceiverStatus, snapshot: EngineSnapshot) -> TableRow:
    receiver, now = status.receiver, snapshot.taken_at
    in_force = snapshot.has_anonymization
    as_received = stored_as_received(wanted=receiver.anonymization, in_force=in_force)
    look = receiver_style(status.state, rejecting=bool(snapshot.storage.refusal))
    cells = {
        "state": Cell(str(look), look.tone),
        "ae_title": Cell(safe(receiver.ae_title), Tone.STRONG),
        "port": Cell(str(receiver.port), order=receiver.port),
        "identifier": Cell(safe(receiver.identifier)),
        "to_short": Cell("arc" if receiver.direct_archive else "prearc"),
        "to": Cell(_destination(receiver)),
        "flags": Cell(flags(receiver, as_received), Tone.WARNING if as_received else Tone.PLAIN),
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


def flags(receiver: Receiver, as_received: AsReceived | None) -> str:
    """Return one letter for each switch that is on, a dot for the others.

    ``!`` stands in place of the A where objects are not anonymized, though its switch may be on.
    """
    on = [letter if getattr(receiver, name) else "·" for letter, name, _ in RECEIVER_FLAGS]
    return "".join(on) if as_received is None else "".join((AS_RECEIVED, *on[1:]))


LABEL_WIDTH = 14
Fact = tuple[str, str]


class ReceiverFacts(Widget):
    """Draws the facts of one receiver in as many columns as there is room for."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._facts: tuple[Fact, ...] = ()
        self._palette = palette_of(DARK)

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, status: ReceiverStatus | None, snapshot: EngineSnapshot) -> None:
        """Show a receiver, or that none is selected."""
        facts = receiver_facts(status, snapshot) if status is not None else ()
        if facts != self._facts:
            self._facts = facts
            self.refresh()

    def render(self) -> Text:
        """Return the facts, row by row."""
        width = self.size.width
        columns = 3 if width >= 110 else 2
        each = width // columns
        text = Text(end="", no_wrap=True)
        if not self._facts:
            return text.append("no receiver is selected", self._palette.style(Tone.MUTED))
        for i, (name, value) in enumerate(self._facts[:-1]):
            text.append(fit(name, LABEL_WIDTH), self._palette.style(Tone.MUTED))
            text.append(fit(value, each - LABEL_WIDTH - 1) + " ")
            if i % columns == columns - 1:
                text.append("\n")
        name, value = self._facts[-1]
        if len(self._facts[:-1]) % columns:
            text.append("\n")
        text.append(fit(name, LABEL_WIDTH), self._palette.style(Tone.MUTED))
        return text.append(cut(value, width - LABEL_WIDTH))


def receiver_facts(status: ReceiverStatus, snapshot: EngineSnapshot) -> tuple[Fact, ...]:
    """Return name and value of everything worth knowing; the last one may be long."""
    receiver = status.receiver
    failed = counted(status.failed_today, "object")
    return (
        ("identifier", safe(receiver.identifier)),
        ("destination", "archive" if receiver.direct_archive else "prearchive"),
        ("anonymization", _anonymization_words(receiver, snapshot)),
        ("whitelist", whitelist_words(receiver)),
        ("routing", "its own rules" if receiver.routing_enabled else "the identifier decides"),
        ("processing", _switch(receiver.custom_processing)),
        ("today", f"{count(status.objects_today)} objects, {size(status.bytes_today)}"),
        ("failed today", failed),
        ("open now", counted(status.open_associations, "association")),
        ("state", state_words(status, snapshot)),
    )


def _anonymization_words(receiver: Receiver, snapshot: EngineSnapshot) -> str:
    in_force = snapshot.has_anonymization
    match stored_as_received(wanted=receiver.anonymization, in_force=in_force):
        case None:
            return "on"
        case AsReceived.SWITCHED_OFF:
            return "off: stored as received"
        case AsReceived.NO_SCRIPT:
            return "on, no script: stored as received"


def _switch(on: bool) -> str:
    return "on" if on else "off"


def whitelist_words(receiver: Receiver) -> str:
    """Say who may send."""
    if not receiver.whitelist_enabled:
        return "off, accepts everybody"
    return f"on, {len(receiver.whitelist)} " + ("line" if len(receiver.whitelist) == 1 else "lines")


def state_words(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Say in one sentence what the receiver does and since when."""
    now = snapshot.taken_at
    since = moment(status.since, now)
    match status.state:
        case ReceiverState.LISTENING:
            where = f"{safe(status.address)}{' with TLS' if status.certificate else ''}"
            words = f"listening on {where} since {since}{_shared(status, snapshot)}"
            if snapshot.storage.refusal:
                return f"rejects every caller: {safe(snapshot.storage.refusal)}; {words}"
            return words + certificate_words(status, now)
        case ReceiverState.DISABLED:
            return f"stopped since {since}; {pressed('receiver.start')} starts it"
        case ReceiverState.DRAINING:
            open_now = counted(status.open_associations, "open association")
            return f"takes no new associations since {since}; {open_now} may finish"
        case ReceiverState.NOT_ALLOWED:
            return f"enabled, but the site allows no receivers since {since}"
        case ReceiverState.FAILED:
            return _failure_words(status, now)


def certificate_words(status: ReceiverStatus, now: datetime) -> str:
    """Say what has to be done about the certificate, if anything."""
    certificate, problem = status.certificate, status.certificate_problem
    if problem:
        return f"; the changed TLS files are not in force: {safe(problem)}"
    if certificate is None or not certificate.expires_soon(now):
        return ""
    if certificate.is_expired(now):
        return f"; its certificate expired {moment(certificate.not_after, now)}"
    return f"; its certificate expires in {counted(certificate.days_left(now), 'day')}"


def _failure_words(status: ReceiverStatus, now: datetime) -> str:
    if status.failure is None:
        return f"failed since {moment(status.since, now)}"
    failure = status.failure
    return f"failed since {moment(failure.since, now)}: {safe(failure.reason)}"


def _shared(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    others = [
        safe(other.receiver.ae_title)
        for other in snapshot.receivers
        if other.address == status.address and other.receiver.id != status.receiver.id
    ]
    return f", shared with {', '.join(others)}" if others else ""


def receiver_title(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return glyph, AE title and port."""
    look = receiver_style(status.state, rejecting=bool(snapshot.storage.refusal))
    return f"{look.glyph} {safe(status.receiver.ae_title)} · {status.receiver.port}"


def receiver_report(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return all facts as lines of text."""
    lines = [f"{fit(name, LABEL_WIDTH)}{value}" for name, value in receiver_facts(status, snapshot)]
    return "\n".join(lines)


def receiver_details(status: ReceiverStatus, snapshot: EngineSnapshot) -> Details:
    """Return what is known about a receiver."""
    report = failure_report(status, snapshot)
    text = receiver_report(status, snapshot)
    record = {
        "receiver": status.receiver.to_record(),
        "state": status.state,
        "since": status.since.isoformat(),
        "address": status.address,
        "failure": asdict(status.failure) if status.failure else None,
        "open_associations": status.open_associations,
        "objects_today": status.objects_today,
        "bytes_today": status.bytes_today,
        "failed_today": status.failed_today,
    }
    return Details(receiver_title(status, snapshot), report or text, record)
