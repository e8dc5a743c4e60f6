"""The New/Edit receiver dialog: draws a `ReceiverForm`, saves it, and returns what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import ScreenResume
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Select, Switch, TextArea
from textual.worker import Worker, WorkerState

from engine.errors import ChangedMeanwhile, EngineError, InvalidReceiver
from engine.model.receiver import Receiver
from engine.view import PortState, PortStatus
from tui.forms.receiver_form import FIELD_ORDER, OPENED_FIELDS
from tui.screens.choice import ChoiceDialog
from tui.text import counted, safe
from tui.widgets.dialog_foot import DialogFoot
from tui.widgets.disclosure import Disclosure
from tui.widgets.field import Note, Tone
from tui.widgets.receiver_fields import ReceiverFields
from tui.widgets.refusal import refusal_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.events import DescendantBlur
    from textual.timer import Timer

    from engine.errors import Problem
    from engine.model.identity import RoutingPreview
    from tui.forms.receiver_form import ReceiverForm


RELOADS = "ctrl+r takes over those changes and keeps yours; then save again"
WAITS_FOR_SAVING = frozenset(
    ("save", "test_port", "reload", "next_problem", "cancel", "help_field")
)


class ReceiverDialog(ModalScreen[Receiver | None]):
    """Edits one receiver; dismisses with the saved receiver, or with None when given up."""

    CSS_PATH = "../styles/dialog.tcss"
    AUTO_FOCUS = "#ae_title"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    BINDINGS = [
        Binding("tab", "app.focus_next", "Next", key_display="tab", id="dialog.next"),
        Binding("shift+tab", "app.focus_previous", "Back", key_display="⇧tab", id="dialog.back"),
        Binding("ctrl+s", "save", "Save", id="dialog.save"),
        Binding("ctrl+t", "test_port", "Test port", id="dialog.test_port"),
        Binding("ctrl+r", "reload", "Reload", id="dialog.reload"),
        Binding("f8", "next_problem", "Next problem", id="dialog.next_problem"),
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("f1", "help_field", "Help", id="dialog.help"),
    ]
    probe_delay_seconds: ClassVar[float] = 0.3
    preview_delay_seconds: ClassVar[float] = 0.15
    _fields = getters.query_one(ReceiverFields)

    def __init__(
        self,
        form: ReceiverForm,
        *,
        port_status: Callable[[int], PortStatus],
        save: Callable[[Receiver, Receiver | None], Receiver],
        current: Callable[[int], Receiver | None] = lambda _: None,
        preview: Callable[[Receiver], tuple[RoutingPreview, ...]] | None = None,
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
        super().__init__()
        self.form = form
        self._port_status = port_status
        self._save = save
        self._current = current
        self._blink = blink
        self._saving = False
        self._saved: Receiver | None = None
        self._tried = False
        self._touched = set(form.problems()) if form.original else set[str]()
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._refusal = ""
        self._changed_meanwhile = False
        self._problem_count = 0
        self._shown_state: tuple[int, bool, str] | None = None
        self._last_field = FIELD_ORDER[0]
        self._port_note = Note()
        self._probe_timer: Timer | None = None
        self._preview = preview
        self._previewed: Receiver | None = None
        self._preview_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out every field once; `sync` shows and hides them."""
        with Vertical(id="box"):
            yield ReceiverFields(self.form, self._blink, previews=self._preview is not None)
            yield DialogFoot()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Show the form, and the state of the port it starts with."""
        self.sync()
        self._probe()

    def on_resize(self) -> None:
        """Keep the buttons in view at every height."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        for foot in self.query(DialogFoot):
            taken = foot.outer_size.height + (3 if self.has_class("-narrow") else 5)
            self._fields.styles.max_height = max(3, self.size.height - taken)

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Switch.Changed)
    def take_over(self, event: Input.Changed | TextArea.Changed | Switch.Changed) -> None:
        """Take a changed value into the form."""
        event.stop()
        name = event.control.id or ""
        value = event.text_area.text if isinstance(event, TextArea.Changed) else event.value
        if self.form.value(name) == value:
            return
        self.form.set(name, value)
        self._refused = {}
        if name == "port":
            self._port_note = Note()
            self._probe_soon()
        self.sync()

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
        if name in self.form.settings or name == "duplicates":
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

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Say what is wrong with a field once it has been left."""
        known = event.widget.id in self.form.field_order
        if known and event.widget.id and event.widget.id not in self._touched:
            self._touched.add(event.widget.id)
            self.sync()

    def sync(self) -> None:
        """Make every widget show what the form says."""
        problems = self.shown_problems()
        self._problem_count = sum(map(len, problems.values()))
        state = (self._problem_count, self._saving, self._refusal)
        with self.app.batch_update():
            self._fields.show(problems, self._port_note)
            self._show_words()
            if state != self._shown_state:
                self._shown_state = state
                self._show_state()
        self._preview_soon()

    def shown_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return the problems of the fields that were left, or all once saving was tried."""
        found = {**self.form.problems(), **self._refused}
        return {
            name: found[name]
            for name in self.form.field_order
            if name in found and (self._tried or name in self._touched)
        }

    def _show_words(self) -> None:
        original = self.form.original
        title = f"Edit receiver · {original.ae_title}" if original else "New DICOM receiver"
        unsaved = ("  ● unsaved changes", "$text-warning") if self.form.is_dirty() else ""
        self.query_one("#box").border_title = Content.assemble(title, unsaved)
        found = counted(self._problem_count, "problem")
        words = f"✗ {found}; f8 goes there" if self._problem_count else self.form.summary()
        self.query_one(DialogFoot).summarize(words)

    def _show_state(self) -> None:
        bad = bool(self._problem_count)
        box = self.query_one("#box")
        problems = counted(self._problem_count, "problem")
        box.border_subtitle = Content(problems if bad else "* required")
        box.set_class(bad, "-bad")
        self._fields.disabled = self._saving
        foot = self.query_one(DialogFoot)
        foot.show(self._refusal, saving=self._saving, can_reload=self._changed_meanwhile)
        self.refresh_bindings()
        self.call_after_refresh(self._fit)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey everything out while saving; offer the next problem only if there is one."""
        if self._saving and action in WAITS_FOR_SAVING:
            return None
        if action == "reload":
            return self._changed_meanwhile
        return action != "next_problem" or bool(self._problem_count)

    def action_save(self) -> None:
        """Save if everything visible is right, else show all that is wrong."""
        self._tried = True
        self._refusal = ""
        problems = self.form.problems()
        if problems:
            self.sync()
            self._go_to(problems)
            return
        self._last_field = self._fields.focused_field() or FIELD_ORDER[0]
        self._saving = True
        self.sync()
        self._store(self.form.to_receiver(), self.form.original)

    @work(thread=True, group="receiver-save", exit_on_error=False)
    def _store(self, receiver: Receiver, seen: Receiver | None) -> Receiver | EngineError:
        try:
            return self._save(receiver, seen)
        except EngineError as error:
            return error

    @on(Worker.StateChanged)
    def finish_work(self, event: Worker.StateChanged) -> None:
        """Take over what a worker brought."""
        event.stop()
        done = event.state in (WorkerState.SUCCESS, WorkerState.ERROR)
        outcome = event.worker.result if event.state is WorkerState.SUCCESS else event.worker.error
        if done and event.worker.group == "receiver-save":
            self._finish_save(outcome)
        elif done and event.worker.group == "port-probe":
            self._finish_probe(outcome)
        elif done and event.worker.group == "routing-preview":
            self._finish_preview(outcome)

    def _finish_save(self, outcome: object) -> None:
        self._saving = False
        if isinstance(outcome, Receiver):
            self._saved = outcome
            self.close_once_saved()
            return
        if isinstance(outcome, InvalidReceiver):
            self._refused = self.form.by_field(outcome.problems)
            if any(problem.field in OPENED_FIELDS for problem in outcome.problems):
                self.form.open_advanced()
                self._refused = self.form.by_field(outcome.problems)
        self._changed_meanwhile = isinstance(outcome, ChangedMeanwhile)
        self._refusal = refusal_words(outcome)
        if isinstance(outcome, ChangedMeanwhile):
            self._refusal = f"✗ Not saved: {safe(outcome.detail)}\n→ {RELOADS}"
        self.sync()
        if self._refused:
            self._go_to(self._refused)
        else:
            self._fields.focus_field(self._last_field)

    def action_reload(self) -> None:
        """Edit the receiver as it is now, with the changes that were made here."""
        original = self.form.original
        current = self._current(original.id) if original is not None else None
        if current is None:
            self._refusal = "✗ The receiver does not exist any more; nothing can be saved here"
        else:
            kept = ", ".join(self.form.label(name).strip() for name in self.form.rebase(current))
            self._refusal = f"↻ Reloaded. Your own changes are kept: {kept or 'there are none'}"
            self._refused = {}
            self._fields.refill()
        self._changed_meanwhile = False
        self._touched.update(self.form.problems())
        self.sync()

    @on(ScreenResume)
    def close_once_saved(self) -> None:
        """Close after saving; a screen that came on top meanwhile is waited for."""
        if self._saved is not None and self.is_active:
            saved, self._saved = self._saved, None
            self.dismiss(saved)

    def action_next_problem(self) -> None:
        """Go to the next field with a problem, from the last one back to the first."""
        names = list(self.shown_problems())
        order = self.form.field_order
        here = order.index(self._fields.focused_field() or order[-1])
        later = [name for name in names if order.index(name) > here]
        self._go_to({name: self.shown_problems()[name] for name in later or names})

    def _go_to(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        for name, found in problems.items():
            self._fields.focus_field(name, found[0].line, found[0].column)
            return

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
                self._port_note = Note("– state not known", Tone.DIM)
        self.sync()

    def _port_in_words(self, status: PortStatus) -> Note:
        if status.state is PortState.OURS and self.form.keeps_its_port():
            return Note("✓ its own port", Tone.GOOD)
        if status.state in (PortState.FREE, PortState.OURS):
            return Note(f"✓ {status.detail}", Tone.GOOD)
        return Note(f"✗ {status.detail}", Tone.WARNING)

    def _preview_soon(self) -> None:
        """Try the rules once nothing was typed for a moment."""
        if self._preview_timer is not None:
            self._preview_timer.stop()
        if self._preview is not None and self.form.previews_routing():
            self._preview_timer = self.set_timer(self.preview_delay_seconds, self._try_rules)

    def _try_rules(self) -> None:
        try:
            draft = self.form.to_draft()
        except InvalidReceiver:
            self._previewed = None
            self._fields.show_preview((), "the preview waits until what is marked ✗ is mended")
            return
        if draft != self._previewed:
            self._previewed = draft
            self._ask_preview(draft)

    @work(thread=True, exclusive=True, group="routing-preview", exit_on_error=False)
    def _ask_preview(self, draft: Receiver) -> tuple[RoutingPreview, ...] | EngineError:
        assert self._preview is not None
        try:
            return self._preview(draft)
        except EngineError as error:
            return error

    def _finish_preview(self, outcome: object) -> None:
        if isinstance(outcome, tuple):
            self._fields.show_preview(outcome)
        else:
            self._previewed = None
            why = (
                outcome.detail if isinstance(outcome, EngineError) else "the engine did not answer"
            )
            self._fields.show_preview((), f"no preview: {safe(why)}")

    def action_cancel(self) -> None:
        """Close; ask first if anything would be lost."""
        if not self.form.is_dirty():
            self.dismiss(None)
            return
        original = self.form.original
        lost = f"The changes to {original.label}" if original else "What you typed"
        question = ChoiceDialog(
            "Discard changes?",
            f"{lost} will be lost.",
            accept="Discard",
            refuse="Keep editing",
        )

        def decide(accepted: bool | None) -> None:
            if accepted:
                self.dismiss(None)

        self.app.push_screen(question, decide)

    def action_help_field(self) -> None:
        """Explain the focused field, with examples."""
        name = self._fields.focused_field() or FIELD_ORDER[0]
        title, text = f"Help · {self.form.label(name).strip()}", self.form.help(name)
        self.app.push_screen(ChoiceDialog(title, text, refuse="Close"))

    @on(Button.Pressed)
    async def press(self, event: Button.Pressed) -> None:
        """Do what the button's key would do."""
        event.stop()
        await self.run_action(f"screen.{(event.button.id or '').replace('-', '_')}")
