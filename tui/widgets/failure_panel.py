"""The error panel: why the selected receiver does not listen, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from tui.text import cut, fit, moment, safe
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from datetime import datetime

    from engine.view import ListenFailure, PortHolder, ReceiverStatus

LABEL_WIDTH = 12
CONSOLATION = "The other receivers are not affected."
KEY_HINTS = (
    ("r", "retry now"),
    ("e", "edit the receiver"),
    ("s", "stop it"),
    ("y", "copy this report"),
)


class FailurePanel(Static):
    """Stands under the receivers table while a failed receiver is selected."""

    DEFAULT_CLASSES = "panel"

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._palette = palette_of(DARK)
        self._shown: object = None
        self._status: ReceiverStatus | None = None
        self._now: datetime | None = None

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self._shown = None

    def show(self, status: ReceiverStatus, now: datetime) -> None:
        """Show why this receiver failed."""
        self._status = status
        self._now = now
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        status, now = self._status, self._now
        if status is None or now is None or status.failure is None:
            return
        width = self.scrollable_content_region.width
        shown = (status.receiver.label, status.failure, now.date(), width)
        if shown == self._shown:
            return
        self._shown = shown
        name = safe(status.receiver.ae_title)
        self.border_title = Content(f"✗ {name} cannot listen on port {status.receiver.port}")
        self.border_subtitle = Content(attempts(status.failure, now))
        self.update(self._report(status.failure, now, width))

    def _report(self, failure: ListenFailure, now: datetime, width: int) -> Text:
        text = Text(end="")
        text.append(sentence_case(safe(failure.reason)), "bold").append(".\n\n")
        for name, value in failure_facts(failure, now):
            text.append(fit(name, LABEL_WIDTH), self._palette.style(Tone.MUTED))
            text.append(cut(value, max(10, width - LABEL_WIDTH)) + "\n")
        text.append("\n").append(CONSOLATION, self._palette.style(Tone.MUTED)).append("\n\n")
        for i, (key, label) in enumerate(KEY_HINTS):
            text.append("    " if i else "")
            text.append(key, self._palette.style(Tone.KEY)).append(f" {label}")
        return text


def failure_facts(failure: ListenFailure, now: datetime) -> list[tuple[str, str]]:
    """Return name and value of what is known about the failure."""
    facts = [("what to do", sentence_case(safe(failure.remedy)))]
    if failure.holder is not None:
        facts.append(("held by", holder_words(failure.holder, now)))
    return facts


def attempts(failure: ListenFailure, now: datetime) -> str:
    """Say how often and since when."""
    times = "once" if failure.attempts == 1 else f"{failure.attempts} times"
    return f"failed {times} since {moment(failure.since, now)}"


def holder_words(holder: PortHolder, now: datetime) -> str:
    """Say which process holds the port, as far as it may be known."""
    if holder.pid is None:
        return f"{safe(holder.program)} (this user may not see which)"
    user = f", user {safe(holder.user)}" if holder.user else ""
    since = f", since {moment(holder.since, now)}" if holder.since else ""
    return f"pid {holder.pid} {safe(holder.program)}{user}{since}"


def failure_report(status: ReceiverStatus, now: datetime) -> str:
    """Return the panel's content as text for a ticket."""
    failure = status.failure
    if failure is None:
        return ""
    title = f"{safe(status.receiver.ae_title)} cannot listen on port {status.receiver.port}"
    facts = "\n".join(
        f"{fit(name, LABEL_WIDTH)}{value}" for name, value in failure_facts(failure, now)
    )
    return f"{title}, {attempts(failure, now)}\n{sentence_case(safe(failure.reason))}.\n{facts}"


def sentence_case(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
