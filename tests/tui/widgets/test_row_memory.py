"""The row memory: what did not change is the row that it was, and is not made again."""

from __future__ import annotations

from tui.widgets.live_table import RowMemory
from tui.widgets.table import Cell, TableRow

Named = tuple[str, int]


class Maker:
    """Makes rows, and notes of what."""

    def __init__(self) -> None:
        self.made: list[Named] = []

    def __call__(self, shown: Named, key: str) -> TableRow:
        self.made.append(shown)
        return TableRow(key, {"number": Cell(str(shown[1]))})


def key_of(shown: Named) -> str:
    return shown[0]


def test_only_what_changed_is_made_again() -> None:
    maker = Maker()
    memory = RowMemory(key_of, maker)
    before = memory.rows([("a", 1), ("b", 2)])
    maker.made.clear()
    after = memory.rows([("c", 4), ("b", 3), ("a", 1)])
    assert maker.made == [("c", 4), ("b", 3)]
    assert [row.key for row in after] == ["c", "b", "a"]
    assert after[2] is before[0]


def test_what_is_gone_is_forgotten() -> None:
    maker = Maker()
    memory = RowMemory(key_of, maker)
    memory.rows([("a", 1)])
    memory.rows([])
    memory.rows([("a", 1)])
    assert maker.made == [("a", 1), ("a", 1)]
