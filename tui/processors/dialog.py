"""The dialog for a new or existing processor, and its trial on the newest object."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Select, Static

from engine.errors import EngineError
from engine.model.processing import Verdict
from engine.model.processor import Location, Processor
from tui.processors.fields import ProcessorFields
from tui.shell.engine_app import EngineScreen
from tui.shell.form_dialog import FormDialog, form_bindings
from tui.text import clock, safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.api import EngineView
    from engine.model.processing import ProcessorStep, ProcessorTrial
    from tui.processors.form import ProcessorForm


NO_OBJECT = "no object arrived since the engine started; send one and try again"
GLYPHS = {
    Verdict.NOT_SEEN: "–",
    Verdict.SKIPPED: "–",
    Verdict.CONTINUED: "✓",
    Verdict.REJECTED: "▲",
    Verdict.FAILED: "✗",
}
MEANINGS = {
    Verdict.NOT_SEEN: "its projects don't include the object's; nothing would change",
    Verdict.SKIPPED: "its class does not want this object; nothing would change",
    Verdict.CONTINUED: "the object would go on",
    Verdict.REJECTED: "the object would not be stored, and its sender hear of success",
    Verdict.FAILED: "the object would be refused with 0x0110",
}


def trial_head(trial: ProcessorTrial) -> str:
    """Say which object was tried; safe text."""
    if not trial.steps or trial.at is None:
        return NO_OBJECT
    sender = f"from {safe(trial.calling_ae_title)}, {safe(trial.receiver)}"
    return f"the newest object: {clock(trial.at)} {sender}\n{safe(trial.sop_instance_uid)}"


def step_lines(step: ProcessorStep) -> tuple[str, ...]:
    """Say what a processor made of the object, one line for each thing; safe text."""
    meaning = MEANINGS[step.verdict]
    lines = [f"{GLYPHS[step.verdict]} {step.verdict}: {meaning}"]
    lines += [f"  why      {safe(step.why)}"] if step.why else []
    if not step.assigned.assigns_nothing:
        lines.append(f"  assigns  {safe(step.assigned.words())}")
    lines += [f"  {change.change:<8} {safe(change.words())}" for change in step.changes]
    if step.verdict is Verdict.CONTINUED and len(lines) == 1:
        lines.append("  changes  nothing")
    lines.append(f"  took     {step.seconds * 1000:,.1f} ms")
    return tuple(lines)


class TrialScreen(ModalScreen[None], EngineScreen[None]):
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

    def __init__(self, processor: Processor, masked: ProcessorTrial) -> None:
        """Take the processor and its trial, without values."""
        super().__init__()
        self._processor = processor
        self._label = processor.label
        self._masked = masked
        self._shown: ProcessorTrial | None = None
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
        self.query_one("#trial-words", Static).update(self.words)
        values = "v masks values" if self._shown else "v shows values"
        keys = f"{values}   y copy   esc close" if self._masked.steps else "esc close"
        self.query_one("#trial").border_subtitle = Content(keys)

    def action_unmask(self) -> None:
        """Ask for the values, or mask them again."""
        if self._shown is not None:
            self._mask()
        elif self._masked.steps:
            self.ask(self._show_values)

    async def _show_values(self) -> None:
        try:
            self._shown = await self.engine.call("show values", self._unmask, changes=False)
            self._problem = ""
        except EngineError as error:
            self._problem = safe(error.detail)
        else:
            self.set_timer(self.show_seconds, self._mask)
        self._draw()

    def _unmask(self, engine: EngineView) -> ProcessorTrial:
        return engine.processors.shown_test(self._processor, self.console.actor)

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


NOT_TRIED = "only what acts before storing can be tried; this acts on what is stored"


class ProcessorDialog(FormDialog[Processor]):
    """Edits one processor; returns the saved processor, None if cancelled."""

    AUTO_FOCUS = "#label"
    BINDINGS = form_bindings(Binding("ctrl+t", "test", "Try it", id="dialog.try"))
    FOOT_NOTE = "* required"
    TEST = ("test", "Try it")
    GONE = "The processor does not exist any more; nothing can be saved here"

    def __init__(self, form: ProcessorForm) -> None:
        super().__init__()
        self.form: ProcessorForm = form
        # A saved processor shows its problems at once, a new one when a field is left.
        self._touched = set(form.problems()) if form.original else set()

    def fields(self) -> ProcessorFields:
        """Build the body."""
        return ProcessorFields(self.form, self.console.blink)

    def name_of_form(self) -> str:
        """Return the title."""
        original = self.form.original
        return f"Edit processor · {safe(original.label)}" if original else "New processor"

    def name_of_original(self) -> str:
        """Return which processor is changed."""
        return safe(self.form.original.label) if self.form.original else ""

    def store(self, engine: EngineView, changed: Processor, seen: Processor | None) -> Processor:
        """Save the processor."""
        return engine.processors.save(changed, self.console.actor, replacing=seen)

    def current(self, engine: EngineView) -> Processor | None:
        """Return the processor as it is now."""
        original = self.form.original
        found = (status.processor for status in engine.processors.list())
        return next((one for one in found if original and one.id == original.id), None)

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
        if not all(map(self.form.is_checked, self.form.scripts())):
            self.after_pause(self._check)

    def _check(self) -> None:
        for name in self.form.scripts():
            text = self.form.text(name)
            if not text.strip():
                self.form.take_findings(name, text, ())
            elif not self.form.is_checked(name):
                self.ask(self._ask_check, name, text)

    async def _ask_check(self, name: str, text: str) -> None:
        try:
            findings = await self.ask_newest(
                f"check {name}", lambda engine: engine.scripts.check(text)
            )
        except EngineError:
            return  # the next key asks again
        self.form.take_findings(name, text, findings)
        self.sync()

    # Trying it on an object

    def action_test(self) -> None:
        """Try the processor as it is typed on the newest object."""
        if not Location(self.form.text("location")).is_before_storing:
            self._refusal = f"✗ Not tried: {NOT_TRIED}"
            self.sync()
        elif not self.refuse_problems():
            self._last_field = self.body.focused_field() or self.form.field_order[0]
            self.ask(self._try, self.form.result())

    async def _try(self, processor: Processor) -> None:
        try:
            trial = await self.ask_newest("try", lambda engine: engine.processors.test(processor))
        except EngineError as error:
            self.show_refusal(error)
        else:
            self.app.push_screen(TrialScreen(processor, trial))
