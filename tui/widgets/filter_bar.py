"""The line that a list is filtered by: hidden until ``/``, kept by enter, cleared by escape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from tui.bindings import Scope, bindings
from tui.forms.row_filter import RowFilter, parse_filter
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Sequence


class FilterBar(Input):
    """Takes words, ``!word`` and ``field:value``; the screen asks for its `wanted` filter."""

    BINDINGS = bindings(Scope.FILTER)

    def __init__(
        self, fields: Sequence[str], *, blink: bool, placeholder: str, id: str = "filter"
    ) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = blink
        self._fields = tuple(fields)
        self._parsed = ("", parse_filter("", self._fields))

    @property
    def wanted(self) -> RowFilter:
        """What is typed, as a filter."""
        if self._parsed[0] != self.value:
            self._parsed = (self.value, parse_filter(self.value, self._fields))
        return self._parsed[1]

    @property
    def active(self) -> bool:
        """Whether it is seen or keeps rows away."""
        return bool(self.display or self.value)

    def open(self) -> None:
        """Let the user type."""
        self.display = True
        self.focus()

    def close(self) -> None:
        """Hide the line; what is typed stays in force."""
        self.display = False

    def count(self, matching: int, total: int) -> str:
        """Return for a title how many rows match, safe text."""
        if not self.wanted:
            return f"{total:,}"
        return f"{matching:,} of {total:,} match “{safe(self.value.strip(), 40)}”"

    def empty(self, otherwise: str) -> str:
        """Return why there are no rows: the filter, else something else."""
        return "no row matches the filter; esc shows all" if self.wanted else otherwise
