"""A screen that only tests know, built on the frame as any other."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from engine.view import EngineSnapshot
from tui.bindings import Scope
from tui.link import Reading
from tui.screens.console_screen import ConsoleScreen
from tui.widgets.filter_bar import FilterBar
from tui.widgets.live_table import Cell, Column, TableRow
from tui.widgets.markable_table import MarkableTable
from tui.widgets.panel import Panel

if TYPE_CHECKING:
    from tui.widgets.row_details import Details


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

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
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
