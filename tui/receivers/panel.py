"""The panel of the selected receiver: settings, traffic of today, and listening state."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from engine.api import ReceiverState
from tui.receivers.failure import failure_report
from tui.shell.details import Details
from tui.text import count, counted, cut, fit, moment, safe, size
from tui.theme import DARK, RECEIVER_STYLES, Palette, Tone, palette_of

if TYPE_CHECKING:
    from datetime import datetime

    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.model.receiver import Receiver

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
        ("anonymization", _switch(receiver.anonymization)),
        ("whitelist", whitelist_words(receiver)),
        ("routing", "its own rules" if receiver.routing_enabled else "the identifier decides"),
        ("processing", _switch(receiver.custom_processing)),
        ("today", f"{count(status.objects_today)} objects, {size(status.bytes_today)}"),
        ("failed today", failed),
        ("open now", counted(status.open_associations, "association")),
        ("state", state_words(status, snapshot)),
    )


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
            return words + certificate_words(status, now)
        case ReceiverState.DISABLED:
            return f"stopped since {since}; s starts it"
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


def receiver_title(status: ReceiverStatus) -> str:
    """Return glyph, AE title and port."""
    look = RECEIVER_STYLES[status.state]
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
    return Details(receiver_title(status), report or text, record)
