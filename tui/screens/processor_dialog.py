"""The New/Edit processor dialog: draws a `ProcessorForm`, saves it, and returns what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import Binding
from textual.widgets import Select

from engine.errors import EngineError
from engine.model.processing import ProcessorTrial
from engine.model.processor import Processor
from engine.model.processor_class import Location
from tui.screens.form_dialog import FormDialog, form_bindings
from tui.screens.trial_screen import TrialScreen
from tui.text import safe
from tui.widgets.processor_fields import ProcessorFields

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from engine.view.processors import ProcessorsView
    from engine.view.scripts import ScriptFinding, ScriptsView
    from tui.forms.processor_form import ProcessorForm

GONE = "The processor does not exist any more; nothing can be saved here"
NOT_TRIED = "only what acts before storing can be tried; this acts on what is stored"


class ProcessorDialog(FormDialog[Processor]):
    """Edits one processor; dismisses with the saved processor, or with None when given up."""

    AUTO_FOCUS = "#label"
    BINDINGS = form_bindings(Binding("ctrl+t", "test", "Try it", id="dialog.try"))
    FOOT_NOTE = "* required"
    TEST = ("test", "Try it")
    check_delay_seconds: ClassVar[float] = 0.3

    def __init__(
        self,
        form: ProcessorForm,
        *,
        processors: Callable[[], ProcessorsView],
        scripts: Callable[[], ScriptsView],
        actor: str,
        blink: bool = True,
    ) -> None:
        """Take the form, the engine's groups, asked on worker threads only, and who edits."""

        def save(changed: Processor, seen: Processor | None) -> Processor:
            return processors().save(changed, actor, replacing=seen)

        def current(processor_id: int) -> Processor | None:
            found = (status.processor for status in processors().list())
            return next((processor for processor in found if processor.id == processor_id), None)

        super().__init__(save)
        self.form: ProcessorForm = form
        self._current = current
        self._touched = set(form.problems()) if form.original else set()
        self._processors = processors
        self._scripts = scripts
        self._actor = actor
        self._blink = blink
        self._check_timer: Timer | None = None

    def fields(self) -> ProcessorFields:
        """Build the body."""
        return ProcessorFields(self.form, self._blink)

    def name_of_form(self) -> str:
        """Return the title."""
        original = self.form.original
        return f"Edit processor · {safe(original.label)}" if original else "New processor"

    def name_of_original(self) -> str:
        """Return which processor is changed."""
        return safe(self.form.original.label) if self.form.original else ""

    @on(Select.Changed)
    def choose(self, event: Select.Changed) -> None:
        """Take over what was chosen."""
        event.stop()
        name, value = event.select.id or "", event.value
        wanted = "" if value is Select.NULL else str(value)
        if self.form.text(name) != wanted:
            self.form.set(name, wanted)
            self._refused = {}
            self.sync()

    # Scripts are checked while they are typed

    def sync(self) -> None:
        """Show what the form says; scripts are checked once nothing was typed for a moment."""
        super().sync()
        if all(map(self.form.is_checked, self.form.scripts())):
            return
        if self._check_timer is not None:
            self._check_timer.stop()
        self._check_timer = self.set_timer(self.check_delay_seconds, self._check)

    def _check(self) -> None:
        for name in self.form.scripts():
            text = self.form.text(name)
            if not text.strip():
                self.form.take_findings(name, text, ())
            elif not self.form.is_checked(name):
                self._ask_check(name, text)

    @work(thread=True, exclusive=True, group="script-check", exit_on_error=False)
    def _ask_check(self, name: str, text: str) -> tuple[str, str, tuple[ScriptFinding, ...]]:
        return name, text, self._scripts().check(text)

    # Trying it on an object

    def action_test(self) -> None:
        """Try the processor as it is typed on the newest object."""
        if not Location(self.form.text("location")).is_before_storing:
            self._refusal = f"✗ Not tried: {NOT_TRIED}"
            self.sync()
        elif not self.refuse_problems():
            self._last_field = self.body.focused_field() or self.form.field_order[0]
            self._try(self.form.result())

    @work(thread=True, exclusive=True, group="trial", exit_on_error=False)
    def _try(self, processor: Processor) -> tuple[Processor, ProcessorTrial] | EngineError:
        try:
            return processor, self._processors().test(processor)
        except EngineError as error:
            return error

    # Taking over what others did meanwhile

    def action_reload(self) -> None:
        """Look again at the processor, off this thread."""
        if self.form.original is not None:
            self._look_again(self.form.original.id)

    @work(thread=True, exclusive=True, group="reload", exit_on_error=False)
    def _look_again(self, processor_id: int) -> Processor | EngineError | None:
        try:
            return self._current(processor_id)
        except EngineError as error:
            return error

    def finished(self, group: str, outcome: Any) -> None:
        """Take over what another worker than the one that saves brought."""
        match group, outcome:
            case "script-check", (str() as name, str() as text, tuple() as findings):
                self.form.take_findings(name, text, findings)
                self.sync()
            case "trial", (Processor() as processor, ProcessorTrial() as trial):
                self._show_trial(processor, trial)
            case "trial", failure:
                self.show_refusal(failure, "tried")
            case "reload", (None | Processor()) as current:
                self.go_on_with(current, GONE)
            case "reload", failure:
                self.show_refusal(failure, "reloaded")
            case _:
                pass  # a check that failed is asked for again by the next key

    def _show_trial(self, processor: Processor, trial: ProcessorTrial) -> None:
        actor = self._actor
        screen = TrialScreen(
            processor.label,
            trial,
            lambda engine: engine.processors.shown_test(processor, actor),
        )
        self.app.push_screen(screen)
