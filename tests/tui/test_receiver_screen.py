"""The screen of one receiver, and the diagnostics."""

from dataclasses import replace

from textual.pilot import Pilot

from tests.fakes import busy, port_in_use
from tui.app import ConsoleApp
from tui.link import Reading
from tui.screens.confirm import ConfirmScreen
from tui.screens.diagnostics import ConsoleFacts, diagnostics
from tui.screens.message import MessageScreen
from tui.screens.receiver import ReceiverScreen
from tui.widgets.associations_table import AllAssociationsTable
from tui.widgets.events_table import ReceiverEventsTable
from tui.widgets.facts import Facts


def receiver(app: ConsoleApp) -> ReceiverScreen:
    assert isinstance(app.screen, ReceiverScreen)
    return app.screen


async def opened(app: ConsoleApp, pilot: Pilot[None], *keys: str) -> ReceiverScreen:
    await pilot.pause()
    await pilot.press(*keys, "enter")
    await pilot.pause()
    return receiver(app)


async def test_enter_opens_the_receiver_with_what_concerns_only_it() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        assert screen.crumbs() == ("Receivers", "XNAT:8104")
        assert screen.query_one(AllAssociationsTable).row_count == 4
        assert screen.query_one(ReceiverEventsTable).row_count == 5
        await pilot.press("y")
        assert "CT_SCANNER_1" in app.clipboard
        await pilot.press("right_square_bracket")
        assert screen.crumbs() == ("Receivers", "CT_INTAKE:8104")
        assert screen.query_one(AllAssociationsTable).row_count == 2
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert screen.crumbs() == ("Receivers", "PET_STAGING:8106")
        await pilot.press("escape")
        assert app.screen is app.dashboard


async def test_the_receivers_keys_work_on_it() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, "j", "j")
        await pilot.press("s")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert engine.named("set_enabled") == [(3, False, "console")]
        assert dict(screen.query_one(Facts).facts)["state"].startswith("stopped")
        await pilot.press("d")
        assert isinstance(app.screen, ConfirmScreen)


async def test_a_receiver_that_is_deleted_meanwhile_says_so() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot)
        engine.current = replace(engine.current, receivers=engine.current.receivers[1:])
        app.refresh_from_engine()
        assert "does not exist any more" in dict(screen.query_one(Facts).facts)["receiver"]
        assert screen.crumbs() == ("Receivers", "XNAT:8104")
        await pilot.press("e", "s", "right_square_bracket", "enter", "escape")
        assert app.screen is app.dashboard


async def test_a_failed_receiver_says_what_to_do_and_copies_that() -> None:
    app = ConsoleApp(port_in_use(), refresh_hz=0, blink=False)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot)
        assert screen.query_one("#failure").region.height > 5
        await pilot.press("y")
        assert "Stop that program or choose another port" in app.clipboard


async def test_diagnostics_can_be_copied() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("f12")
        assert isinstance(app.screen, MessageScreen)
        await pilot.press("y")
        for words in ("pynetdicom", "archive01", "size", "120 × 40", "MainThread"):
            assert words in app.clipboard


def test_diagnostics_of_a_silent_engine_say_so_and_hostile_values_are_literal() -> None:
    console = ConsoleFacts(
        (("Python", "3.11"),), "none", (("TERM", "x\x1b[2J"),), "dark", ("Thread-1", "Thread-2")
    )
    text = diagnostics(console, Reading())
    assert "has not answered yet" in text
    assert "x␛[2J" in text
    assert "Thread            2" in text
    assert "answers           not since" in diagnostics(
        console, Reading(busy().current, silent=True)
    )
