"""Asks for a project: choose one of the list, or type to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.forms.session_words import matching_projects
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from engine.model.project import Project

NO_PROJECTS = "There is no project yet; `dicomdock projects add ID` makes one."


class ProjectChoice(ModalScreen[str]):
    """Returns the id of a project; escape returns nothing."""

    BINDINGS = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("down", "move(1)", "Next", show=False),
        Binding("up", "move(-1)", "Previous", show=False),
    ]

    def __init__(
        self, title: str, sentence: str, projects: Sequence[Project], *, blink: bool
    ) -> None:
        """Take safe texts and the projects there are."""
        super().__init__()
        self._question = title
        self._sentence = sentence
        self._projects = tuple(projects)
        self._shown: list[Project] = []
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._question)
            box.border_subtitle = Content("type to find   ↑↓ choose   ⏎ move   esc cancel")
            yield Static(self._sentence, markup=False, classes="sentence")
            field = Input(id="project", compact=True, placeholder="id or title of a project")
            field.cursor_blink = self._blink
            yield field
            options = OptionList(id="projects", compact=True, markup=False)
            options.can_focus = False
            yield options
            yield Static("", id="no-project", markup=False)

    def on_mount(self) -> None:
        """Show all projects."""
        self._list("")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, typed: str) -> None:
        self._shown = matching_projects(self._projects, typed)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(_words(project))) for project in self._shown])
        options.highlighted = 0 if self._shown else None
        note = "" if self._shown else (f"no project is called “{safe(typed, 40)}”")
        self.query_one("#no-project", Static).update(
            Content(note if self._projects else NO_PROJECTS)
        )

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose()

    def _choose(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(self._shown[place].id)

    def action_move(self, step: int) -> None:
        """Go to another project of the list."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()


def _words(project: Project) -> str:
    title = f"   {safe(project.title, 48)}" if project.title else ""
    return f"{safe(project.id)}{title}"
