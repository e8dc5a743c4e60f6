"""The dialog for a new or existing receiver; it returns the saved receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import getters, on, work
from textual.binding import Binding
from textual.widgets import Select

from engine.api import PortState, PortStatus
from engine.errors import EngineError
from engine.model.receiver import Receiver
from tui.receivers.fields import Disclosure, ReceiverFields
from tui.receivers.form import OPENED_FIELDS
from tui.shell.dialogs import ChoiceDialog
from tui.shell.form_dialog import form_bindings
from tui.shell.preview_dialog import Preview, PreviewDialog
from tui.text import safe
from tui.widgets.field import Note, NoteTone

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from engine.errors import Problem
    from tui.receivers.form import ReceiverForm


class ReceiverDialog(PreviewDialog[Receiver]):
    """Edits one receiver; dismisses with the saved receiver, or with None when given up."""

    AUTO_FOCUS = "#ae_title"
    FOOT_NOTE = "* required"
    TEST = ("test-port", "Test port")
    BINDINGS = form_bindings(Binding("ctrl+t", "test_port", "Test port", id="dialog.test_port"))
    probe_delay_seconds: ClassVar[float] = 0.3
    _fields = getters.query_one(ReceiverFields)

    def __init__(
        self,
        form: ReceiverForm,
        *,
        port_status: Callable[[int], PortStatus],
        save: Callable[[Receiver, Receiver | None], Receiver],
        current: Callable[[int], Receiver | None] = lambda _: None,
        preview: Preview[Receiver] | None = None,
        blink: bool = True,
    ) -> None:
        """Take the form and its ways to the engine.

        Args:
            form: what is edited.
            port_status: tells the state of a port; may block.
            save: stores a receiver that replaces another; may block.
            current: looks again at a receiver by its id.
            preview: tries a receiver's rules on recent objects; may block. None hides the preview.
            blink: whether text cursors blink.
        """
        super().__init__(save, preview)
        self.form: ReceiverForm = form
        self._port_status = port_status
        self._current = current
        self._blink = blink
        self._touched = set(form.problems()) if form.original else set()
        self._port_note = Note()
        self._probe_timer: Timer | None = None

    def fields(self) -> ReceiverFields:
        """Build the body."""
        return ReceiverFields(self.form, self._blink, previews=self._preview is not None)

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
            self._probe_soon()

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
        def decide(accepted: bool | None) -> None:
            if accepted:
                self.form.choose_identifier(wanted, confirmed=True)
            self.sync()

        text = (
            f"{safe(wanted)} does not support routing rules of a receiver.\n\n"
            "OK switches routing off and hides its rules.\n"
            f"Cancel keeps {safe(self.form.text('identifier'))}."
        )
        title = "Unsupported per-receiver routing"
        self.app.push_screen(ChoiceDialog(title, text, accept="OK", refuse="Cancel"), decide)

    def refused(self, problems: tuple[Problem, ...]) -> dict[str, tuple[Problem, ...]]:
        """Return the engine's problems by field; what is hidden at first is opened."""
        if any(problem.field in OPENED_FIELDS for problem in problems):
            self.form.open_advanced()
        return super().refused(problems)

    def action_reload(self) -> None:
        """Edit the receiver as it is now, with the changes that were made here."""
        original = self.form.original
        current = self._current(original.id) if original is not None else None
        self.go_on_with(current, "The receiver does not exist any more; nothing can be saved here")

    def action_test_port(self) -> None:
        """Probe the port at once."""
        self._touched.add("port")
        self._probe()
        self.sync()

    def _probe_soon(self) -> None:
        if self._probe_timer is not None:
            self._probe_timer.stop()
        self._probe_timer = self.set_timer(self.probe_delay_seconds, self._probe)

    def _probe(self) -> None:
        if self._probe_timer is not None:
            self._probe_timer.stop()
        if "port" not in self.form.problems():
            self._port_note = Note("testing…")
            self._ask_port(self.form.text("port"))

    @work(thread=True, exclusive=True, group="port-probe", exit_on_error=False)
    def _ask_port(self, port: str) -> tuple[str, PortStatus | EngineError]:
        try:
            return port, self._port_status(int(port))
        except EngineError as error:
            return port, error

    def _finish_probe(self, outcome: object) -> None:
        match outcome:
            case (port, PortStatus() as status):
                if port == self.form.text("port"):
                    self._port_note = self._port_in_words(status)
            case _:
                self._port_note = Note("– state not known", NoteTone.DIM)
        self.sync()

    def _port_in_words(self, status: PortStatus) -> Note:
        if status.state is PortState.OURS and self.form.keeps_its_port():
            return Note("✓ its own port", NoteTone.GOOD)
        if status.state in (PortState.FREE, PortState.OURS):
            return Note(f"✓ {status.detail}", NoteTone.GOOD)
        return Note(f"✗ {status.detail}", NoteTone.WARNING)

    def previews(self) -> bool:
        """Tell whether a dry run matters now."""
        return self.form.previews_routing()

    def draft(self) -> Receiver:
        """Return a receiver that identifies objects as the form says."""
        return self.form.to_draft()

    def finished(self, group: str, outcome: Any) -> None:
        """Take over what a worker brought."""
        if group == "port-probe":
            self._finish_probe(outcome)
        else:
            super().finished(group, outcome)
