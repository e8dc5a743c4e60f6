"""A processor tried on the newest object: decisions and changes, values masked until asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.forms.trial_words import step_lines, trial_head
from tui.link import CallRequested, EngineCall
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from engine.errors import EngineError
    from engine.model.processing import ProcessorTrial
    from engine.view import EngineView


class TrialScreen(ModalScreen[None]):
    """Shows a masked trial; `v` asks the engine for its values, which is recorded there."""

    BINDINGS = [
        Binding("escape,q", "dismiss", "Close"),
        Binding("v", "unmask", "Show values"),
        Binding("y", "copy", "Copy"),
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
    ]
    show_seconds: ClassVar[float] = 60
    """Values of patients are masked again by themselves."""

    def __init__(
        self,
        label: str,
        masked: ProcessorTrial,
        unmask: Callable[[EngineView], ProcessorTrial],
    ) -> None:
        """Take the processor's label, its trial, and how the engine is asked for the values."""
        super().__init__()
        self._label = label
        self._masked = masked
        self._shown: ProcessorTrial | None = None
        self._unmask = unmask
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box -wide", id="trial") as box:
            box.border_title = Content(f"Try {safe(self._label)}")
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield Static("", id="trial-words", markup=False)

    def on_mount(self) -> None:
        """Show the masked trial."""
        self._draw()

    @property
    def words(self) -> str:
        """What is shown."""
        trial = self._shown or self._masked
        lines = [trial_head(trial)]
        for step in trial.steps:
            lines += ["", *step_lines(step)]
        lines += ["", f"✗ {self._problem}"] if self._problem else []
        lines += ["", "Nothing was stored or counted."] if trial.steps else []
        return "\n".join(lines)

    def _draw(self) -> None:
        if not self.query("#trial-words"):
            return  # it was closed while the engine answered
        self.query_one("#trial-words", Static).update(self.words)
        values = "v masks values" if self._shown else "v shows values"
        keys = f"{values}   y copy   esc close" if self._masked.steps else "esc close"
        self.query_one("#trial").border_subtitle = Content(keys)

    def action_unmask(self) -> None:
        """Ask for the values, or mask them again."""
        if self._shown is not None:
            self._mask()
        elif self._masked.steps:
            call = EngineCall(
                "show values", "trial", self._unmask, self._take, self._refuse, changes=False
            )
            self.post_message(CallRequested(call))

    def _take(self, trial: ProcessorTrial) -> None:
        self._shown, self._problem = trial, ""
        self.set_timer(self.show_seconds, self._mask)
        self._draw()

    def _refuse(self, error: EngineError) -> None:
        self._problem = safe(error.detail)
        self._draw()

    def _mask(self) -> None:
        self._shown = None
        self._draw()

    def action_copy(self) -> None:
        """Copy what is shown."""
        self.app.copy_to_clipboard(f"Try {safe(self._label)}\n{self.words}")
        self.app.notify("copied", markup=False, timeout=2)

    def action_scroll(self, way: str) -> None:
        """Scroll by a line."""
        box = self.query_one(VerticalScroll)
        (box.scroll_down if way == "down" else box.scroll_up)(animate=False)
