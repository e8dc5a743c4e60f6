"""The screen of one receiver, and the diagnostics."""

from dataclasses import replace
from datetime import timedelta

from textual.pilot import Pilot

from engine.api import PortState, PortStatus, ProcessStatus
from engine.api.objects import ObjectReference
from engine.api.status import Advice, Health
from tests.fakes import FakeEngine, busy, make_snapshot, port_in_use
from tui.app import ConsoleApp
from tui.associations.table import AllAssociationsTable
from tui.engine_client import EngineState, GoRequested
from tui.inspector.screen import ReceivedObjectScreen
from tui.log.events import ReceiverEventsTable
from tui.receivers.dialog import ReceiverDialog
from tui.receivers.failure import FailurePanel
from tui.receivers.screen import LastObjectsTable, ReceiverScreen
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.shell.help import ConsoleFacts, diagnostics
from tui.shell.palette import ConsoleCommands
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts, Panel


def receiver(app: ConsoleApp) -> ReceiverScreen:
    assert isinstance(app.screen, ReceiverScreen)
    return app.screen


def message(app: ConsoleApp) -> str:
    assert isinstance(app.screen, MessageDialog)
    return app.screen._detail


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
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        await pilot.pause()
        assert engine.named("set_enabled") == [(3, False, "console")]
        assert dict(screen.query_one(Facts).facts)["state"].startswith("stopped")
        await pilot.press("d")
        assert isinstance(app.screen, QuestionDialog)


async def test_a_receiver_that_is_deleted_meanwhile_says_so() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot)
        engine.current = replace(engine.current, receivers=engine.current.receivers[1:])
        await app.look()
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


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    for _ in range(2):
        await pilot.pause()
        await pilot.pause()
    await pilot.pause()


async def test_the_last_objects_are_those_of_the_caller_under_the_cursor() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        await settle(app, pilot)
        objects = screen.query_one(LastObjectsTable)
        assert screen.query_one("#objects", Panel)._detail == "from CT_SCANNER_1"
        assert objects.row_count == 30
        await pilot.press("j")
        await settle(app, pilot)
        assert screen.query_one("#objects", Panel)._detail == "from MR_PRISMA"
        assert objects.row_count == 10
        engine.current = replace(engine.current, associations=(), ended_associations=())
        await app.look()
        await settle(app, pilot)
        assert screen.query_one("#objects", Panel)._detail == "from everybody"
        assert objects.row_count == 50


async def test_new_objects_are_listed_and_a_quiet_receiver_is_not_asked_about_again() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        await settle(app, pilot)
        engine.objects.known = engine.objects.known[:7]
        later(engine, seconds=5)
        await app.look()
        await settle(app, pilot)
        assert screen.query_one(LastObjectsTable).row_count == 30
        later(engine, seconds=5, objects=1)
        await app.look()
        await settle(app, pilot)
        assert screen.query_one(LastObjectsTable).row_count == 5


def later(engine: FakeEngine, seconds: float, objects: int = 0) -> None:
    """Let time go on, and the first receiver take in some objects."""
    first, *others = engine.current.receivers
    first = replace(first, objects_today=first.objects_today + objects)
    taken_at = engine.current.taken_at + timedelta(seconds=seconds)
    engine.current = replace(engine.current, receivers=(first, *others), taken_at=taken_at)


async def test_a_stored_object_opens_and_any_other_says_why_it_is_not_there() -> None:
    engine = busy()
    lost = engine.objects.known[3]
    lost = replace(lost, calling_ae_title="CT_SCANNER_1", reference=ObjectReference(0, "", "1.2.3"))
    engine.objects.known = (engine.objects.known[0], lost)
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        await settle(app, pilot)
        screen.query_one(LastObjectsTable).focus()
        await pilot.press("enter")
        await settle(app, pilot)
        assert isinstance(app.screen, ReceivedObjectScreen)
        assert app.screen.crumbs() == ("Receivers", "XNAT:8104", "object")
        await pilot.press("escape", "j", "enter")
        await pilot.pause()
        assert "the data set ends inside an element" in message(app)
        assert "0xC000" in message(app)


async def test_a_failed_receiver_is_offered_ports_that_are_free() -> None:
    engine = port_in_use()
    engine.ports[8107] = PortStatus(PortState.TAKEN, "held by storescp")
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot)
        await settle(app, pilot)
        assert "free ports  8108   8109   8110" in str(screen.query_one(FailurePanel).content)
        asked = len(engine.named("port_status"))
        await app.look()
        await settle(app, pilot)
        assert len(engine.named("port_status")) == asked


async def test_the_palette_leads_from_any_screen_to_what_is_of_a_receiver() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await settle(app, pilot)
        offers = {offer.name: offer for offer in ConsoleCommands(app.screen)._entries()}
        offers["log: Events of CT_INTAKE:8104"].run()
        await settle(app, pilot)
        assert app.screen.query_one(FilterBar).value == "receiver:=CT_INTAKE:8104"
        offers["go: Receiver CT_INTAKE:8104"].run()
        await settle(app, pilot)
        assert receiver(app).crumbs() == ("Receivers", "CT_INTAKE:8104")


async def test_a_look_for_nothing_shows_everything() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        app.post_message(GoRequested("log", "level:error"))
        await settle(app, pilot)
        assert app.screen.query_one(FilterBar).value == "level:error"
        app.post_message(GoRequested("log", ""))
        await settle(app, pilot)
        assert app.screen.query_one(FilterBar).value == ""


async def test_a_duplicate_is_told_the_same_and_wants_an_ae_title_of_its_own() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("j", "c")
        await settle(app, pilot)
        assert isinstance(app.screen, ReceiverDialog)
        form = app.screen.form
        original = engine.current.receivers[1].receiver
        assert (form.text("ae_title"), form.text("port")) == ("", str(original.port))
        assert not form.is_dirty()
        await pilot.press(*"CT_2", "ctrl+s")
        await settle(app, pilot)
        ((saved, _, replaced),) = engine.named("save_receiver")
        assert replaced is None
        assert replace(saved, id=original.id, ae_title=original.ae_title) == original


async def test_diagnostics_can_be_copied() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("f12")
        await settle(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        await pilot.press("y")
        for words in ("pynetdicom", "archive01", "size", "120 × 40", "MainThread", "Health"):
            assert words in app.clipboard


def test_diagnostics_of_a_silent_engine_say_so_and_hostile_values_are_literal() -> None:
    console = ConsoleFacts(
        (("Python", "3.11"),), "none", (("TERM", "x\x1b[2J"),), "dark", ("Thread-1", "Thread-2")
    )
    text = diagnostics(console, EngineState())
    assert "has not answered yet" in text
    assert "x␛[2J" in text
    assert "Thread            2" in text
    assert "answers           not since" in diagnostics(
        console, EngineState(busy().current, silent=True)
    )
    processes = (ProcessStatus(2, 100, 3, 4_000, 1.25, 13_000_000),)
    engine = EngineState(make_snapshot(processes=processes, sessions_waiting=1_200))
    advice = Advice("backup", "there never was a backup", "dicomdock backup -o FILE")
    shown = diagnostics(console, engine, Health(True, 0, 0, ("no \x1b[2J",), (), (advice,)))
    assert "problem           no ␛[2J" in shown
    assert "backup            there never was a backup → dicomdock backup -o FILE" in shown
    assert "to be worked on   1,200 sessions" in shown
    assert "process 2         3 associations, 4,000 objects, 1.2 s of CPU, " in shown
