"""A dialog that edits one thing: draws a form, saves it, and returns what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import on, work
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import ScreenResume
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Switch, TextArea
from textual.worker import Worker, WorkerState

from engine.errors import ChangedMeanwhile, ConfigurationError, EngineError
from tui.screens.choice import ChoiceDialog
from tui.text import counted, safe
from tui.widgets.dialog_foot import DialogFoot
from tui.widgets.refusal import refusal_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import DescendantBlur

    from engine.errors import Problem
    from tui.forms.edited_form import EditedForm
    from tui.widgets.form_fields import FormFields

T = TypeVar("T")

RELOADS = "ctrl+r takes over those changes and keeps yours; then save again"
WAITS_FOR_SAVING = frozenset(("save", "reload", "next_problem", "cancel", "help_field"))
SAVE = "form-save"


def form_bindings(*own: BindingType) -> list[BindingType]:
    """Return the keys of every such dialog, with its own behind the one that saves."""
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


class FormDialog(ModalScreen[T | None], Generic[T]):
    """Edits one thing; dismisses with what was saved, or with None when given up."""

    CSS_PATH = "../styles/dialog.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    NOUN: ClassVar[str] = "thing"
    """What is edited, for sentences."""
    TEST: ClassVar[tuple[str, str]] = ("test", "Test")
    """Id and words of the button that tests what is typed."""

    def __init__(
        self,
        form: EditedForm[T],
        *,
        save: Callable[[T, T | None], T],
        current: Callable[[int], T | None],
    ) -> None:
        """Take what is edited, what stores it in place of another, and what looks again by id.

        Both may block.
        """
        super().__init__()
        self._edited = form
        self._save = save
        self._current = current
        self._saving = False
        self._saved: T | None = None
        self._tried = False
        self._touched = set(form.problems()) if form.original else set[str]()
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._refusal = ""
        self._changed_meanwhile = False
        self._problem_count = 0
        self._shown_state: tuple[int, bool, str] | None = None
        self._last_field = form.field_order[0]

    # What a subclass says

    @property
    def body(self) -> FormFields:
        """The fields."""
        raise NotImplementedError

    def compose_fields(self) -> ComposeResult:
        """Build the body."""
        raise NotImplementedError

    def result(self) -> T:
        """Return what is to be stored; called only while nothing is wrong."""
        raise NotImplementedError

    def heading(self) -> str:
        """Return the title of the dialog; safe text."""
        raise NotImplementedError

    def name_of(self, original: T) -> str:
        """Return what the edited thing is called; safe text."""
        raise NotImplementedError

    def show_fields(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        """Make every widget of the body show what the form says."""
        self.body.show_fields(problems)

    def changed(self, name: str) -> None:
        """Do what follows from a change of one field, before the form is shown again."""

    def shown(self) -> None:
        """Do what follows after the form was shown again."""

    def reveal(self, problems: tuple[Problem, ...]) -> None:
        """Open what hides the fields that the engine refused."""

    def finish_other(self, group: str, outcome: object) -> None:
        """Take over what another worker than the one that saves brought."""

    # Laying out

    def compose(self) -> ComposeResult:
        """Lay out every field once; `sync` shows and hides them."""
        with Vertical(id="box"):
            yield from self.compose_fields()
            yield DialogFoot(*self.TEST)
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

    # Values

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Switch.Changed)
    def take_over(self, event: Input.Changed | TextArea.Changed | Switch.Changed) -> None:
        """Take a changed value into the form."""
        event.stop()
        name = event.control.id or ""
        value = event.text_area.text if isinstance(event, TextArea.Changed) else event.value
        if self._edited.value(name) == value:
            return
        self._edited.set(name, value)
        self._refused = {}
        self.changed(name)
        self.sync()

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Say what is wrong with a field once it has been left."""
        known = event.widget.id in self._edited.field_order
        if known and event.widget.id and event.widget.id not in self._touched:
            self._touched.add(event.widget.id)
            self.sync()

    # Showing

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
        self.shown()

    def shown_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return the problems of the fields that were left, or all once saving was tried."""
        found = {**self._edited.problems(), **self._refused}
        return {
            name: found[name]
            for name in self._edited.field_order
            if name in found and (self._tried or name in self._touched)
        }

    def _show_words(self) -> None:
        unsaved = ("  ● unsaved changes", "$text-warning") if self._edited.is_dirty() else ""
        self.query_one("#box").border_title = Content.assemble(self.heading(), unsaved)
        found = counted(self._problem_count, "problem")
        words = f"✗ {found}; f8 goes there" if self._problem_count else self._edited.summary()
        self.query_one(DialogFoot).summarize(words)

    def _show_state(self) -> None:
        bad = bool(self._problem_count)
        box = self.query_one("#box")
        problems = counted(self._problem_count, "problem")
        box.border_subtitle = Content(problems if bad else "* required")
        box.set_class(bad, "-bad")
        self.body.disabled = self._saving
        foot = self.query_one(DialogFoot)
        foot.show(self._refusal, saving=self._saving, can_reload=self._changed_meanwhile)
        self.refresh_bindings()
        self.call_after_refresh(self._fit)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey everything out while saving; offer the next problem only if there is one."""
        if self._saving and (action in WAITS_FOR_SAVING or action.startswith("test")):
            return None
        if action == "reload":
            return self._changed_meanwhile
        return action != "next_problem" or bool(self._problem_count)

    # Saving

    def action_save(self) -> None:
        """Save if everything visible is right, else show all that is wrong."""
        if self.refuse_problems():
            return
        self._last_field = self.body.focused_field() or self._edited.field_order[0]
        self._saving = True
        self.sync()
        self._store(self.result(), self._edited.original)

    def refuse_problems(self) -> bool:
        """Show all that is wrong, if anything is, and go to the first of it."""
        self._tried = True
        self._refusal = ""
        problems = self._edited.problems()
        if problems:
            self.sync()
            self._go_to(problems)
        return bool(problems)

    @work(thread=True, group=SAVE, exit_on_error=False)
    def _store(self, wanted: T, seen: T | None) -> T | EngineError:
        try:
            return self._save(wanted, seen)
        except EngineError as error:
            return error

    @on(Worker.StateChanged)
    def finish_work(self, event: Worker.StateChanged) -> None:
        """Take over what a worker brought."""
        event.stop()
        worker: Worker[Any] = event.worker
        if event.state not in (WorkerState.SUCCESS, WorkerState.ERROR):
            return
        outcome: Any = worker.result if event.state is WorkerState.SUCCESS else worker.error
        if worker.group != SAVE:
            self.finish_other(worker.group, outcome)
        elif event.state is WorkerState.SUCCESS and not isinstance(outcome, EngineError):
            self._saving = False
            self._saved = outcome
            self.close_once_saved()
        else:
            self._saving = False
            self.show_refusal(outcome)

    def show_refusal(self, outcome: object, verb: str = "saved") -> None:
        """Say why the engine refused, at the fields that are to blame."""
        if isinstance(outcome, ConfigurationError):
            self.reveal(outcome.problems)
            self._refused = self._edited.by_field(outcome.problems)
            self._tried = True
        self._changed_meanwhile = isinstance(outcome, ChangedMeanwhile)
        self._refusal = refusal_words(outcome, verb)
        if isinstance(outcome, ChangedMeanwhile):
            self._refusal = f"✗ Not saved: {safe(outcome.detail)}\n→ {RELOADS}"
        self.sync()
        if self._refused:
            self._go_to(self._refused)
        else:
            self.body.focus_field(self._last_field)

    @on(ScreenResume)
    def close_once_saved(self) -> None:
        """Close after saving; a screen that came on top meanwhile is waited for."""
        if self._saved is not None and self.is_active:
            saved, self._saved = self._saved, None
            self.dismiss(saved)

    def action_reload(self) -> None:
        """Edit the thing as it is now, with the changes that were made here."""
        original = self._edited.original
        number = getattr(original, "id", None)
        self.take_current(self._current(number) if number is not None else None)

    def take_current(self, current: T | None) -> None:
        """Edit the thing as somebody else left it, unless it is gone."""
        if current is None:
            self._refusal = f"✗ The {self.NOUN} does not exist any more; nothing can be saved here"
        else:
            labels = (self._edited.label(name).strip() for name in self._edited.rebase(current))
            kept = ", ".join(labels) or "there are none"
            self._refusal = f"↻ Reloaded. Your own changes are kept: {kept}"
            self._refused = {}
            self.body.refill()
        self._changed_meanwhile = False
        self._touched.update(self._edited.problems())
        self.sync()

    # Moving

    def action_next_problem(self) -> None:
        """Go to the next field with a problem, from the last one back to the first."""
        names = list(self.shown_problems())
        order = self._edited.field_order
        here = order.index(self.body.focused_field() or order[-1])
        later = [name for name in names if order.index(name) > here]
        self._go_to({name: self.shown_problems()[name] for name in later or names})

    def _go_to(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        for name, found in problems.items():
            self.body.focus_field(name, found[0].line, found[0].column)
            return

    def action_cancel(self) -> None:
        """Close; ask first if anything would be lost."""
        if not self._edited.is_dirty():
            self.dismiss(None)
            return
        original = self._edited.original
        lost = f"The changes to {self.name_of(original)}" if original else "What you typed"
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
        name = self.body.focused_field() or self._edited.field_order[0]
        title, text = f"Help · {self._edited.label(name).strip()}", self._edited.help(name)
        self.app.push_screen(ChoiceDialog(title, text, refuse="Close"))

    @on(Button.Pressed)
    async def press(self, event: Button.Pressed) -> None:
        """Do what the button's key would do."""
        event.stop()
        await self.run_action(f"screen.{(event.button.id or '').replace('-', '_')}")
