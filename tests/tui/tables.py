"""What tables of a console under test show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.widgets.table import Table


def cell(table: Table, key: str, column: str) -> str:
    """Return the text of one cell of the row with a key."""
    return next(row.cells[column].text for row in table._shown if row.key == key)
