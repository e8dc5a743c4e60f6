"""The dialog around a form: it shows problems, saves, and stays open when the engine refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, TypeVarTuple

from rich.cells import cell_len
from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import ScreenResume
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, Switch, TextArea
from textual.widgets._footer import FooterKey

from engine.errors import (
    ChangedMeanwhile,
    ConfigurationError,
    CorruptConfiguration,
    EngineError,
    NotFound,
)
from tui.shell.dialogs import QuestionDialog
from tui.shell.engine_app import EngineScreen
from tui.text import counted, safe
from tui.widgets.form import Beside, Entry, FormFields
from tui.widgets.known_names import known_names
from tui.widgets.panel import Excerpt

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import DescendantBlur
    from textual.widget import Widget

    from engine.api import EngineView
    from engine.errors import Problem
    from tui.widgets.form import Form


class DialogKeys(Footer):
    """The keys of a dialog; without room for all, those are left out that are said elsewhere."""

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("focus_previous", "focus_next", "next_problem")
    """The first one first. The sentence above the buttons names the key of the last one."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)

    def compose(self) -> ComposeResult:
        """Build the keys that fit."""
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        for action in self.LEFT_OUT:
            if sum(map(_key_width, keys)) > self.screen.size.width + 1:
                keys = [key for key in keys if key.action.rpartition(".")[2] != action]
        yield from keys

    def on_resize(self) -> None:
        """Build those that fit now."""
        self.bindings_changed(self.screen)


def _key_width(key: FooterKey) -> int:
    return cell_len(key.key_display) + cell_len(key.description) + 2


class DialogFoot(Vertical):
    """Shows what saving means, or why it failed."""

    def __init__(self, test: tuple[str, str] | None = None) -> None:
        """Take id and words of the button that tests what is typed, if there is one."""
        super().__init__(id="foot")
        self._test = test

    def compose(self) -> ComposeResult:
        """Lay out words above buttons."""
        yield Excerpt(id="refusal")
        yield Excerpt(id="summary")
        with Horizontal(id="buttons"):
            # As in every dialog: the safe one first, and last what the dialog is for.
            yield Button("Cancel  esc", id="cancel", compact=True)
            yield Button("Reload  ^r", id="reload", variant="warning", compact=True)
            if self._test is not None:
                test_id, words = self._test
                yield Button(Content(f"{words}  ^t"), id=test_id, compact=True)
            yield Button("Save  ^s", id="save", variant="primary", compact=True)

    def summarize(self, words: str) -> None:
        """Show what saving means; safe text."""
        self.query_one("#summary", Excerpt).update(words, layout=False)

    def show(self, refusal: str, *, saving: bool, can_reload: bool) -> None:
        """Show why nothing was saved, and what the buttons can do."""
        shown = self.query_one("#refusal", Excerpt)
        shown.update(refusal)
        shown.set_class(bool(refusal), "-shown")
        shown.set_class(not refusal.startswith("✗"), "-calm")
        self.query_one("#reload", Button).display = can_reload
        save = self.query_one("#save", Button)
        save.label = "Saving…" if saving else "Save  ^s"
        save.disabled = saving


def refusal_words(error: EngineError) -> str:
    """Return title, detail and remedy of an error, in one or two lines of safe text."""
    said_already = error.detail.casefold().startswith(error.title.casefold())
    said = error.detail if said_already else f"{error.title}: {error.detail}"
    remedy = "" if error.remedy in error.detail else f"\n→ {error.remedy}"
    return "\n".join(map(safe, f"✗ {said[:1].upper()}{said[1:]}{remedy}".splitlines()))


R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
REFUSED = "✗ Not saved: the engine refused what is marked ✗"
RELOADS = "ctrl+r takes over those changes and keeps yours; then save again"
WAITS_FOR_SAVING = frozenset(
    ("save", "test", "test_port", "reload", "next_problem", "cancel", "help_field")
)


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


