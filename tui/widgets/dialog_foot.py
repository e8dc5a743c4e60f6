"""The foot of a form dialog, always in view: refusal, summary and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult


class DialogFoot(Vertical):
    """Says what saving would mean, or why it did not work."""

    def __init__(self, *, tests_port: bool) -> None:
        super().__init__(id="foot")
        self._tests_port = tests_port

    def compose(self) -> ComposeResult:
        """Lay out words above buttons."""
        yield Static(id="refusal", markup=False)
        yield Static(id="summary", markup=False)
        with Horizontal(id="buttons"):
            yield Button("Reload  ^r", id="reload", variant="warning", compact=True)
            if self._tests_port:
                yield Button("Test port  ^t", id="test-port", compact=True)
            yield Button("Cancel  esc", id="cancel", compact=True)
            yield Button("Save  ^s", id="save", variant="primary", compact=True)

    def summarize(self, words: str) -> None:
        """Say what saving would mean; safe text."""
        self.query_one("#summary", Static).update(words, layout=False)

    def show(self, refusal: str, *, saving: bool, can_reload: bool) -> None:
        """Show why nothing was saved, and what the buttons can do."""
        shown = self.query_one("#refusal", Static)
        shown.update(refusal)
        shown.set_class(bool(refusal), "-shown")
        shown.set_class(not refusal.startswith("✗"), "-calm")
        self.query_one("#reload", Button).display = can_reload
        save = self.query_one("#save", Button)
        save.label = "Saving…" if saving else "Save  ^s"
        save.disabled = saving
