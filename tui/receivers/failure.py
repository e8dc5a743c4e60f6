"""The error panel of a receiver that does not listen: cause, remedy, and free ports nearby."""

from __future__ import annotations

from functools import partial
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from engine.api import PortState, ReceiverState
from tui.engine_client import Fetch
from tui.keys import pressed
from tui.text import counted, cut, duration, fit, moment, safe, sentence_case
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from engine.api import EngineSnapshot, EngineView, ListenFailure, PortHolder, ReceiverStatus
    from tui.engine_client import Asker


LABEL_WIDTH = 12
OTHER_LINES = 6
"""Reason, consolation and keys with a blank line between them."""
Fact = tuple[str, str]
CONSOLATION = "The other receivers are not affected."
CONSOLATION_SHARED = "Receivers on other ports are not affected."
KEY_HINTS = (
    ("receiver.retry", "retry now"),
    ("receiver.edit", "edit the receiver"),
    ("receiver.stop", "stop it"),
    ("view.copy", "copy this report"),
)


class FailurePanel(Static):
    """Stands under the receivers table while a failed receiver is selected."""

    DEFAULT_CLASSES = "panel"

    def __init__(self, *, id: str, read_only: bool = False) -> None:
        super().__init__("", id=id, markup=False)
        self._hints = KEY_HINTS[-1:] if read_only else KEY_HINTS
        self._palette = palette_of(DARK)
        self._shown: object = None
        self._status: ReceiverStatus | None = None
        self._snapshot: EngineSnapshot | None = None
        self._free: tuple[int, ...] = ()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self._shown = None

    def show(
        self, status: ReceiverStatus, snapshot: EngineSnapshot, free: tuple[int, ...] = ()
    ) -> None:
        """Show why this receiver failed, which others with it, and which ports are free instead."""
        self._status = status
        self._snapshot = snapshot
        self._free = free
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        status, snapshot = self._status, self._snapshot
        if status is None or snapshot is None or status.failure is None:
            return
        now = snapshot.taken_at
        width, height = self.scrollable_content_region.size
        facts = failure_facts(status, snapshot, self._free)
        sharing = sharing_port(status, snapshot)
        shown = (status.receiver.label, status.failure, now.date(), width, height, *facts)
        if shown == self._shown:
            return
        self._shown = shown
        self.border_title = Content(f"✗ {failure_title(status, sharing)}")
        self.border_subtitle = Content(attempts(status.failure, now))
        is_cramped = self.screen.has_class("-short") and len(facts) + OTHER_LINES > height
        gap = "\n" if is_cramped else "\n\n"
        consolation = CONSOLATION_SHARED if sharing else CONSOLATION
        report = partial(self._report, status.failure, width=width, gap=gap)
        text = report(facts, consolation, self._hints)
        if is_cramped and _rows(text, width) > height:
            # The keys are also in the last line of the screen.
            text = report(facts, "", ())
            while _rows(text, width) > height and len(facts) > 1:
                facts = facts[:-1]
                text = report(facts, "", ())
            text.rstrip()
        self.update(text)

    def _report(
        self,
        failure: ListenFailure,
        facts: Sequence[Fact],
        consolation: str,
        hints: Sequence[tuple[str, str]],
        *,
        width: int,
        gap: str,
    ) -> Text:
        text = Text(end="")
        text.append(sentence_case(safe(failure.reason)), "bold").append(f".{gap}")
        for name, value in facts:
            text.append(fit(name, LABEL_WIDTH), self._palette.style(Tone.MUTED))
            text.append(cut(value, max(10, width - LABEL_WIDTH)) + "\n")
        if consolation:
            text.append(gap[1:]).append(consolation, self._palette.style(Tone.MUTED)).append(gap)
        for i, (key, label) in enumerate(hints):
            text.append("    " if i else "")
            text.append(pressed(key), self._palette.style(Tone.KEY)).append(f" {label}")
        return text


def _rows(text: Text, width: int) -> int:
    return len(Content(text.plain.rstrip()).wrap(max(1, width)))


