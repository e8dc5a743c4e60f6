"""The progress dialog of many calls: it counts them, cancels the rest, and lists failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.shell.dialogs import SCROLL_KEYS
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.events import Key

    from engine.api import EngineView
    from engine.errors import EngineError

BAR_CELLS = 40


@dataclass(frozen=True, slots=True)
class WorkStep:
    """One of many calls."""

    what: str
    """Such as ``rebuild session S0042``."""
    run: Callable[[EngineView], object]
    """Runs on a worker thread."""


@dataclass(frozen=True, slots=True)
class WorkOutcome:
    """What became of many calls."""

    done: int
    """Calls that succeeded."""
    failures: tuple[tuple[WorkStep, EngineError], ...] = ()
    left: int = 0
    """Calls that were not made because the work was cancelled."""


class WorkAnswered(Message):
    """One of the calls is over."""

    def __init__(self, step: WorkStep, error: EngineError | None = None) -> None:
        super().__init__()
        self.step = step
        self.error = error


class WorkEnded(Message):
    """No more calls will be made."""


class ProgressDialog(ModalScreen[WorkOutcome]):
    """Follows calls that somebody else makes; closes by itself when all of them succeeded."""

    def __init__(self, title: str, calls: Sequence[WorkStep]) -> None:
        """Take a safe title and the calls in their order."""
        super().__init__()
        self.cancelled = False
        """Whether no more of them is wanted."""
        self._title = title
        self._calls = tuple(calls)
        self._answered = 0
        self._failures: list[tuple[WorkStep, EngineError]] = []
        self._ended = False

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._title)
            yield Static("", id="progress", markup=False)
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield Static("", id="failures", markup=False)

    def on_mount(self) -> None:
        """Show that nothing is done yet."""
        self._draw()

    @property
    def outcome(self) -> WorkOutcome:
        """What became of the calls so far."""
        done = self._answered - len(self._failures)
        return WorkOutcome(done, tuple(self._failures), len(self._calls) - self._answered)

    @on(WorkAnswered)
    def _count(self, event: WorkAnswered) -> None:
        self._answered += 1
        if event.error is not None:
            self._failures.append((event.step, event.error))
        self._draw()

    @on(WorkEnded)
    def _end(self) -> None:
        self._ended = True
        if self._failures or self.outcome.left:
            self._draw()
        else:
            self.dismiss(self.outcome)

    def on_key(self, event: Key) -> None:
        """Cancel, copy, scroll or close; the key goes no further."""
        event.stop()
        event.prevent_default()
        if event.key == "y" and self._failures:
            self.app.copy_to_clipboard(failures_report(self._title, self.outcome))
            self.app.notify("copied", markup=False, timeout=2)
        elif event.key in SCROLL_KEYS:
            getattr(self.query_one(VerticalScroll), SCROLL_KEYS[event.key])(animate=False)
        elif self._ended:
            self.dismiss(self.outcome)
        elif event.key == "escape":
            self.cancelled = True
            self._draw()

    def _draw(self) -> None:
        box = self.query_one(".box")
        box.set_class(bool(self._failures), "-danger")
        box.border_subtitle = Content(self._hint())
        self.query_one("#progress", Static).update(Text(self._progress()))
        shown = Text(failures_text(self.outcome.failures))
        self.query_one("#failures", Static).update(shown)

    def _hint(self) -> str:
        copy = "y copy   " if self._failures else ""
        if self._ended:
            return f"{copy}any other key closes"
        return f"{copy}ends after this step" if self.cancelled else f"{copy}esc cancel"

    def _progress(self) -> str:
        total = len(self._calls)
        line = f"{progress_bar(self._answered, total)}  {self._answered:,} of {total:,}"
        if self._ended:
            return f"{line}\n{outcome_sentence(self.outcome)}"
        here = self._calls[self._answered].what if self._answered < total else ""
        return f"{line}\n{safe(here)}"


def progress_bar(done: int, total: int) -> str:
    """Return how much is done as a bar of fixed width."""
    full = BAR_CELLS * done // total if total else BAR_CELLS
    return "█" * full + "░" * (BAR_CELLS - full)


def outcome_sentence(outcome: WorkOutcome) -> str:
    """Say what became of the calls."""
    failed = f", {len(outcome.failures):,} failed" if outcome.failures else ""
    left = f", cancelled before the last {outcome.left:,}" if outcome.left else ""
    return f"{outcome.done:,} done{failed}{left}"


def failures_text(failures: Sequence[tuple[WorkStep, EngineError]]) -> str:
    """Return a paragraph for each failure: what, why, what to do; safe text."""
    return "\n".join(_failure(call, error) for call, error in failures)


def failures_report(title: str, outcome: WorkOutcome) -> str:
    """Return everything as text for a ticket."""
    return f"{title}\n{outcome_sentence(outcome)}\n{failures_text(outcome.failures)}"


def _failure(call: WorkStep, error: EngineError) -> str:
    lines = [f"\n✗ {safe(call.what)}", f"  {safe(error.title)}: {safe(error.detail)}"]
    if error.remedy:
        lines.append(f"  What to do: {safe(error.remedy)}")
    return "\n".join(lines)
