"""Lets a rejected caller in: which line, whom else it admits, and the whitelist it makes."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text
from textual import getters, on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, OptionList, Static
from textual.worker import Worker, WorkerState

from engine.errors import ChangedMeanwhile, EngineError
from engine.model.receiver import Receiver
from tui.forms.allow_form import sent_as
from tui.text import fit, safe
from tui.widgets.associations_table import when_rejected
from tui.widgets.refusal import refusal_words
from tui.widgets.whitelist_preview import WhitelistPreview

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from tui.forms.allow_form import AllowForm, Proposal


class AllowDialog(ModalScreen[Receiver | None]):
    """Adds one line to a whitelist; dismisses with the saved receiver, or None when given up."""

    CSS_PATH = "../styles/dialog.tcss"
    AUTO_FOCUS = "#proposals"
    BINDINGS = [
        Binding("ctrl+s", "allow", "Allow", id="allow.save"),
        Binding("escape", "cancel", "Cancel", id="allow.cancel"),
        Binding("ctrl+u", "scroll(-1)", "Scroll up", key_display="^u", id="allow.scroll_up"),
        Binding("ctrl+d", "scroll(1)", "Scroll down", key_display="^d", id="allow.scroll_down"),
        Binding("left", "app.focus_previous", "Previous", show=False),
        Binding("right", "app.focus_next", "Next", show=False),
    ]
    _proposals = getters.query_one("#proposals", OptionList)
    _refusal = getters.query_one("#refused", Static)

    def __init__(
        self,
        form: AllowForm,
        *,
        save: Callable[[Receiver, Receiver], Receiver],
        current: Callable[[], Receiver | None],
    ) -> None:
        """Take the form, what saves (changed, as it was seen), and what looks again."""
        super().__init__()
        self.form = form
        self._save = save
        self._current = current
        self._saving = False

    def compose(self) -> ComposeResult:
        """Lay out the caller, the lines to choose from, and the whitelist they make."""
        association, receiver = self.form.association, self.form.receiver
        with Vertical(id="allow") as box:
            title = f"Allow {safe(association.calling_ae_title)} in {safe(receiver.label)}"
            box.border_title = Content(title)
            yield Static(_caller_words(self.form), id="caller", markup=False)
            head = f"   {fit('Add this line', self._line_width())}  It also lets in"
            yield Static(head, classes="head", markup=False)
            yield OptionList(id="proposals", markup=False, compact=True)
            yield Static("", id="preview-head", classes="head", markup=False)
            with VerticalScroll(id="preview", can_focus=False):
                yield WhitelistPreview()
            yield Static("", id="refused", markup=False)
            with Horizontal(id="answers"):
                yield Button("Cancel  esc", id="cancel", variant="primary", compact=True)
                yield Button("Allow  ^s", id="allow-it", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Offer the narrowest line first."""
        self._proposals.add_options([self._prompt(p) for p in self.form.proposals])
        self._proposals.highlighted = 0

    @property
    def chosen(self) -> Proposal:
        """The line under the cursor."""
        return self.form.proposals[self._proposals.highlighted or 0]

    def on_resize(self) -> None:
        """Break the lines to choose from for the new width."""
        self.call_after_refresh(self._show_proposals)

    def _show_proposals(self) -> None:
        for place, proposal in enumerate(self.form.proposals):
            prompt = self._prompt(proposal, chosen=proposal == self.chosen)
            self._proposals.replace_option_prompt_at_index(place, prompt)
        self._proposals.refresh(layout=True)

    def _prompt(self, proposal: Proposal, *, chosen: bool = False) -> Text:
        line = fit(proposal.line, self._line_width())
        beginning = f"{'●' if chosen else '○'} {line}  "
        room = self._proposals.content_size.width - len(beginning) - 2
        words = wrap(proposal.also_admits, max(20, room))
        return Text(beginning + f"\n{' ' * len(beginning)}".join(words))

    def _line_width(self) -> int:
        return max(13, *(len(proposal.line) for proposal in self.form.proposals))

    @on(OptionList.OptionHighlighted)
    def show_choice(self) -> None:
        """Mark the chosen line and show what the whitelist would be."""
        self._show_proposals()
        lines = self.form.preview(self.chosen)
        odd = sum(bool(line.notes) for line in lines)
        noted = f", {odd} to look at (!)" if odd else ""
        head = f"Whitelist of {safe(self.form.receiver.label)} then: {len(lines)} lines{noted}"
        self.query_one("#preview-head", Static).update(head)
        self.query_one(WhitelistPreview).show(lines)
        self.call_after_refresh(self.query_one("#preview").scroll_end, animate=False)

    @on(OptionList.OptionSelected)
    def go_to_answers(self) -> None:
        """Go on to the answers, the safe one first."""
        self.query_one("#cancel").focus()

    @on(Button.Pressed)
    def press(self, event: Button.Pressed) -> None:
        """Do what the button's key would do."""
        event.stop()
        (self.action_allow if event.button.id == "allow-it" else self.action_cancel)()

    def action_scroll(self, direction: int) -> None:
        """Scroll the whitelist."""
        preview = self.query_one("#preview")
        (preview.scroll_page_down if direction > 0 else preview.scroll_page_up)(animate=False)

    def action_cancel(self) -> None:
        """Close and change nothing."""
        if not self._saving:
            self.dismiss(None)

    def action_allow(self) -> None:
        """Save the whitelist with the new line, as one revision."""
        if not self._saving and self.form.is_needed():
            self._show_saving(saving=True)
            self._store(self.form.to_receiver(self.chosen), self.form.receiver)

    def _show_saving(self, *, saving: bool) -> None:
        self._saving = saving
        button = self.query_one("#allow-it", Button)
        button.label = "Saving…" if saving else "Allow  ^s"
        button.disabled = saving or not self.form.is_needed()

    @work(thread=True, group="allow-save", exit_on_error=False)
    def _store(self, changed: Receiver, seen: Receiver) -> Receiver | EngineError:
        try:
            return self._save(changed, seen)
        except EngineError as error:
            return error

    @on(Worker.StateChanged)
    def finish(self, event: Worker.StateChanged) -> None:
        """Close once saved, or say why nothing was."""
        event.stop()
        if event.state not in (WorkerState.SUCCESS, WorkerState.ERROR):
            return
        succeeded = event.state is WorkerState.SUCCESS
        outcome = event.worker.result if succeeded else event.worker.error
        if isinstance(outcome, Receiver):
            self.dismiss(outcome)
        elif isinstance(outcome, ChangedMeanwhile):
            self._look_again(outcome)
        else:
            self._refuse(refusal_words(outcome))

    def _look_again(self, refusal: ChangedMeanwhile) -> None:
        """Go on with the receiver as it is now; the new line has not been saved."""
        receiver = self._current()
        if receiver is None:
            self._refuse("✗ Not saved: the receiver does not exist any more")
            return
        self.form.rebase(receiver)
        words = f"✗ Not saved: {safe(refusal.detail)}"
        if self.form.is_needed():
            self.show_choice()
            self._refuse(f"{words}\n→ the list above is the new one; save again")
        else:
            self._refuse(f"{words}\n→ the caller is let in now; nothing is left to do")

    def _refuse(self, words: str) -> None:
        self._refusal.update(words)
        self._refusal.add_class("-shown")
        self._show_saving(saving=False)
        self.query_one("#cancel").focus()


def _caller_words(form: AllowForm) -> Text:
    association = form.association
    words = Text(f"✗ Rejected {when_rejected(association)}: ", end="").append(safe(form.why()))
    sent = sent_as(association.calling_ae_title)
    return words.append(f"\n  AE title as sent: {sent}") if sent else words
