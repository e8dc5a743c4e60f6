"""A screen that only tests know, built on the frame as any other."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from engine.api import EngineSnapshot
from tui.engine_client import EngineState
from tui.keys import Scope
from tui.shell.screen import ConsoleScreen
from tui.widgets.filter import FilterBar
from tui.widgets.marks import MarkableTable
from tui.widgets.panel import Panel
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from tui.shell.details import Details


class Numbers(MarkableTable):
    """A few rows."""

    COLUMNS = (Column("number", "Number", 10),)


class SecondScreen(ConsoleScreen):
    """Lists numbers; counts how often it was shown."""

    PLACE = "log"
    SCOPES = (Scope.ASSOCIATIONS,)
    PANELS = ("numbers",)
    AUTO_FOCUS = "#numbers-table"
    shown = 0

    def compose_body(self) -> ComposeResult:
        with Panel("Numbers", id="numbers"):
            yield Numbers(id="numbers-table")
            yield FilterBar(("number",), blink=False, placeholder="numbers")

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        self.shown += 1
        wanted = self.query_one(FilterBar).wanted
        rows = [
            TableRow(str(n), {"number": Cell(str(n))})
            for n in range(20)
            if wanted.matches({"number": str(n)})
        ]
        self.query_one(Numbers).show(rows)

    def details(self) -> "Details | None":
        return None


class DeepScreen(SecondScreen):
    """Lies behind the other one."""

    def crumbs(self) -> tuple[str, ...]:
        return ("Numbers", "XNAT:8104")
