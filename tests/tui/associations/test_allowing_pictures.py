"""Pictures of letting a rejected caller in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import ChangedMeanwhile
from tests.fakes import NOW, FakeEngine, whitelist_rejections
from tests.tui.associations.test_allowing import OLD_WS, change_intake
from tests.tui.dashboard.test_dashboard_pictures import both_sizes, choose, console, settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

LINES = ("CT_SCANNER_1@10.4.7.0/24", "ER_CT", "OLD_WS@10.4.9.2", "OLD_WS1")


def picture(
    snap_compare: Any,
    size: tuple[int, int],
    *keys: str,
    engine: FakeEngine | None = None,
    row: str = OLD_WS,
    before_last: Callable[[FakeEngine], None] | None = None,
) -> bool:
    engine = engine or whitelist_rejections()
    app = console(engine)

    async def press(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        choose(app, row)
        await pilot.press(*keys[:-1])
        await pilot.pause()
        if before_last is not None:
            before_last(engine)
        await pilot.press(keys[-1])
        await settled(pilot)
        await settled(pilot)  # after a conflict the engine is asked once more

    return bool(snap_compare(app, terminal_size=size, run_before=press))


@both_sizes
def test_allow_dialog(snap_compare: Any, size: tuple[int, int]) -> None:
    """The narrowest line first, whom else each admits, and the whitelist it makes."""
    assert picture(snap_compare, size, "w")


@both_sizes
def test_allow_with_a_wide_line(snap_compare: Any, size: tuple[int, int]) -> None:
    """A wide line takes the effect of one that is there; the preview says so."""
    engine = whitelist_rejections()
    change_intake(engine, whitelist=LINES)
    assert picture(snap_compare, size, "w", "down", "down", engine=engine)


@both_sizes
def test_allow_an_odd_ae_title(snap_compare: Any, size: tuple[int, int]) -> None:
    """A title with blanks and brackets is shown byte by byte; the whitelist is long."""
    engine = whitelist_rejections()
    change_intake(engine, whitelist=tuple(f"CT_{n:02}" for n in range(1, 41)))
    first, *others = engine.current.ended_associations
    odd = replace(first, calling_ae_title="[b] ws  1")
    engine.current = replace(engine.current, ended_associations=(odd, *others))
    assert picture(snap_compare, size, "w", engine=engine)


@both_sizes
def test_allow_after_a_conflict(snap_compare: Any, size: tuple[int, int]) -> None:
    """Somebody else saved first: said, and the preview is made anew."""

    def change_meanwhile(engine: FakeEngine) -> None:
        change_intake(engine, whitelist=(*LINES, "NEW_CT"))
        changes = ["receiver CT_INTAKE:8104 whitelist: +NEW_CT"]
        engine.error = ChangedMeanwhile("CT_INTAKE:8104", "anna", NOW, changes)

    assert picture(snap_compare, size, "w", "ctrl+s", before_last=change_meanwhile)


@both_sizes
def test_what_helps_an_unknown_receiver(snap_compare: Any, size: tuple[int, int]) -> None:
    """No whitelist line would help, so the remedy is said instead."""
    assert picture(snap_compare, size, "w", row="A-0422")