# ModalScreen first: Textual takes styles and names for queries from the first base only.
class FormDialog(ModalScreen[R | None], EngineScreen[R | None], Generic[R]):
    """Edits one thing; returns the saved thing, None if cancelled."""

    CSS_PATH = "../shell/style.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (110, "-columns")]
    FOOT_NOTE: ClassVar[str] = ""
    """What the frame says at the bottom while nothing is wrong."""
    TEST: ClassVar[tuple[str, str] | None] = None
    """Id and words of the button that tests what is typed, if there is one."""
    GONE: ClassVar[str] = "It does not exist any more; nothing can be saved here"
    form: Form[R]

    def __init__(self) -> None:
        super().__init__()
        self._saving = False
        self._is_agreed = False
        """Whether `question` was asked, and answered with yes."""
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
        """Called after a value has changed."""

    def question(self) -> QuestionDialog | None:
        """Return what is asked once before the form is saved, if anything."""
        return None

    # What it asks of the engine, on another thread

    def store(self, engine: EngineView, changed: R, seen: R | None) -> R:
        """Save what replaces what was seen, None for something new; return what was saved."""
        raise NotImplementedError

    def current(self, engine: EngineView) -> R | None:
        """Return what is edited as it is now; None, or `NotFound`, if it is gone."""
        raise NotImplementedError

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
        yield DialogKeys()

    def on_mount(self) -> None:
        """Show the form, and ask for the names that complete its fields."""
        self.sync()
        if any(map(self.body.completes, self.form.field_order)):
            self.ask(self._ask_names)

    async def _ask_names(self) -> None:
        try:
            self.body.names = await self.ask_newest("names", known_names)
        except EngineError:
            return  # without names, nothing is completed

    def set_focus(
        self, widget: Widget | None, scroll_visible: bool = True, from_app_focus: bool = False
    ) -> None:
        """Leave it to the body to scroll to a field that fits into it.

        Textual scrolls to the control alone, and leaves what is wrong with it out of view. Its way
        there is animated, and would end after that of the body, and elsewhere.
        """
        bodies = self.query(FormFields)
        by_body = widget is not None and any(
            body.field_that_fits(widget) is not None for body in bodies
        )
        super().set_focus(widget, scroll_visible and not by_body, from_app_focus)

    def on_resize(self) -> None:
        """Keep the buttons in view at every height, and the field that is edited."""
        self.call_after_refresh(self._fit)
        self.body.see_focused()

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

    @on(Entry.Refused)
    def say_refused(self, event: Entry.Refused) -> None:
        """Say that a character, or all that was pasted, was not taken, and what would be."""
        event.stop()
        label = self.form.label(event.name).strip(" *")
        allowed = self.body.hint(event.name) or "see f1"
        self.app.clear_notifications()  # held down, a key would fill the screen with them
        self.console.show_toast(f"{label}: that was not inserted. Allowed: {allowed}", "warning")

    def take(self, name: str, value: str | bool) -> None:
        """Take over a value, unless it is the form's already."""
        if self.form.value(name) == value:
            return
        self.form.set(name, value)
        self._refused = {}
        self.taken_over(name)
        self.sync()

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Show the problems of a field once the focus has left it."""
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
            self.set_class(any(beside.display for beside in self.query(Beside)), "-beside")
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
        """Save if no visible field has a problem, else show all problems."""
        if self.refuse_problems():
            return
        question = None if self._is_agreed else self.question()
        if question is None:
            self._begin_to_save()
        else:
            self.app.push_screen(question, self._save_if_agreed)

    def _save_if_agreed(self, answer: str | None) -> None:
        if answer is not None:
            self._is_agreed = True
            self._begin_to_save()

    def _begin_to_save(self) -> None:
        self._last_field = self.body.focused_field() or self.form.field_order[0]
        self._saving = True
        self.sync()
        self.ask(self._save, self.form.result(), self.form.original)

    def refuse_problems(self) -> bool:
        """Show all problems, if there are any, and go to the first."""
        self._tried = True
        self._refusal = ""
        problems = self.found_problems()
        if problems:
            self.sync()
            self._go_to(problems)
        return bool(problems)

    async def _save(self, changed: R, seen: R | None) -> None:
        try:
            saved = await self.engine.call("save", self.store, changed, seen)
        except EngineError as error:
            self._saving = False
            self.show_refusal(error)
        else:
            self._saving = False
            self._saved = saved
            self.close_once_saved()

    def show_refusal(self, error: EngineError) -> None:
        """Show why the engine refused, at the fields concerned."""
        # A file that can't be read is no fault of a field: the foot alone says so.
        if isinstance(error, ConfigurationError) and not isinstance(error, CorruptConfiguration):
            self._refused = self.refused(error.problems)
            self._tried = True
        self._changed_meanwhile = isinstance(error, ChangedMeanwhile)
        # What is wrong is said at the fields, in the words of their labels.
        self._refusal = REFUSED if self._refused else refusal_words(error)
        if isinstance(error, ChangedMeanwhile):
            self._refusal = f"✗ Not saved: {safe(error.detail)}\n→ {RELOADS}"
        self.sync()
        if self._refused:
            self._go_to(self._refused)
        else:
            self.body.focus_field(self._last_field or self.form.field_order[0])

    def action_reload(self) -> None:
        """Edit the thing as it is now, with the changes that were made here."""
        self.ask(self._reload)

    async def _reload(self) -> None:
        current: R | None
        try:
            current = await self.ask_newest("reload", self.current)
        except NotFound:
            current = None
        except EngineError as error:
            self._refusal = refusal_words(error)
            self.sync()
            return
        self._go_on_with(current)

    def _go_on_with(self, current: R | None) -> None:
        if current is None:
            self._refusal = f"✗ {self.GONE}"
        else:
            kept = ", ".join(self.form.label(name).strip() for name in self.form.rebase(current))
            self._refusal = f"↻ Reloaded. Your own changes are kept: {kept or 'there are none'}"
            self._refused = {}
            self.body.refill()
        self._changed_meanwhile = False
        self._touched.update(self.form.problems())
        self.sync()

    async def ask_newest(self, what: str, run: Callable[[EngineView, *Ts], T], *args: *Ts) -> T:
        """Ask for something that changes nothing; a newer question of that name replaces this one.

        Raises:
            EngineError: what the engine says.
            CancelledError: if a newer question was asked meanwhile.
        """
        about = (what, id(self))  # of this dialog only: others may be open below it
        return await self.engine.call(what, run, *args, about=about, changes=False, latest=True)

    @on(ScreenResume)
    def close_once_saved(self) -> None:
        """Close after saving; a screen that came on top meanwhile is waited for."""
        if self._saved is not None and self.is_active:
            saved, self._saved = self._saved, None  # at resume too, but only once
            self.dismiss(saved)

    def stops(self) -> dict[str, tuple[Problem, ...]]:
        """Return what the key for the next problem goes to, by field."""
        return self.shown_problems()

    def action_next_problem(self) -> None:
        """Go to the next line or field with a problem, from the last one back to the first."""
        order, focused = self.form.field_order, self.body.focused_field()
        stops: dict[tuple[int, int], tuple[str, Problem]] = {}
        for name, problems in self.stops().items():
            for problem in problems:
                stops.setdefault((order.index(name), problem.line or 0), (name, problem))
        if not stops:
            return
        at_end = (len(order), 0)
        here = (order.index(focused), self.body.line_in(focused)) if focused else at_end
        name, problem = stops[min((at for at in stops if at > here), default=min(stops))]
        self.body.focus_field(name, problem.line, problem.column)

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
        question = QuestionDialog.over_form(
            "Discard changes?", f"{lost} will be lost.", "Discard", cancel="Keep editing"
        )

        def decide(answer: str | None) -> None:
            if answer:
                self.dismiss(None)

        self.app.push_screen(question, decide)

    def action_help_field(self) -> None:
        """Explain the focused field, with examples."""
        name = self.body.focused_field() or self.form.field_order[0]
        title, text = f"Help · {self.form.label(name).strip()}", self.form.help(name)
        self.app.push_screen(QuestionDialog.notice(title, text))

    @on(Button.Pressed)
    async def press(self, event: Button.Pressed) -> None:
        """Do what the button's key would do."""
        event.stop()
        await self.run_action(f"screen.{(event.button.id or '').replace('-', '_')}")
