"""The dialog that reviews a session: labels, project and scans, and what happens with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, SelectionList, Static

from engine.errors import EngineError
from engine.model.identity import LABEL_REMEDY, UNASSIGNED, is_label
from engine.model.session import SessionAction
from tui.sessions.words import edit_words, scan_words
from tui.shell.engine_app import EngineScreen
from tui.text import safe
from tui.widgets.completion import COMPLETES, NameSuggester, name_begun, offered

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from textual.app import ComposeResult

    from engine.api.sessions import EditPreview, SessionDetail

    Preview = Callable[["Review"], Coroutine[Any, Any, EditPreview]]


@dataclass(frozen=True, slots=True)
class Review:
    """What a person decided about a session; an empty text leaves what is there."""

    project: str = ""
    subject: str = ""
    label: str = ""
    removed: tuple[str, ...] = ()
    """Ids of the scans that go to the trash."""
    archive: bool = False

    @property
    def renames(self) -> bool:
        """Whether project or labels change."""
        return bool(self.project or self.subject or self.label)


NAMES = ("project", "subject", "label")
_FIELDS = (("project", "Project"), ("subject", "Subject"), ("label", "Session"))
_ARCHIVE, _SAVE, _CANCEL = "archive", "save", "cancel"


class ReviewDialog(ModalScreen[Review | None], EngineScreen[Review | None]):
    """Returns what was decided; escape returns nothing."""

    BINDINGS = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("ctrl+s", "decide('save')", "Save"),
        Binding("ctrl+a", "decide('archive')", "Save and archive", priority=True),
    ]

    def __init__(
        self, detail: SessionDetail, projects: Sequence[str], preview: Preview, *, blink: bool
    ) -> None:
        """Take the session, the ids of all projects, and who says what names would come to."""
        super().__init__()
        session = detail.session
        self._detail = detail
        self._before = {
            "project": session.project or "",
            "subject": session.subject or "",
            "label": session.label,
        }
        self._projects = tuple(projects)
        self._preview = preview
        self._blink = blink
        self._said: EditPreview | str | None = None

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box -wide") as box:
            box.border_title = Content(f"Review {safe(self._before['label'], 60)}")
            box.border_subtitle = Content(f"{COMPLETES}   ^s save   ^a and archive   esc cancel")
            with VerticalScroll(can_focus=False, classes="scroll"):
                for name, words in _FIELDS:
                    with Horizontal(classes="line"):
                        yield Static(words, classes="name", markup=False)
                        field = Input(self._before[name], id=name, compact=True)
                        field.cursor_blink = self._blink
                        if name == "project":
                            field.suggester = NameSuggester(self._project_begun)
                            field.placeholder = UNASSIGNED
                        yield field
                        yield Static("", id=f"{name}-verdict", classes="verdict", markup=False)
                yield Static(
                    "Scans that are kept; space takes a mark away", classes="head", markup=False
                )
                yield SelectionList[str](
                    *((Content(scan_words(scan)), scan.id, True) for scan in self._detail.scans),
                    id="kept",
                    compact=True,
                )
                yield Static("What happens then", classes="head", markup=False)
                yield Static("", id="consequences", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel  esc", id=_CANCEL, compact=True)
                yield Button("Save  ^s", id=_SAVE, compact=True)
                yield Button("Save and archive  ^a", id=_ARCHIVE, variant="primary", compact=True)

    def on_mount(self) -> None:
        """Show what is there."""
        self.query_one("#label", Input).focus()
        self._show()

    def reviewed(self, *, archive: bool = False) -> Review:
        """Return what the fields say, without what they leave as it is."""
        changed = {
            name: value for name in NAMES if (value := self._value(name)) != self._before[name]
        }
        kept = set(self.query_one(SelectionList).selected)
        removed = tuple(scan.id for scan in self._detail.scans if scan.id not in kept)
        return Review(**changed, removed=removed, archive=archive)

    def faults(self) -> dict[str, str]:
        """Return what is wrong with a field, in words."""
        found = {}
        project = self._value("project")
        changed = project != self._before["project"]
        if project and changed and project not in self._projects:
            found["project"] = "there is no such project"
        elif changed and not project:
            found["project"] = "name a project"
        for name in ("subject", "label"):
            value = self._value(name)
            if value != self._before[name] and not is_label(value):
                found[name] = LABEL_REMEDY
        if self._detail.scans and not self.query_one(SelectionList).selected:
            found["kept"] = "keep one scan at least, or delete the session"
        return found

    def action_decide(self, how: str) -> None:
        """Return the decision, if all is well and there is one."""
        review = self.reviewed(archive=how == _ARCHIVE)
        if self.faults() or (review.archive and not self._may_archive()):
            self._show()
            self.app.bell()
        elif review.archive or review.renames or review.removed:
            self.dismiss(review)
        else:
            self.dismiss(None)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._said = None
        self.after_pause(self._ask_preview)
        self._show()

    @on(SelectionList.SelectedChanged)
    def _marked(self, event: SelectionList.SelectedChanged[str]) -> None:
        event.stop()
        self._show()

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == _CANCEL:
            self.dismiss(None)
        else:
            self.action_decide(str(event.button.id))

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _project_begun(self, typed: str) -> str:
        return name_begun(typed, offered(self._projects))

    def _may_archive(self) -> bool:
        has_project = bool(self._value("project"))
        is_built = SessionAction.ARCHIVE in self._detail.actions
        review = self.reviewed()
        return has_project and (is_built or review.renames or bool(review.removed))

    def _ask_preview(self) -> None:
        review = self.reviewed()
        if review.renames and not self.faults():
            self.run_worker(self._look(review), group="preview", exclusive=True)

    async def _look(self, review: Review) -> None:
        try:
            said: EditPreview | str = await self._preview(review)
        except EngineError as error:
            said = safe(f"{error.detail}; {error.remedy}")
        if self.is_mounted and self.reviewed() == review:
            self._said = said
            self._show()

    def _show(self) -> None:
        faults, review = self.faults(), self.reviewed()
        for name in NAMES:
            fault = faults.get(name, "")
            changed = bool(getattr(review, name))
            verdict = f"✗ {fault}" if fault else "● changed" if changed else ""
            shown = self.query_one(f"#{name}-verdict", Static)
            shown.update(verdict)
            shown.set_class(bool(fault), "-wrong")
        kept = self.query_one(SelectionList)
        for index, scan in enumerate(self._detail.scans):
            gone = "   ▲ to the trash" if scan.id in review.removed else ""
            kept.replace_option_prompt_at_index(index, Content(f"{scan_words(scan)}{gone}"))
        words = edit_words(self._detail, self._said, review.removed, renames=review.renames)
        if "kept" in faults:
            words = f"✗ {faults['kept']}"
        if not self._value("project"):
            words += "\nIt can't be archived without a project."
        self.query_one("#consequences", Static).update(words)
        self.query_one(f"#{_ARCHIVE}", Button).disabled = not self._may_archive()
