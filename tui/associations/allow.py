"""Allows a rejected caller: proposes a whitelist line, and previews the resulting whitelist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text
from textual import getters, on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, OptionList, Static

from engine.api import AssociationEnd, ReceiverState
from engine.errors import ChangedMeanwhile, EngineError
from engine.model.receiver import Receiver
from engine.model.whitelist import (
    also_admits,
    match,
    normalize_address,
    parse_entry,
    proposals,
    review,
)
from tui.associations.table import when_rejected
from tui.engine_client import receiver_now
from tui.keys import pressed, with_keys
from tui.shell.engine_app import EngineScreen
from tui.shell.form_dialog import refusal_words
from tui.shell.health import rejection_words
from tui.text import counted, fit, host_of, safe
from tui.widgets.panel import Excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from engine.api import AssociationStatus, EngineSnapshot, ReceiverStatus
    from engine.model.whitelist import Address


_LIMIT_ADVICE = (
    "wait until an association ends, or raise the limit: {receiver.edit} edits the receiver, whose "
    "own limits are under Advanced"
)
_ADVICE_BY_ENDING = (
    ("no more are allowed", _LIMIT_ADVICE),
    ("the engine is stopping", "the caller may try again once the engine runs again"),
    ("MB required", "there is enough free space again: the caller may send now"),
    ("its marker file is missing", "the storage is mounted again: the caller may send now"),
    ("is not DICOM's", "the caller is no DICOM application, or speaks another version"),
)
"""How reasons that have nothing to do with a receiver's settings end, and what helps then."""


@dataclass(frozen=True, slots=True)
class LineProposal:
    """A whitelist line that would let the caller in."""

    line: str
    also_admits: str
    """Whom else it lets in, in words."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One line of the whitelist as it would be."""

    number: int
    text: str
    is_new: bool
    meaning: str
    notes: tuple[str, ...]
    """What is odd about it."""


class AllowForm:
    """A rejected caller and the receiver it called, until a line is chosen."""

    def __init__(self, association: AssociationStatus, receiver: Receiver, address: Address):
        self.association = association
        self.receiver = receiver
        """The receiver as it is replaced on saving."""
        self._address = address
        title = association.calling_ae_title
        self.proposals = tuple(
            LineProposal(entry.text, also_admits(entry)) for entry in proposals(title, address)
        )

    def why(self) -> str:
        """Say why the caller is refused by the whitelist as it is."""
        return self._verdict_of(self.receiver)

    def rebase(self, receiver: Receiver) -> None:
        """Replace the receiver by the one that another user saved meanwhile."""
        self.receiver = receiver

    def is_needed(self) -> bool:
        """Tell whether the caller is still refused."""
        return self.receiver.whitelist_enabled and bool(self._verdict_of(self.receiver))

    def preview(self, proposal: LineProposal) -> tuple[PreviewLine, ...]:
        """Return the whitelist with the new line at its end."""
        lines = self.to_receiver(proposal).whitelist
        findings = review(lines)
        return tuple(
            PreviewLine(
                number,
                line,
                number == len(lines),
                parse_entry(line).meaning(),
                tuple(f.message for f in findings if f.line == number),
            )
            for number, line in enumerate(lines, start=1)
        )

    def to_receiver(self, proposal: LineProposal) -> Receiver:
        """Return the receiver with the new line."""
        return replace(self.receiver, whitelist=(*self.receiver.whitelist, proposal.line))

    def _verdict_of(self, receiver: Receiver) -> str:
        entries, title = receiver.whitelist_entries, self.association.calling_ae_title
        return match(entries, title, self._address).why


def allow_form(association: AssociationStatus, snapshot: EngineSnapshot) -> AllowForm | None:
    """Return the form if a whitelist line would help the caller, else None."""
    status = _called(association, snapshot)
    if status is None or status.state is ReceiverState.NOT_ALLOWED:
        return None
    if snapshot.storage.refusal:  # a line changes nothing: every caller is rejected
        return None
    address = _address(association)
    if address is None or not line_helps(association, status.receiver):
        return None
    return AllowForm(association, status.receiver, address)


@lru_cache(maxsize=64)
def line_helps(association: AssociationStatus, receiver: Receiver) -> bool:
    """Tell whether it is this receiver's whitelist that keeps a rejected caller out."""
    address = _address(association)
    if association.end is not AssociationEnd.REJECTED or address is None:
        return False
    if not receiver.enabled or any(association.why.endswith(e) for e, _ in _ADVICE_BY_ENDING):
        return False
    form = AllowForm(association, receiver, address)
    return form.is_needed() and bool(form.proposals)


def advice(association: AssociationStatus, snapshot: EngineSnapshot) -> str:
    """Say what helps a rejected caller."""
    every = rejection_words(snapshot)
    if every:
        return every.removeprefix("✗ ")
    if allow_form(association, snapshot) is not None:
        return with_keys("{association.allow} on its row offers whitelist lines that let it in")
    status = _called(association, snapshot)
    if status is None:
        return _unknown_receiver(association, snapshot)
    name = safe(status.receiver.label)
    if not status.receiver.enabled:
        return f"{name} is stopped; {pressed('receiver.start')} on its row starts it"
    if status.state is ReceiverState.NOT_ALLOWED:
        return with_keys(
            "DICOM receivers are not allowed on this site now; {site.allow} allows them again"
        )
    for ending, helps in _ADVICE_BY_ENDING:
        if association.why.endswith(ending):
            return with_keys(helps)
    if not status.receiver.whitelist_enabled:
        return f"the whitelist of {name} is off now: every caller is accepted and may send now"
    return f"{name} would accept the caller now; it may send again"


