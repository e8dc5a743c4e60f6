"""The live table: cursor by key, only changed lines written, columns by width."""

from typing import Any

from textual.app import App, ComposeResult
from textual.geometry import Region

from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow, fitted

NAMES = Column("name", "Name", 8)
NUMBERS = Column("number", "Number", 6, right=True)
WIDE = Column("wide", "Wide", 10, at_least=60, flexible=True, max_width=30)


class SmallTable(LiveTable):
    COLUMNS = (NAMES, NUMBERS, WIDE)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.written: list[str] = []

    def refresh(self, *regions: Region, **options: Any) -> "SmallTable":
        self.written += [str(region.y) for region in regions] or ["all"]
        return super().refresh(*regions, **options)


class TableApp(App[None]):
    def compose(self) -> ComposeResult:
        yield SmallTable(id="table")

    @property
    def table(self) -> SmallTable:
        return self.query_one(SmallTable)


def rows(**numbers: int) -> list[TableRow]:
    return [
        TableRow(name, {"name": Cell(name), "number": Cell(str(n), order=n)})
        for name, n in numbers.items()
    ]


def order(table: LiveTable) -> list[str]:
    return [table.render_line(y).text.lstrip("▸").split()[0] for y in range(1, table.row_count + 1)]


async def test_only_lines_that_changed_are_written() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(before := rows(a=1, b=2, c=3))
        await pilot.pause()
        app.table.written.clear()
        app.table.show(rows(a=1, b=2, c=3))
        app.table.show([*before[:1], *rows(b=7), *before[2:]])
        assert app.table.written == ["2"]
        await pilot.pause()
        app.table.written.clear()
        app.table.go_to(2)
        assert app.table.written == ["1", "3"]


async def test_rows_that_come_back_to_an_empty_table_are_written() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(before := rows(a=1, b=2))
        await pilot.pause()
        app.table.show((), "none")
        await pilot.pause()
        assert "none" in app.table.render_line(2).text
        app.table.written.clear()
        app.table.show(before, "none")
        assert "all" in app.table.written


async def test_the_cursor_stays_on_its_row_when_others_come_and_go() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(a=1, b=2, c=3))
        app.table.focus()
        await pilot.press("j", "j")
        assert app.table.chosen == "c"
        app.table.show(rows(x=9, y=9, c=3, a=1))
        await pilot.pause()
        assert app.table.chosen == "c"
        assert app.table.row == 2
        assert order(app.table) == ["x", "y", "c", "a"]


async def test_a_move_of_the_cursor_is_known_at_once_and_no_new_row_takes_it_back() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(a=1, b=2, c=3))
        await pilot.pause()
        app.table.action_scroll_bottom()
        app.table.action_cursor_up()
        assert app.table.chosen == "b"
        app.table.show(rows(z=0, a=1, b=2, c=3))
        assert app.table.chosen == "b"
        await pilot.pause()
        assert app.table.chosen == "b"


async def test_the_cursor_moves_to_a_neighbour_when_its_row_is_gone() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(a=1, b=2, c=3))
        app.table.focus()
        await pilot.press("G")
        app.table.show(rows(a=1, b=2))
        await pilot.pause()
        assert app.table.chosen == "b"
        app.table.show([])
        await pilot.pause()
        assert app.table.chosen is None


async def test_vim_keys_move_the_cursor() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(**{f"r{i:02}": i for i in range(40)}))
        app.table.focus()
        for key, expected in (("j", 1), ("k", 0), ("G", 39), ("g", 0), ("ctrl+d", 8)):
            await pilot.press(key)
            assert abs(app.table.row - expected) <= 1, key
        await pilot.press("ctrl+u")
        assert app.table.row == 0


async def test_sorting_goes_up_then_down_then_back_to_the_given_order() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(b=10, a=9, c=2))
        await pilot.pause()
        app.table.sort_by("number")
        assert order(app.table) == ["c", "a", "b"]
        app.table.sort_by("number")
        assert order(app.table) == ["b", "a", "c"]
        app.table.sort_by("number")
        assert order(app.table) == ["b", "a", "c"]
        assert app.table.sorted_by is None


async def test_a_click_on_a_head_sorts_by_it() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(b=10, a=9, c=2))
        await pilot.pause()
        await pilot.click("#table", offset=(3, 0))
        assert app.table.sorted_by == "name"
        assert order(app.table) == ["a", "b", "c"]


async def test_a_click_on_a_row_chooses_it() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(a=1, b=2, c=3))
        await pilot.pause()
        await pilot.click("#table", offset=(3, 2))
        assert app.table.chosen == "b"


def test_columns_are_shown_from_a_width_on_and_fill_it_up_to_their_maximum() -> None:
    assert [c.key for c in fitted((NAMES, NUMBERS, WIDE), 40)] == ["name", "number"]
    assert [(c.key, c.width) for c in fitted((NAMES, WIDE), 60)] == [("name", 8), ("wide", 30)]
    assert fitted((NAMES, WIDE), 1000)[1].width == 30


async def test_columns_follow_the_width_and_the_cursor_stays() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows(a=1, b=2))
        app.table.focus()
        await pilot.press("j")
        await pilot.resize_terminal(90, 10)
        await pilot.pause()
        assert "wide" in [c.key for c in app.table.shown_columns]
        assert app.table.chosen == "b"
