"""The dialog for a new or existing receiver; it returns the saved receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import getters, on
from textual.binding import Binding
from textual.widgets import Select

from engine.api import PortState, PortStatus
from engine.errors import EngineError
from engine.model.receiver import Receiver
from tui.engine_client import receiver_now
from tui.receivers.fields import Disclosure, ReceiverFields
from tui.receivers.form import OPENED_FIELDS
from tui.shell.dialogs import QuestionDialog
from tui.shell.form_dialog import form_bindings
from tui.shell.preview_dialog import PreviewDialog
from tui.text import safe
from tui.widgets.field import Note, NoteTone

if TYPE_CHECKING:
    from engine.api import EngineView
    from engine.errors import Problem
    from engine.model.file_sample import FileSample
    from engine.model.processing import RoutingPreview
    from tui.receivers.form import ReceiverForm


class ReceiverDialog(PreviewDialog[Receiver]):
    """Edits one receiver; returns the saved receiver, None if cancelled."""

    AUTO_FOCUS = "#ae_title"
    FOOT_NOTE = "* required"
    TEST = ("test-port", "Test port")
    BINDINGS = form_bindings(Binding("ctrl+t", "test_port", "Test port", id="dialog.test_port"))
    GONE = "The receiver does not exist any more; nothing can be saved here"
    _fields = getters.query_one(ReceiverFields)

    def __init__(self, form: ReceiverForm, *, has_preview: bool = True) -> None:
        """Take the form, and whether its rules are tried on recent objects."""
        super().__init__()
        self.form: ReceiverForm = form
        self._has_preview = has_preview
        # A saved receiver shows its problems at once, a new one when a field is left.
        self._touched = set(form.problems()) if form.original else set()
        self._port_note = Note()

    def fields(self) -> ReceiverFields:
        """Build the body."""
        return ReceiverFields(self.form, self.console.blink, previews=self._has_preview)

    def name_of_form(self) -> str:
        """Return the title."""
        original = self.form.original
        return f"Edit receiver · {original.ae_title}" if original else "New DICOM receiver"

    def name_of_original(self) -> str:
        """Return which receiver is changed."""
        return str(self.form.original.label) if self.form.original else ""

    def on_mount(self) -> None:
        """Show the form, and the state of the port it starts with."""
        self._probe()

    def show_fields(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        """Make the body show what the form says, and what is known of the port."""
        self._fields.port_note = self._port_note
        super().show_fields(problems)

    def taken_over(self, name: str) -> None:
        """Probe another port."""
        if name == "port":
            self._port_note = Note()
            self.after_pause(self._probe)

    @on(Disclosure.Toggled)
    def open_advanced(self, event: Disclosure.Toggled) -> None:
        """Open or close the advanced fields."""
        event.stop()
        self.form.open_advanced(event.opened)
        self.sync()

    @on(Select.Changed, "#identifier")
    def choose_identifier(self, event: Select.Changed) -> None:
        """Take over the identifier, unless routing rules would be lost: then ask first."""
        event.stop()
        wanted = str(event.value)
        if wanted == self.form.text("identifier"):
            return
        self._refused = {}
        if self.form.choose_identifier(wanted):
            self._confirm_identifier(wanted)
        self.sync()

    @on(Select.Changed)
    def choose_setting(self, event: Select.Changed) -> None:
        """Take over what was chosen for the identifier, or as the policy for duplicates."""
        event.stop()
        name, value = event.select.id or "", event.value
        if name in self.form.settings or name in {"duplicates", "file_namer"}:
            self.form.set(name, "" if value is Select.NULL else str(value))
            self._refused = {}
            self.sync()

    def _confirm_identifier(self, wanted: str) -> None:
        def decide(answer: str | None) -> None:
            if answer:
                self.form.choose_identifier(wanted, confirmed=True)
            self.sync()

        name, kept = (self.form.identifier_name(one) for one in (wanted, None))
        text = (
            f"“{name}” does not support routing rules of a receiver. Routing is switched off then,"
            f" and its rules are hidden.\n\nCancel keeps “{kept}”."
        )
        title = "Switch routing off?"
        question = QuestionDialog.over_form(title, text, "Switch off", cancel="Cancel")
        self.app.push_screen(question, decide)

    def question(self) -> QuestionDialog | None:
        """Ask whether anonymization is off on purpose."""
        if not self.form.gives_up_anonymization():
            return None
        text = (
            f"Objects for {safe(self.form.text('ae_title').strip())} will be stored with all that "
            "identifies the patients: no script of the site or of a project will run.\n\n"
            "Save as it is, or go back and switch anonymization on?"
        )
        return QuestionDialog.over_form(
            "Store identifying data?", text, "Save without anonymization", cancel="Go back"
        )

    def refused(self, problems: tuple[Problem, ...]) -> dict[str, tuple[Problem, ...]]:
        """Return the engine's problems by field; what is hidden at first is opened."""
        if any(problem.field in OPENED_FIELDS for problem in problems):
            self.form.open_advanced()
        return super().refused(problems)

    def store(self, engine: EngineView, changed: Receiver, seen: Receiver | None) -> Receiver:
        """Save the receiver."""
        return engine.save_receiver(changed, self.console.actor, replacing=seen)

    def current(self, engine: EngineView) -> Receiver | None:
        """Return the receiver as it is now."""
        original = self.form.original
        return receiver_now(engine, original.id) if original is not None else None

    def action_test_port(self) -> None:
        """Probe the port at once."""
        self._touched.add("port")
        self._probe()
        self.sync()

    def _probe(self) -> None:
        self.cancel_pause(self._probe)
        if "port" not in self.form.problems():
            self._port_note = Note("testing…")
            self.ask(self._ask_port, self.form.text("port"))

    async def _ask_port(self, port: str) -> None:
        try:
            status = await self.ask_newest(
                "test the port", lambda engine: engine.port_status(int(port))
            )
        except EngineError:
            self._port_note = Note("– state not known", NoteTone.DIM)
        else:
            if port == self.form.text("port"):  # else another one was typed meanwhile
                self._port_note = self._port_in_words(status)
        self.sync()

    def _port_in_words(self, status: PortStatus) -> Note:
        if status.state is PortState.OURS and self.form.keeps_its_port():
            return Note("✓ its own port", NoteTone.GOOD)
        if status.state in (PortState.FREE, PortState.OURS):
            return Note(f"✓ {status.detail}", NoteTone.GOOD)
        return Note(f"✗ {status.detail}", NoteTone.WARNING)

    def previews(self) -> bool:
        """Tell whether a dry run matters now."""
        return self._has_preview and self.form.previews_routing()

    def draft(self) -> Receiver:
        """Return a receiver that identifies objects as the form says."""
        return self.form.to_draft()

    def preview(
        self, engine: EngineView, draft: Receiver, shown: bool, file: FileSample | None
    ) -> tuple[RoutingPreview, ...]:
        """Try the rules of a draft."""
        if shown:
            return engine.shown_routing(draft, self.console.actor, file=file)
        return engine.preview_routing(draft, file=file)
