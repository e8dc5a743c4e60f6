"""The settings dialogs: plain fields, routing rules with a preview, and scripts with a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from textual import on
from textual.binding import Binding
from textual.widgets import Select, TextArea

from engine.api.objects import ObjectReference
from engine.errors import EngineError, NotFound
from engine.model.anonymization import SITE_SCRIPT
from engine.model.identity import Source
from engine.model.site import SiteSettings
from tui.settings.before_after import (
    BeforeAfter,
    errors,
    finding_remarks,
    findings_in_words,
    problem_of,
)
from tui.settings.form import SettingsFields, note_of
from tui.shell.file_prompt import TRY_FILE, FilePrompt
from tui.shell.form_dialog import FormDialog, form_bindings
from tui.shell.preview_dialog import PreviewDialog
from tui.text import safe
from tui.widgets.form import Beside
from tui.widgets.routing_notes import rule_notes
from tui.widgets.routing_preview import RoutingPreviewPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from engine.api import EngineView
    from engine.api.objects import RecentObject
    from engine.api.scripts import LeftText, ScriptFinding, ScriptPreview, ScriptTrial
    from engine.errors import Problem
    from engine.model.file_sample import FileSample
    from engine.model.processing import RoutingPreview
    from tui.settings.form import SettingsForm
    from tui.settings.site_forms import RoutingForm
    from tui.widgets.field import Note


class ScriptFields(SettingsFields):
    """Has the script last, and below it what it does to a recent object."""

    _findings: tuple[ScriptFinding, ...] = ()

    def compose_more(self) -> ComposeResult:
        """Build the trial."""
        with Beside():
            yield BeforeAfter()

    def take_findings(
        self,
        findings: tuple[ScriptFinding, ...],
        left: tuple[LeftText, ...],
        *,
        checked: bool,
    ) -> None:
        """Take what was found in the script as it is, and what it leaves."""
        self._findings = findings
        text = self.form.text(SITE_SCRIPT)
        self._hints = {
            SITE_SCRIPT: findings_in_words(findings, left, text) if checked else "checking…"
        }

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return the note beside each line."""
        if name != SITE_SCRIPT:
            return super().line_notes(name)
        return tuple(map(note_of, finding_remarks(self.form.text(name), self._findings)))


class SiteRoutingFields(SettingsFields):
    """Has the preview with the rules, and its result below each text."""

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return a mark beside each rule."""
        return rule_notes(self.form.text(name))

    def compose_more(self) -> ComposeResult:
        """Build the preview."""
        with Beside():
            yield RoutingPreviewPanel(Source.SITE)

    def show_preview(self, previews: tuple[RoutingPreview, ...], note: str = "") -> None:
        """Show a dry run of the rules, or say why there is none."""
        self.query_one(RoutingPreviewPanel).show(previews, note)
        self._show_results()

    @on(RoutingPreviewPanel.Moved)
    def _show_results(self) -> None:
        panel = self.query_one(RoutingPreviewPanel)
        words = panel.words if panel.is_current else None
        self.say_below(
            {
                f"{found.attribute.replace('-', '_')}_routing": found.in_one_line
                for found in (words.attributes if words else ())
            }
        )


R = TypeVar("R")
RECENT_OBJECTS = 20
"""So many objects can be chosen to try a script on."""


class SettingsDialog(FormDialog[R]):
    """Edits one `SettingsForm`."""

    BINDINGS = form_bindings()
    form: SettingsForm[R]

    def __init__(
        self,
        form: SettingsForm[R],
        title: str,
        *,
        store: Callable[[EngineView, R, R | None], R],
        current: Callable[[EngineView], R],
    ) -> None:
        """Take the form and its ways to the engine, which are called on another thread.

        Args:
            form: what is edited.
            title: safe text.
            store: saves what replaces another.
            current: returns what is edited as it is now.
        """
        super().__init__()
        self.form = form
        self._form_title = title
        self._store = store
        self._current = current
        self._touched = set(form.problems()) if form.original is not None else set()

    def fields(self) -> SettingsFields:
        """Build the body."""
        return SettingsFields(self.form, self.console.blink)

    def name_of_form(self) -> str:
        """Return the title."""
        return self._form_title

    def name_of_original(self) -> str:
        """Return what is changed."""
        return self._form_title if self.form.original is not None else ""

    @on(Select.Changed)
    def choose(self, event: Select.Changed) -> None:
        """Take over what was chosen."""
        event.stop()
        if event.value is not Select.NULL:
            self.take(event.select.id or "", str(event.value))

    def store(self, engine: EngineView, changed: R, seen: R | None) -> R:
        """Save what replaces what was seen."""
        return self._store(engine, changed, seen)

    def current(self, engine: EngineView) -> R:
        """Return what is edited as it is now."""
        return self._current(engine)


class RoutingDialog(SettingsDialog[SiteSettings], PreviewDialog[SiteSettings]):
    """Edits the rules of the site, and tries them on recent objects of all receivers."""

    form: RoutingForm

    def fields(self) -> SiteRoutingFields:
        """Build the body with the preview in it."""
        return SiteRoutingFields(self.form, self.console.blink)

    def previews(self) -> bool:
        """Tell whether a dry run matters: always, it shows what would be asked."""
        return True

    def draft(self) -> SiteSettings:
        """Return the site as the form says."""
        return self.form.result()

    def preview(
        self, engine: EngineView, draft: SiteSettings, shown: bool, file: FileSample | None
    ) -> tuple[RoutingPreview, ...]:
        """Try the site's rules after those of the receiver that each object came to."""
        actor = self.console.actor
        found = [
            preview
            for receiver in [status.receiver for status in engine.snapshot().receivers]
            for preview in (
                engine.shown_routing(receiver, actor, draft, file)
                if shown
                else engine.preview_routing(receiver, draft, file)
            )
        ]
        return tuple(sorted(found, key=lambda preview: preview.at, reverse=True))


