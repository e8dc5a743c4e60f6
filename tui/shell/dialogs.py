"""Small dialogs: message, question, choice, prompt, and “terminal too small”."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Footer, Input, Static

from tui.keys import pressed
from tui.text import safe
from tui.widgets.panel import HangingText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.events import Key, Resize
    from textual.widgets._button import ButtonVariant

    from engine.api import EngineView
    from engine.errors import EngineError


SCROLL_KEYS = {
    "up": "scroll_up",
    "k": "scroll_up",
    "down": "scroll_down",
    "j": "scroll_down",
    "pageup": "scroll_page_up",
    "pagedown": "scroll_page_down",
    "home": "scroll_home",
    "end": "scroll_end",
}


class MessageDialog(ModalScreen[None]):
    """Shows title, detail and remedy; ``y`` copies them, any key but those that scroll closes."""

    def __init__(self, title: str, detail: str, remedy: str = "", *, error: bool = True) -> None:
        super().__init__()
        self._title = safe(title)
        self._detail = "\n".join(safe(line) for line in detail.split("\n"))
        self._remedy = safe(remedy)
        self._error = error

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box -danger" if self._error else "box") as box:
            glyph = "✗ " if self._error else ""
            box.border_title = Content(f"{glyph}{self._title}")
            box.border_subtitle = Content("y copy   any other key closes")
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield HangingText(self._text())

    def on_key(self, event: Key) -> None:
        """Copy, scroll or close; the key goes no further."""
        event.stop()
        event.prevent_default()
        if event.key == "y":
            self.app.copy_to_clipboard(self._plain())
            self.app.notify("copied", markup=False, timeout=2)
        elif event.key in SCROLL_KEYS:
            getattr(self.query_one(VerticalScroll), SCROLL_KEYS[event.key])(animate=False)
        else:
            self.dismiss()

    def _text(self) -> Content:
        if not self._remedy:
            return Content(self._detail)
        return Content.assemble(self._detail, "\n\n", ("What to do: ", "bold"), self._remedy)

    def _plain(self) -> str:
        return f"{self._title}\n{self._text().plain}"


CANCEL = "cancel"
CONFIRM = "confirm"
CONFIRM_KEY = "y"
"""Not the letter of what was asked for: that key may still be held down."""


class QuestionDialog(ModalScreen[str]):
    """Asks one question; returns the id of the answer, and None for Cancel or escape.

    The safe answer comes first and has the focus: an enter that comes too early changes nothing.
    """

    AUTO_FOCUS = "Button"
    BINDINGS = [
        Binding("escape,f1", "dismiss", "Cancel", key_display="esc"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(
        self,
        title: str,
        text: str,
        answers: Sequence[tuple[str, str]],
        *,
        cancel: str = "Cancel",
        first: str = CANCEL,
        danger: bool = False,
        over_form: bool = False,
    ) -> None:
        """Take safe texts; each answer is an identifier and its words.

        Args:
            title: the question in short.
            text: what each answer means.
            answers: all but the one that does nothing.
            cancel: words of that one.
            first: the safe answer, if doing nothing is not.
            danger: whether the answers do what can't be undone without effort.
            over_form: whether it is shown small, as on top of a form.
        """
        super().__init__(classes="-over-form" if over_form else "")
        self._question = title
        self._text = text
        both = (*answers, (CANCEL, cancel))
        self._answers = tuple(sorted(both, key=lambda answer: answer[0] != first))
        self._keys = answer_keys(answers)
        self._danger = danger

    @classmethod
    def confirm(cls, title: str, consequence: str, verb: str) -> QuestionDialog:
        """Return one with a single answer, which does what can't be undone without effort."""
        return cls(title, consequence, ((CONFIRM, verb),), danger=True)

    @classmethod
    def over_form(cls, title: str, text: str, accept: str, cancel: str) -> QuestionDialog:
        """Return one with a single answer, on top of a form."""
        return cls(title, text, ((CONFIRM, accept),), cancel=cancel, over_form=True)

    @classmethod
    def notice(cls, title: str, text: str) -> QuestionDialog:
        """Return one that can only be closed, on top of a form."""
        return cls(title, text, (), cancel="Close", over_form=True)

    def compose(self) -> ComposeResult:
        """Build the box; the footer hides the keys of the screen below, which do nothing now."""
        with Vertical(classes="box -danger" if self._danger else "box") as box:
            box.border_title = Content(self._question)
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield Static(self._text, markup=False, classes="sentence")
            with Horizontal(classes="buttons"):
                yield from map(self._button, self._answers)
        yield Footer(show_command_palette=False, compact=True)

    def _button(self, answer: tuple[str, str]) -> Button:
        name, words = answer
        key = self._keys.get(name, "esc")
        variant: ButtonVariant = "error" if self._danger and name != CANCEL else "default"
        return Button(Content(f"{words}  {key}"), id=name, variant=variant, compact=True)

    def on_key(self, event: Key) -> None:
        """Answer by a letter."""
        for name, key in self._keys.items():
            if event.character == key:
                event.stop()
                self.dismiss(name)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(None if event.button.id == CANCEL else event.button.id)


def answer_keys(answers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the key of each answer: a single one has a fixed key, several a letter of theirs."""
    if len(answers) == 1:
        return {answers[0][0]: CONFIRM_KEY}
    keys: dict[str, str] = {}
    for name, words in answers:
        letters = (letter for letter in words.casefold() if letter.isalpha())
        keys[name] = next((one for one in letters if one not in keys.values()), "")
    return keys


class PromptDialog(ModalScreen[str]):
    """Returns what was typed; escape returns nothing."""

    BINDINGS = [Binding("escape", "dismiss", "Cancel")]

    def __init__(self, title: str, sentence: str, value: str, *, blink: bool) -> None:
        """Take safe texts, and what is suggested."""
        super().__init__()
        self._question = title
        self._sentence = sentence
        self._value = value
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._question)
            box.border_subtitle = Content("⏎ save   esc cancel")
            yield Static(self._sentence, markup=False, classes="sentence")
            field = Input(self._value, id="answer", compact=True, select_on_focus=False)
            field.cursor_blink = self._blink
            yield field

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.dismiss(event.value.strip())


MIN_WIDTH = 60
MIN_HEIGHT = 15


def is_too_small(width: int, height: int) -> bool:
    """Tell whether the dashboard cannot be shown honestly."""
    return width < MIN_WIDTH or height < MIN_HEIGHT


class TooSmallScreen(Screen[None]):
    """States the size there is and the size that is needed."""

    def compose(self) -> ComposeResult:
        """Build the sentence."""
        yield Static("", id="too-small", markup=False)

    def on_resize(self, event: Resize) -> None:
        """Say the size as it is now."""
        width, height = event.size
        lines = (
            "The terminal is too small",
            f"now     {width} × {height}",
            f"needed  {MIN_WIDTH} × {MIN_HEIGHT}",
            f"receivers go on   {pressed('app.quit')} quits",
        )
        self.query_one("#too-small", Static).update("\n".join(lines))


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
    """Shows the progress of calls that the app makes; closes if all of them succeeded."""

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
