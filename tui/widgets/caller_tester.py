"""Two small inputs under the whitelist: would this caller be admitted, and by which line?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from engine.model.ae_title import MAX_LENGTH
from tui.forms.receiver_help import LABELS
from tui.forms.whitelist_check import CallerState
from tui.text import safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.forms.whitelist_check import CallerVerdict

_GLYPHS = {
    CallerState.UNKNOWN: "",
    CallerState.WRONG: "! ",
    CallerState.ADMITTED: "✓ ",
    CallerState.REFUSED: "✗ ",
}


class CallerTester(Vertical):
    """Asks for a caller and shows the verdict below."""

    def __init__(self, *, blink: bool) -> None:
        super().__init__(id="tester")
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Lay out the caller in one row, the verdict under it."""
        with Horizontal(classes="row"):
            yield Static(f"  {LABELS['caller_ae_title']}", classes="label", markup=False)
            yield self._input("caller_ae_title", "AE title", MAX_LENGTH)
            yield Static(LABELS["caller_address"], classes="between", markup=False)
            yield self._input("caller_address", "address", 45)
        yield Static("", id="caller-verdict", markup=False)

    def _input(self, name: str, placeholder: str, length: int) -> Input:
        entry = Input(id=name, placeholder=placeholder, max_length=length, select_on_focus=False)
        entry.cursor_blink = self._blink
        return entry

    def show(self, verdict: CallerVerdict) -> None:
        """Show whether the caller would be admitted."""
        shown = self.query_one("#caller-verdict", Static)
        words = f"{_GLYPHS[verdict.state]}{safe(verdict.words)}"
        if words != str(shown.content):
            shown.update(words)
        for state in CallerState:
            shown.set_class(state is verdict.state, f"-{state}")