class ScriptForm(Protocol):
    """A form with a script in it."""

    def trial(self) -> ScriptTrial | None:
        """Return what is to be tried on an object; None if it can't be."""
        ...

    def untried(self) -> str:
        """Say why nothing can be tried."""
        ...

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        ...

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        ...


class ScriptDialog(SettingsDialog[R]):
    """Edits settings with a script: checks it while it is typed, and tries it on an object."""

    BINDINGS = form_bindings(
        Binding("f6", "begin", "XNAT's script", id="dialog.begin"),
        TRY_FILE,
    )
    _path = ""

    def __init__(
        self, form: SettingsForm[R], title: str, *, has_default: bool = False, **ways: Any
    ) -> None:
        """Take, besides, whether the engine has a script to begin with."""
        super().__init__(form, title, **ways)
        self._has_default = has_default
        self._findings: tuple[ScriptFinding, ...] = ()
        self._left: tuple[LeftText, ...] = ()
        self._checked: str | None = None
        self._tried_with: tuple[object, ...] | None = None

    @property
    def script(self) -> ScriptForm:
        """The form, as one with a script."""
        return self.form  # type: ignore[return-value]

    @property
    def _shows_script(self) -> bool:
        return SITE_SCRIPT in self.form.visible_fields()

    @property
    def _panel(self) -> BeforeAfter:
        return self.query_one(BeforeAfter)

    def fields(self) -> ScriptFields:
        """Build the body with the trial in it."""
        return ScriptFields(self.form, self.console.blink)

    def on_mount(self) -> None:
        """Look for objects to try the script on."""
        self.ask(self._look_for_objects)

    def show_fields(self, problems: dict[str, tuple[Problem, ...]]) -> None:
        """Make the body show what the form says, and what was found in the script."""
        current = self._checked == self.script.text(SITE_SCRIPT)
        body = self.body
        assert isinstance(body, ScriptFields)
        found = (self._findings, self._left) if current else ((), ())
        body.take_findings(*found, checked=current)
        super().show_fields(problems)

    def sync(self) -> None:
        """Make every widget show what the form says; check and try the script soon."""
        super().sync()
        self.after_pause(self._check_and_try)

    def found_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return all that keeps the form from being saved, the script's errors with it."""
        found = super().found_problems()
        current = self._checked == self.script.text(SITE_SCRIPT)
        if self._shows_script and current and errors(self._findings):
            found[SITE_SCRIPT] = (*found.get(SITE_SCRIPT, ()), *errors(self._findings))
        return {name: found[name] for name in self.form.field_order if name in found}

    def shown_problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return the problems to show; those of the script at once, as they are by line."""
        shown = super().shown_problems()
        found = self.found_problems()
        if SITE_SCRIPT in found:
            shown = {**shown, SITE_SCRIPT: found[SITE_SCRIPT]}
        return {name: shown[name] for name in self.form.field_order if name in shown}

    def stops(self) -> dict[str, tuple[Problem, ...]]:
        """Return what the key for the next problem goes to: problems, and remarks on lines."""
        remarks = tuple(map(problem_of, self._findings))
        shown = self.shown_problems()
        return {**shown, SITE_SCRIPT: remarks} if remarks and self._shows_script else shown

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a script to begin with as long as there is none."""
        if action == "begin":
            is_empty = not self.script.text(SITE_SCRIPT).strip()
            return self._has_default and is_empty and self._shows_script
        return super().check_action(action, parameters)

    def action_begin(self) -> None:
        """Begin with the script that is usual, which only relabels."""
        self.ask(self._begin)

    async def _begin(self) -> None:
        try:
            script = await self.ask_newest("begin", lambda engine: engine.scripts.default_script())
        except EngineError as error:
            self._explain(error)
            return
        self.query_one(f"#{SITE_SCRIPT}", TextArea).text = script
        self.body.focus_field(SITE_SCRIPT)

    def taken_over(self, name: str) -> None:
        """Offer what the changed text allows."""
        self.refresh_bindings()

    # Checking and trying

    @on(BeforeAfter.Wanted)
    def _check_and_try(self) -> None:
        text = self.script.text(SITE_SCRIPT)
        if not text.strip():
            self._take_findings(text, (), ())
        elif text != self._checked:
            self.ask(self._check, text)
        self._try()

    def _try(self) -> None:
        panel, trial = self._panel, self.script.trial()
        if trial is None:
            panel.explain(self.script.untried())
        elif panel.chosen is not None or panel.file is not None:
            asked = (trial, panel.chosen, panel.file, panel.masked)
            if asked != self._tried_with:
                self._tried_with = asked  # before the answer: each pause asks only for news
                self.ask(self._attempt, trial, panel.chosen, panel.file, not panel.masked)

    def action_try_file(self) -> None:
        """Ask for a file to try the script on."""
        prompt = FilePrompt(self._path, self._check_file, blink=self.console.blink)
        self.app.push_screen(prompt, self._take_file)

    async def _check_file(self, file: FileSample) -> None:
        trial = self.script.trial()
        if trial is not None:
            await self.ask_newest(
                "check the file",
                lambda engine: engine.scripts.preview(trial, ObjectReference(), file=file),
            )

    def _take_file(self, answer: tuple[str, FileSample | None] | None) -> None:
        if answer is not None:
            self._path, file = answer
            self._panel.take_file(file)

    async def _look_for_objects(self) -> None:
        try:
            recent = await self.ask_newest(
                "recent objects", lambda engine: engine.objects.recent(limit=RECENT_OBJECTS)
            )
        except EngineError as error:
            self._explain(error)
            return
        self._panel.choose_from(
            tuple(one for one in recent if one.as_received or one.reference.file)
        )
        self._try()

    async def _check(self, text: str) -> None:
        try:
            found = await self.ask_newest(
                "check", lambda engine: (engine.scripts.check(text), engine.scripts.left(text))
            )
        except EngineError:
            return  # an unchecked script is checked when it is saved
        self._take_findings(text, *found)

    async def _attempt(
        self,
        trial: ScriptTrial,
        recent: RecentObject | None,
        file: FileSample | None,
        shown: bool,
    ) -> None:
        reference = recent.reference if recent is not None else ObjectReference()
        received = recent is not None and recent.as_received
        actor = self.console.actor

        def attempt(engine: EngineView) -> ScriptPreview:
            if shown:
                return engine.scripts.shown_preview(
                    trial, reference, actor, as_received=received, file=file
                )
            return engine.scripts.preview(trial, reference, as_received=received, file=file)

        try:
            preview = await self.ask_newest("try", attempt)
        except NotFound as error:
            if file is None and self._panel.take_as_stored():
                self._tried_with = None
                self._try()
            else:
                self._explain(error)
        except EngineError as error:
            self._explain(error)
        else:
            if file is self._panel.file:
                self._panel.show(preview)

    def _explain(self, error: EngineError) -> None:
        """Say why nothing could be tried."""
        self._tried_with = None
        why = safe(f"{error.detail}; {error.remedy}" if error.remedy else error.detail)
        self._panel.explain(f"no preview: {why}")

    def _take_findings(
        self, text: str, findings: tuple[ScriptFinding, ...], left: tuple[LeftText, ...]
    ) -> None:
        if (text, findings) != (self._checked, self._findings):
            self._checked, self._findings, self._left = text, findings, left
            self.sync()
            self.refresh_bindings()
