"""Find everywhere: sessions of all areas, and arrivals of an object, by one text."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.api.objects import ObjectReference, arrival_words
from engine.api.sessions import FoundSession
from engine.errors import EngineError
from engine.model.identity import UNASSIGNED
from tui.sessions.tables import session_style
from tui.sessions.words import AREA_NAMES
from tui.shell.engine_app import EngineScreen
from tui.text import age, counted, safe
from tui.theme import palette_of
from tui.widgets.completion import NO_NAMES, Names, NameSuggester, name_begun
from tui.widgets.known_names import known_names
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineView
    from engine.api.objects import TrailStep
    from engine.api.sessions import Found

Finding = FoundSession | ObjectReference
"""What was chosen: a session, or one arrival of an object."""

MOST_CHARACTERS = 200
SENTENCE = (
    "An accession number, patient ID, Study or SOP Instance UID, the AE title of a sender, "
    "or a part of a session's label or subject. Prearchive, archive and trash are searched."
)


class FoundTable(LiveTable):
    """What was found, sessions first."""

    NOUN = "result"
    HELP_TITLE = "Found"
    HELP = SENTENCE
    COLUMNS = (
        Column("status", "Status", 12),
        Column("area", "Where", 10),
        Column("project", "Project", 10, flexible=True, max_width=20),
        Column("label", "Session", 14, flexible=True, max_width=72),
        Column("by", "Found by", 18, max_width=30),
        Column("changed", "Changed", 8, right=True, at_least=80),
    )


class FindDialog(ModalScreen[Finding | None], EngineScreen[Finding | None]):
    """Asks for a text, shows what it finds, and returns what was chosen of it."""

    AUTO_FOCUS = "#text"
    BINDINGS = [
        Binding("escape", "back", "Back", id="find.back"),
        Binding("down", "results", "Results", show=False),
    ]

    def __init__(self, now: datetime, *, blink: bool) -> None:
        """Take the time by which ages are shown, and whether the cursor blinks."""
        super().__init__()
        self._now = now
        self._blink = blink
        self._found: dict[str, Finding] = {}
        self._names = NO_NAMES

    def compose(self) -> ComposeResult:
        """Build the field above, what is found below."""
        with Vertical(classes="box -page -find") as box:
            box.border_title = Content("Find everywhere")
            box.border_subtitle = Content("→ completes a sender   ⏎ open   ↑↓ results   esc close")
            yield Static(SENTENCE, markup=False, classes="sentence")
            field = Input(id="text", max_length=MOST_CHARACTERS, compact=True)
            field.suggester = NameSuggester(self._caller_begun)
            field.cursor_blink = self._blink
            yield field
            yield Static("", id="outcome", markup=False)
            yield FoundTable(id="found")

    def on_mount(self) -> None:
        """Use the colors of the console."""
        self.query_one(FoundTable).paint(palette_of(self.app.current_theme))
        self.ask(self._ask_names)

    async def _ask_names(self) -> None:
        try:
            about = ("names", id(self))
            self._names = await self.engine.call("names", known_names, about=about, changes=False)
        except EngineError:
            return  # without names, nothing is completed

    def _caller_begun(self, typed: str) -> str:
        return name_begun(typed, self._names.get(Names.CALLERS, ()))

    @on(Input.Changed, "#text")
    def _typed(self) -> None:
        self.after_pause(self._look)

    def _look(self) -> None:
        self.ask(self._search, self.query_one("#text", Input).value.strip())

    async def _search(self, text: str) -> None:
        if not text:
            self._show("", [])
            return
        try:
            found = await self.engine.call(
                "find", partial(_find, text), about="find", changes=False, latest=True
            )
        except EngineError as error:
            self._show(safe(f"✗ {error.detail}; {error.remedy}"), [])
            return
        self._found = dict(_findings(found, text))
        rows = [
            *(_session_row(one, found.arrivals, self._now) for one in found.sessions),
            *(
                _arrival_row(number, step, self._now)
                for number, step in enumerate(found.arrivals, start=1)
            ),
        ]
        self._show(_outcome(found), rows)

    def _show(self, outcome: str, rows: list[TableRow]) -> None:
        self.query_one("#outcome", Static).update(Content(outcome))
        self.query_one(FoundTable).show(rows)

    @on(Input.Submitted, "#text")
    def action_results(self) -> None:
        """Go to what was found."""
        table = self.query_one(FoundTable)
        if table.row_count:
            table.focus()

    def action_back(self) -> None:
        """Go back to the text, and from there close."""
        field = self.query_one("#text", Input)
        if field.has_focus:
            self.dismiss(None)
        else:
            field.focus()

    def action_open(self) -> None:
        """Return what is under the cursor."""
        chosen = self._found.get(self.query_one(FoundTable).chosen or "")
        if chosen is not None:
            self.dismiss(chosen)


def _find(text: str, engine: EngineView) -> Found:
    return engine.sessions.find(text)


def _findings(found: Found, uid: str) -> Iterator[tuple[str, Finding]]:
    for one in found.sessions:
        yield str(one.session.id), one
    for number, step in enumerate(found.arrivals, start=1):
        yield f"arrival {number}", ObjectReference(step.session or 0, step.file, uid)


def _outcome(found: Found) -> str:
    if not found.sessions and not found.arrivals:
        return "nothing of that was received; letter case does not matter"
    parts = [counted(len(found.sessions), "session")]
    if found.arrivals:
        parts.append(f"the object arrived {counted(len(found.arrivals), 'time')}")
    if found.lacks_arrivals:
        parts.append("the row of the object was removed, a look at its scan reads it again")
    return ", ".join(parts)


def _session_row(found: FoundSession, steps: Sequence[TrailStep], now: datetime) -> TableRow:
    session = found.session
    arrivals = arrival_words(session.id, steps)
    look = session_style(session)
    cells = {
        "status": Cell(str(look), look.tone),
        "area": Cell(AREA_NAMES[session.area]),
        "project": Cell(safe(session.project or UNASSIGNED)),
        "label": Cell(safe(session.label)),
        "by": Cell(f"{found.by}, arrival {arrivals}" if arrivals else found.by),
        "changed": _when(session.last_object_at, now),
    }
    return TableRow(str(session.id), cells)


def _arrival_row(number: int, step: TrailStep, now: datetime) -> TableRow:
    reason = f": {safe(step.reason)}" if step.reason else ""
    cells = {
        "status": Cell(safe(step.state)),
        "area": Cell(f"arrival {number}"),
        "project": Cell(safe(step.receiver)),
        "label": Cell(f"{safe(step.went_to)}{reason}; from {safe(step.calling_ae_title)}"),
        "by": Cell("SOP Instance UID"),
        "changed": _when(step.at, now),
    }
    return TableRow(f"arrival {number}", cells)


def _when(at: datetime, now: datetime) -> Cell:
    return Cell(age(at, now), order=at.timestamp())