def failure_facts(
    status: ReceiverStatus, snapshot: EngineSnapshot, free: tuple[int, ...] = ()
) -> list[Fact]:
    """Return name and value of what is known about the failure, and ports that are free."""
    failure, now = status.failure, snapshot.taken_at
    if failure is None:
        return []
    facts = [("what to do", sentence_case(safe(failure.remedy)))]
    if failure.holder is not None:
        facts.append(("held by", holder_words(failure.holder, now)))
    if failure.retry_at is not None:
        facts.append(("retry", retry_words(failure.retry_at, now)))
    if free:
        facts.append(("free ports", "   ".join(map(str, free))))
    sharing = sharing_port(status, snapshot)
    if sharing:
        verb = "shares" if len(sharing) == 1 else "share"
        facts.append(("also failed", f"{', '.join(sharing)}, which {verb} this port"))
    return facts


def failure_title(status: ReceiverStatus, sharing: Sequence[str]) -> str:
    """Say who cannot listen where."""
    more = f" and {counted(len(sharing), 'other')}" if sharing else ""
    return f"{safe(status.receiver.ae_title)}{more} cannot listen on port {status.receiver.port}"


def sharing_port(status: ReceiverStatus, snapshot: EngineSnapshot) -> list[str]:
    """Return the AE titles of the other receivers that fail with the same port."""
    return [
        safe(other.receiver.ae_title)
        for other in snapshot.receivers
        if other.receiver.id != status.receiver.id
        and other.receiver.port == status.receiver.port
        and other.state is ReceiverState.FAILED
    ]


def retry_words(retry_at: datetime, now: datetime) -> str:
    """Say when listening is tried again by itself, in whole seconds."""
    left = ceil((retry_at - now).total_seconds())
    return f"automatic in {duration(left)}" if left > 0 else "automatic, due now"


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


def failure_report(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return the panel's content as text for a ticket."""
    failure = status.failure
    if failure is None:
        return ""
    title = failure_title(status, sharing_port(status, snapshot))
    facts = "\n".join(
        f"{fit(name, LABEL_WIDTH)}{value}" for name, value in failure_facts(status, snapshot)
    )
    since = attempts(failure, snapshot.taken_at)
    return f"{title}, {since}\n{sentence_case(safe(failure.reason))}.\n{facts}"


OFFERED = 3
LOOKED_AT = 20


class FreePorts:
    """Asks the engine about one failed receiver at a time."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[int, ...]] = Fetch("look for free ports", asker, changed)

    def near(self, status: ReceiverStatus, snapshot: EngineSnapshot) -> tuple[int, ...]:
        """Return a few free ports; none if no other program holds the receiver's port."""
        failure = status.failure
        if failure is None or failure.holder is None:
            return ()
        port = status.receiver.port
        taken = frozenset(other.receiver.port for other in snapshot.receivers)
        about = (status.receiver.id, port)
        wish = (*about, failure.attempts)
        self._fetch.want(wish, partial(_free, port, taken), snapshot.taken_at)
        known = self._fetch.wish
        is_known = isinstance(known, tuple) and known[:2] == about
        return (self._fetch.answer or ()) if is_known else ()


def usable_port(port: int, engine: EngineView) -> int:
    """Return the port if a receiver could listen there, else a free one above it, if there is one.

    Runs on a worker thread.
    """
    if engine.port_status(port).state in (PortState.FREE, PortState.OURS):
        return port
    return next(iter(_free(port, frozenset(), engine)), port)


def _free(port: int, taken: frozenset[int], engine: EngineView) -> tuple[int, ...]:
    allowed = engine.site().ports
    found = _probed(range(port + 1, port + 1 + LOOKED_AT), allowed, taken, engine)
    return tuple(islice(found, OFFERED))


def _probed(
    near: range, allowed: range, taken: frozenset[int], engine: EngineView
) -> Iterator[int]:
    for port in near:
        is_candidate = port in allowed and port not in taken
        if is_candidate and engine.port_status(port).state is PortState.FREE:
            yield port
