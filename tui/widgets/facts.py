"""Names and values one below the other, long values in as many lines as they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_WIDTH = 16
Fact = tuple[str, str]


class Facts(Static):
    """Shows facts; safe text only."""

    def __init__(self, *, id: str, name_width: int = NAME_WIDTH) -> None:
        super().__init__("", id=id, markup=False)
        self._name_width = name_width
        self._palette = palette_of(DARK)
        self._facts: tuple[Fact, ...] = ()

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What is shown."""
        return self._facts

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.update(self._table())

    def show(self, facts: Sequence[Fact]) -> None:
        """Show other facts."""
        if tuple(facts) != self._facts:
            self._facts = tuple(facts)
            self.update(self._table())

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=self._name_width, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for name, value in self._facts:
            table.add_row(Text(name, self._palette.style(Tone.MUTED)), Text(value))
        return table
