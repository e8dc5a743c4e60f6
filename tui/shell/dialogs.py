"""Small dialogs: message, question, choice, prompt, and “terminal too small”."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input, Static

from tui.text import safe
from tui.widgets.panel import HangingText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.events import Key, Resize


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


class QuestionDialog(ModalScreen[str]):
    """Asks one question; returns the id of the answer, and None for Cancel or escape."""

    AUTO_FOCUS = f"#{CANCEL}"
    BINDINGS = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(
        self, title: str, text: str, answers: Sequence[tuple[str, str]], *, danger: bool = False
    ) -> None:
        """Take safe texts; each answer is an identifier and its words."""
        super().__init__()
        self._question = title
        self._text = text
        self._answers = tuple(answers)
        self._danger = danger

    @classmethod
    def confirm(cls, title: str, consequence: str, verb: str) -> QuestionDialog:
        """Return one with a single answer, which does what can't be undone without effort."""
        return cls(title, consequence, ((CONFIRM, verb),), danger=True)

    def compose(self) -> ComposeResult:
        """Build the box, Cancel first."""
        with Vertical(classes="box -danger" if self._danger else "box") as box:
            box.border_title = Content(self._question)
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield Static(self._text, markup=False, classes="sentence")
            with Horizontal(classes="buttons"):
                yield Button(Content("Cancel  esc"), id=CANCEL)
                for name, words in self._answers:
                    variant = "error" if self._danger else "primary"
                    yield Button(Content(words), id=name, variant=variant)  # type: ignore[arg-type]

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(None if event.button.id == CANCEL else event.button.id)


class ChoiceDialog(ModalScreen[bool]):
    """Asks one question; True means that the first answer was chosen, escape never does."""

    CSS_PATH = "../shell/style.tcss"
    AUTO_FOCUS = "#refuse"
    BINDINGS = [
        ("escape,f1", "refuse", "Close"),
        ("left,up", "app.focus_previous", "Previous"),
        ("right,down", "app.focus_next", "Next"),
    ]

    def __init__(self, title: str, text: str, *, refuse: str, accept: str = "") -> None:
        """Prepare the question; without `accept` it is a notice that can only be closed."""
        super().__init__()
        self._title = title
        self._text = text
        self._refuse = refuse
        self._accept = accept

    def compose(self) -> ComposeResult:
        """Lay out the text above the answers."""
        with Vertical(id="choice") as box:
            box.border_title = Content(self._title)
            with VerticalScroll(can_focus=False):
                yield Static(self._text, markup=False)
            with Horizontal(id="answers"):
                if self._accept:
                    yield Button(Content(self._accept), id="accept", compact=True)
                yield Button(Content(self._refuse), id="refuse", variant="primary", compact=True)

    @on(Button.Pressed)
    def answer(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        event.stop()
        self.dismiss(event.button.id == "accept")

    def action_refuse(self) -> None:
        """Close without accepting."""
        self.dismiss(False)


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
MIN_HEIGHT = 16


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
            "receivers go on   ^q quits",
        )
        self.query_one("#too-small", Static).update("\n".join(lines))
