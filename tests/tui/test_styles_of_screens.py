"""Styles of one screen change no other, whichever was visited first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.css.parse import parse
from textual.screen import Screen

import tui.app
from tests.fakes import busy
from tui.app import ConsoleApp
from tui.places import SCREEN_SPECS
from tui.settings.tables import SectionsTable

FEATURES = Path(tui.app.__file__).parent
SHEETS = sorted(FEATURES.glob("*/style.tcss"))
NUMBERS = tuple(spec.number for spec in SCREEN_SPECS)


def names_of_screens(kind: type[Screen[object]] = Screen) -> set[str]:
    """Return the names of all screens and dialogs that are imported."""
    kinds = kind.__subclasses__()
    return {one.__name__ for one in kinds}.union(*(names_of_screens(one) for one in kinds))


def import_all() -> None:
    for file in FEATURES.rglob("*.py"):
        name = ".".join(file.relative_to(FEATURES.parent).with_suffix("").parts)
        if not name.endswith("__main__"):
            __import__(name.removesuffix(".__init__"))


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.parent.name)
def test_each_rule_of_a_feature_is_for_one_of_its_screens(sheet: Path) -> None:
    import_all()
    screens = names_of_screens()
    css = re.sub(r"\$[\w-]+", "red", sheet.read_text("utf-8"))
    rules = list(parse("", css, (str(sheet), "")))
    assert rules
    unscoped = {
        rule.selectors
        for rule in rules
        for chosen in rule.selector_set
        if chosen.selectors[0].name not in screens
    }
    assert not unscoped


async def pictures(numbers: tuple[str, ...]) -> dict[str, list[str]]:
    """Return what each of some screens looks like when they are visited one after another."""
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    seen = {}
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for number in numbers:
            await pilot.press(number)
            await app.workers.wait_for_complete()
            await pilot.pause()
            for table in app.screen.query(SectionsTable):
                table.choose("projects")
                await pilot.pause()
            strips = app.screen._compositor.render_strips()
            seen[number] = [repr(list(strip)) for strip in strips]
    return seen


async def test_a_screen_looks_the_same_whichever_was_visited_before() -> None:
    forth = await pictures(NUMBERS)
    back = await pictures(tuple(reversed(NUMBERS)))
    for number in NUMBERS:
        fresh = (await pictures((number,)))[number]
        assert forth[number] == fresh, number
        assert back[number] == fresh, number
