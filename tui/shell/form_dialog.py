"""The dialog around a form: it shows problems, saves, and stays open when the engine refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import ScreenResume
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Static, Switch, TextArea
from textual.worker import Worker, WorkerState

from engine.errors import ChangedMeanwhile, ConfigurationError, EngineError
from tui.shell.dialogs import ChoiceDialog
from tui.text import counted, safe
from tui.widgets.form import FormFields

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import DescendantBlur

    from engine.errors import Problem
    from tui.widgets.form import Form


class DialogFoot(Vertical):
    """Says what saving would mean, or why it did not work."""

    def __init__(self, test: tuple[str, str] | None = None) -> None:
        """Take id and words of the button that tests what is typed, if there is one."""
        super().__init__(id="foot")
        self._test = test

    def compose(self) -> ComposeResult:
        """Lay out words above buttons."""
        yield Static(id="refusal", markup=False)
        yield Static(id="summary", markup=False)
        with Horizontal(id="buttons"):
            yield Button("Reload  ^r", id="reload", variant="warning", compact=True)
            if self._test is not None:
                test_id, words = self._test
                yield Button(Content(f"{words}  ^t"), id=test_id, compact=True)
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


def refusal_words(outcome: object, verb: str = "saved") -> str:
    """Return title, detail and remedy of an error, in one or two lines of safe text."""
    if not isinstance(outcome, EngineError):
        return safe(f"✗ Not {verb}: an unexpected error ({type(outcome).__name__}: {outcome})")
    said_already = outcome.detail.casefold().startswith(outcome.title.casefold())
    said = outcome.detail if said_already else f"{outcome.title}: {outcome.detail}"
    remedy = "" if outcome.remedy in outcome.detail else f"\n→ {outcome.remedy}"
    return "\n".join(map(safe, f"✗ {said[:1].upper()}{said[1:]}{remedy}".splitlines()))


R = TypeVar("R")
RELOADS = "ctrl+r takes over those changes and keeps yours; then save again"
WAITS_FOR_SAVING = frozenset(
    ("save", "test", "test_port", "reload", "next_problem", "cancel", "help_field")
)
SAVES = "form-save"


def form_bindings(*own: BindingType) -> list[BindingType]:
    """Return the keys of a form dialog with its own ones in their place."""
    return [
        Binding("tab", "app.focus_next", "Next", key_display="tab", id="dialog.next"),
        Binding("shift+tab", "app.focus_previous", "Back", key_display="⇧tab", id="dialog.back"),
        Binding("ctrl+s", "save", "Save", id="dialog.save"),
        *own,
        Binding("ctrl+r", "reload", "Reload", id="dialog.reload"),
        Binding("f8", "next_problem", "Next problem", id="dialog.next_problem"),
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("f1", "help_field", "Help", id="dialog.help"),
    ]


class FormDialog(ModalScreen[R | None], Generic[R]):
    """Edits one thing; dismisses with what was saved, or with None when given up."""

    CSS_PATH = "../shell/style.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    FOOT_NOTE: ClassVar[str] = ""
    """What the frame says at the bottom while nothing is wrong."""
    TEST: ClassVar[tuple[str, str] | None] = None
    """Id and words of the button that tests what is typed, if there is one."""
    form: Form[R]

    def __init__(self, save: Callable[[R, R | None], R]) -> None:
        """Take what saves (changed, as it was seen); called on a worker thread."""
        super().__init__()
        self._save = save
        self._saving = False
        self._saved: R | None = None
        self._tried = False
        self._touched: set[str] = set()
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._refusal = ""
        self._changed_meanwhile = False
        self._problem_count = 0
        self._shown_state: tuple[int, bool, str] | None = None
        self._last_field = ""

    # What a dialog says about itself

    def fields(self) -> FormFields:
        """Build the body."""
        raise NotImplementedError

    def name_of_form(self) -> str:
        """Return the title; safe text."""
        raise NotImplementedError

    def name_of_original(self) -> str:
        """Return what the changes are to; empty for something new."""
        return ""

    def show_fields(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        """Make the body show what the form says."""
        self.body.show(problems)

    def taken_over(self, name: str) -> None:
        """Do what follows from a changed value."""

    def refused(self, problems: tuple[Problem, ...]) -> dict[str, tuple[Problem, ...]]:
        """Return the engine's problems by field."""
        return self.form.by_field(problems)

    # What it does

    @property
    def body(self) -> FormFields:
        """The scrolling body."""
        return self.query_one(FormFields)

    def compose(self) -> ComposeResult:
        """Lay out every field once; `sync` shows and hides them."""
        with Vertical(id="box"):
            yield self.fields()
            yield DialogFoot(self.TEST)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Show the form."""
        self.sync()

    def on_resize(self) -> None:
        """Keep the buttons in view at every height."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        for foot in self.query(DialogFoot):
            taken = foot.outer_size.height + (3 if self.has_class("-narrow") else 5)
            self.body.styles.max_height = max(3, self.size.height - taken)

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Switch.Changed)
    def take_over(self, event: Input.Changed | TextArea.Changed | Switch.Changed) -> None:
        """Take a changed value into the form."""
        event.stop()
        name = event.control.id or ""
        value = event.text_area.text if isinstance(event, TextArea.Changed) else event.value
        self.take(name, value)

    def take(self, name: str, value: str | bool) -> None:
        """Take over a value, unless it is the form's already."""
        if self.form.value(name) == value:
            return
        self.form.set(name, value)
        self._refused = {}
        self.taken_over(name)
        self.sync()

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
            self.show_fields(problems)
            self._show_words()
            if state != self._shown_state:
                self._shown_state = state
                self._show_state()

    def found_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return all that keeps the form from being saved."""
        return self.form.problems()

    def shown_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return the problems of the fields that were left, or all once saving was tried."""
        found = {**self.found_problems(), **self._refused}
        return {
            name: found[name]
            for name in self.form.field_order
            if name in found and (self._tried or name in self._touched)
        }

    def _show_words(self) -> None:
        unsaved = ("  ● unsaved changes", "$text-warning") if self.form.is_dirty() else ""
        self.query_one("#box").border_title = Content.assemble(self.name_of_form(), unsaved)
        found = counted(self._problem_count, "problem")
        words = f"✗ {found}; f8 goes there" if self._problem_count else self.form.summary()
        self.query_one(DialogFoot).summarize(words)

    def _show_state(self) -> None:
        bad = bool(self._problem_count)
        box = self.query_one("#box")
        problems = counted(self._problem_count, "problem")
        box.border_subtitle = Content(problems if bad else self.FOOT_NOTE)
        box.set_class(bad, "-bad")
        self.body.disabled = self._saving
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
        return action != "next_problem" or bool(self.stops())

    def action_save(self) -> None:
        """Save if everything visible is right, else show all that is wrong."""
        if self.refuse_problems():
            return
        self._last_field = self.body.focused_field() or self.form.field_order[0]
        self._saving = True
        self.sync()
        self._store(self.form.result(), self.form.original)

    def refuse_problems(self) -> bool:
        """Show all that is wrong, if anything is, and go to the first of it."""
        self._tried = True
        self._refusal = ""
        problems = self.found_problems()
        if problems:
            self.sync()
            self._go_to(problems)
        return bool(problems)

    @work(thread=True, group=SAVES, exit_on_error=False)
    def _store(self, changed: R, seen: R | None) -> R | EngineError:
        try:
            return self._save(changed, seen)
        except EngineError as error:
            return error

    @on(Worker.StateChanged)
    def finish_work(self, event: Worker.StateChanged) -> None:
        """Take over what a worker brought."""
        event.stop()
        if event.state not in (WorkerState.SUCCESS, WorkerState.ERROR):
            return
        succeeded = event.state is WorkerState.SUCCESS
        outcome = event.worker.result if succeeded else event.worker.error
        if event.worker.group == SAVES:
            self._finish_save(outcome)
        else:
            self.finished(event.worker.group, outcome)

    def finished(self, group: str, outcome: Any) -> None:
        """Take over what a worker of the dialog's own brought."""

    def _finish_save(self, outcome: Any) -> None:
        self._saving = False
        if not isinstance(outcome, BaseException):
            self._saved = outcome
            self.close_once_saved()
            return
        self.show_refusal(outcome)

    def show_refusal(self, outcome: object, verb: str = "saved") -> None:
        """Say why the engine refused, at the fields that are to blame."""
        if isinstance(outcome, ConfigurationError):
            self._refused = self.refused(outcome.problems)
            self._tried = True
        self._changed_meanwhile = isinstance(outcome, ChangedMeanwhile)
        self._refusal = refusal_words(outcome, verb)
        if isinstance(outcome, ChangedMeanwhile):
            self._refusal = f"✗ Not saved: {safe(outcome.detail)}\n→ {RELOADS}"
        self.sync()
        if self._refused:
            self._go_to(self._refused)
        else:
            self.body.focus_field(self._last_field or self.form.field_order[0])

    def go_on_with(self, current: R | None, gone: str) -> None:
        """Edit the thing as it is now, with the changes that were made here.

        Args:
            current: the thing; None if it is gone.
            gone: a sentence for that.
        """
        if current is None:
            self._refusal = f"✗ {gone}"
        else:
            kept = ", ".join(self.form.label(name).strip() for name in self.form.rebase(current))
            self._refusal = f"↻ Reloaded. Your own changes are kept: {kept or 'there are none'}"
            self._refused = {}
            self.body.refill()
        self._changed_meanwhile = False
        self._touched.update(self.form.problems())
        self.sync()

    @on(ScreenResume)
    def close_once_saved(self) -> None:
        """Close after saving; a screen that came on top meanwhile is waited for."""
        if self._saved is not None and self.is_active:
            saved, self._saved = self._saved, None
            self.dismiss(saved)

    def stops(self) -> dict[str, tuple[Problem, ...]]:
        """Return what the key for the next problem goes to, by field."""
        return self.shown_problems()

    def action_next_problem(self) -> None:
        """Go to the next field with a problem, from the last one back to the first."""
        stops = self.stops()
        names = [name for name in self.form.field_order if name in stops]
        order = self.form.field_order
        here = order.index(self.body.focused_field() or order[-1])
        later = [name for name in names if order.index(name) > here]
        self._go_to({name: stops[name] for name in later or names})

    def _go_to(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        for name, found in problems.items():
            self.body.focus_field(name, found[0].line, found[0].column)
            return

    def action_cancel(self) -> None:
        """Close; ask first if anything would be lost."""
        if not self.form.is_dirty():
            self.dismiss(None)
            return
        original = self.name_of_original()
        lost = f"The changes to {original}" if original else "What you typed"
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
        name = self.body.focused_field() or self.form.field_order[0]
        title, text = f"Help · {self.form.label(name).strip()}", self.form.help(name)
        self.app.push_screen(ChoiceDialog(title, text, refuse="Close"))

    @on(Button.Pressed)
    async def press(self, event: Button.Pressed) -> None:
        """Do what the button's key would do."""
        event.stop()
        await self.run_action(f"screen.{(event.button.id or '').replace('-', '_')}")