def sent_as(calling_ae_title: str) -> str:
    """Return an AE title in quotes with its length and bytes, unless it is plainly readable."""
    if calling_ae_title.isascii() and calling_ae_title.isalnum():
        return ""
    sent = calling_ae_title.encode("utf-8", "surrogatepass")
    length = counted(len(calling_ae_title), "character")
    return f'"{safe(calling_ae_title)}"  {length}: {sent.hex(" ").upper()}'


def _called(association: AssociationStatus, snapshot: EngineSnapshot) -> ReceiverStatus | None:
    labels = (s for s in snapshot.receivers if s.receiver.label == association.receiver)
    return next(labels, None)


def _address(association: AssociationStatus) -> Address | None:
    try:
        return normalize_address(host_of(association.address))
    except ValueError:
        return None


def _unknown_receiver(association: AssociationStatus, snapshot: EngineSnapshot) -> str:
    port = association.receiver.rpartition(":")[2]
    known = [s.receiver for s in snapshot.receivers if str(s.receiver.port) == port]
    titles = ", ".join(safe(r.ae_title) for r in known if r.enabled) or "none"
    return (
        f"no receiver {safe(association.receiver)} is configured: {pressed('receiver.new')} "
        f"creates one, or the caller calls one of those on port {safe(port)}: {titles}"
    )


MAX_LINE_WIDTH = 40


class WhitelistPreview(Static):
    """Shows numbered lines, each with what it means or what is odd about it."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def show(self, lines: Sequence[PreviewLine]) -> None:
        """Show these lines."""
        width = min(MAX_LINE_WIDTH, max((len(line.text) for line in lines), default=0))
        self.update(Content("\n").join(_drawn(line, width) for line in lines))


def _drawn(line: PreviewLine, width: int) -> Content:
    number = f"{'+' if line.is_new else ' '} {line.number:>3}  "
    style = "bold $text-success" if line.is_new else ""
    text = Content.styled(number + fit(safe(line.text), width), style)
    if line.notes:
        return text.append(Content.styled(f"  ! {'; '.join(line.notes)}", "$text-warning"))
    return text.append(Content.styled(f"  ✓ {line.meaning}", "$text-muted"))


class AllowDialog(ModalScreen[Receiver | None], EngineScreen[Receiver | None]):
    """Adds one line to a whitelist; returns the saved receiver, None if cancelled."""

    CSS_PATH = "../shell/style.tcss"
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

    def __init__(self, form: AllowForm) -> None:
        super().__init__()
        self.form = form
        self._saving = False

    def compose(self) -> ComposeResult:
        """Lay out the caller, the lines to choose from, and the whitelist they make."""
        association, receiver = self.form.association, self.form.receiver
        with Vertical(id="allow") as box:
            title = f"Allow {safe(association.calling_ae_title)} in {safe(receiver.label)}"
            box.border_title = Content(title)
            yield Excerpt(_caller_words(self.form), id="caller")
            head = f"   {fit('Add this line', self._line_width())}  It also lets in"
            yield Static(head, classes="head", markup=False)
            yield OptionList(id="proposals", markup=False, compact=True)
            yield Static("", id="preview-head", classes="head", markup=False)
            with VerticalScroll(id="preview", can_focus=False):
                yield WhitelistPreview()
            yield Excerpt(id="refused")
            with Horizontal(id="answers"):
                yield Button("Cancel  esc", id="cancel", compact=True)
                yield Button("Allow  ^s", id="allow-it", variant="primary", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Offer the narrowest line first."""
        self._proposals.add_options([self._prompt(p) for p in self.form.proposals])
        self._proposals.highlighted = 0

    @property
    def chosen(self) -> LineProposal:
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

    def _prompt(self, proposal: LineProposal, *, chosen: bool = False) -> Text:
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
            self.ask(self._store, self.form.to_receiver(self.chosen), self.form.receiver)

    def _show_saving(self, *, saving: bool) -> None:
        self._saving = saving
        button = self.query_one("#allow-it", Button)
        button.label = "Saving…" if saving else "Allow  ^s"
        button.disabled = saving or not self.form.is_needed()

    async def _store(self, changed: Receiver, seen: Receiver) -> None:
        """Close once saved, or say why nothing was."""
        actor = self.console.actor
        try:
            saved = await self.engine.call(
                "save the whitelist",
                lambda engine: engine.save_receiver(changed, actor, replacing=seen),
            )
        except ChangedMeanwhile as refusal:
            await self._look_again(refusal)
        except EngineError as error:
            self._refuse(refusal_words(error))
        else:
            self.dismiss(saved)

    async def _look_again(self, refusal: ChangedMeanwhile) -> None:
        """Go on with the receiver as it is now; the new line has not been saved."""
        try:
            receiver = await self.engine.call(
                "look at the receiver", receiver_now, self.form.receiver.id, changes=False
            )
        except EngineError as error:
            self._refuse(refusal_words(error))
            return
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
