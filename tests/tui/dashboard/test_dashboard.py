"""The dashboard's behaviour: what keys do, what is refused, what is said."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from engine.api import EchoResult, PortState, PortStatus, RecoveryStatus
from engine.errors import ListenError
from engine.events import ReceiverFailed
from engine.metrics import Totals
from tests.fakes import (
    NOW,
    SCENARIOS,
    FakeEngine,
    busy,
    config_problem,
    empty,
    hundred_associations,
    make_snapshot,
    port_in_use,
    shared_port_in_use,
    whitelist_rejections,
)
from tests.tui.tables import cell
from tui.app import ConsoleApp
from tui.associations.table import AssociationsTable, row_key
from tui.dashboard.panels import ThroughputChart
from tui.log.events import EventsTable, event_key
from tui.receivers.table import ReceiversTable
from tui.shell.dialogs import MessageDialog, QuestionDialog, TooSmallScreen
from tui.shell.help import HelpScreen
from tui.shell.status import KeyLine, StatusLine, active_hints


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()


def at_dashboard(app: ConsoleApp) -> bool:
    return app.screen is app.dashboard


def row(app: ConsoleApp, id: str) -> str:
    """Return the key of an association's row."""
    snapshot = app.engine_state.snapshot
    assert snapshot is not None
    both = (*snapshot.associations, *snapshot.ended_associations)
    return row_key(next(a for a in both if a.id == id))


def toasts(app: ConsoleApp) -> list[str]:
    return [notification.message for notification in app._notifications]


def header(app: ConsoleApp) -> str:
    return app.dashboard.query_one(StatusLine).render().plain


def footer(app: ConsoleApp) -> dict[str, bool]:
    return {hint.key.label: hint.enabled for hint in active_hints(app.dashboard)}


def shown(app: ConsoleApp, selector: str) -> bool:
    return app.dashboard.query_one(selector).region.height > 0


# What is shown


async def test_the_header_says_how_many_receivers_are_in_which_state() -> None:
    async with running(busy()) as (app, _):
        words = "dicomdock  ● 3 listening  ○ 1 stopped  ✗ 1 failed  assoc 4/200  38.2 MB/s"
        assert header(app).strip().startswith(words)
        assert header(app).rstrip().endswith("archive01  14:03:22")


async def test_the_header_keeps_its_time_and_load_in_80_columns() -> None:
    engine = busy()
    async with running(engine, (80, 24)) as (app, pilot):
        expected = " dicomdock ●3 ○1 ✗1 assoc 4/200 38.2 MB/s 142 obj/s disk 61%"
        assert header(app).startswith(expected)
        assert header(app).rstrip().endswith("14:03:22")
        recovery = RecoveryStatus(recovered=12, sessions=300)
        engine.current = replace(engine.current, recovery=recovery)
        await app.look()
        await settle(app, pilot)
        assert "▲ recovering" in header(app)
        await pilot.resize_terminal(160, 24)
        assert "▲ recovering 12 of 300 sessions" in header(app)


async def test_a_demo_says_so() -> None:
    async with running(busy(), demo=True) as (app, _):
        assert header(app).startswith(" dicomdock  DEMO  ")


async def test_without_receivers_the_screen_says_what_to_do_next() -> None:
    async with running(empty(), (80, 24)) as (app, _):
        text = str(app.dashboard.query_one("#welcome", Static).content)
        assert "n creates one" in text
        assert "/var/lib/dicomdock" in text
        assert "dicomdock engine" in text
        assert not shown(app, "#receivers")
        assert footer(app) == {
            "New": True,
            "Help": True,
            "Palette": True,
            "Quit": True,
            "Find": True,
        }


async def test_the_first_receiver_brings_the_tables() -> None:
    engine = empty()
    async with running(engine) as (app, pilot):
        engine.current = busy().current
        await app.look()
        await pilot.pause()
        assert shown(app, "#receivers")
        assert not shown(app, "#empty")


async def test_numbers_follow_the_engine_when_asked() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        first = replace(engine.current.receivers[0], objects_today=50_000)
        engine.current = replace(engine.current, receivers=(first, *engine.current.receivers[1:]))
        await app.look()
        await pilot.pause()
        table = app.dashboard.query_one(ReceiversTable)
        assert cell(table, "1", "today") == "50,000"


async def test_a_silent_engine_is_named_with_the_time_of_its_last_answer() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        engine.silent = OSError("connection refused")
        await app.look()
        await pilot.pause()
        assert "engine does not answer since 14:03:22" in header(app)
        assert app.dashboard.has_class("-silent")
        engine.silent = None
        await app.look()
        await pilot.pause()
        assert "does not answer" not in header(app)


async def test_an_engine_that_never_answered_is_not_shown_as_empty() -> None:
    async with running(FakeEngine(silent=OSError("no socket"))) as (app, _):
        assert "engine does not answer" in header(app)
        assert not app.dashboard.has_class("-empty")


async def test_a_refused_configuration_stands_above_everything() -> None:
    async with running(config_problem(), (80, 24)) as (app, _):
        text = str(app.dashboard.query_one("#banner", Static).content)
        assert shown(app, "#banner")
        assert "revision 12, the last good one, stays in force" in text
        assert "'eighty' is not a port number" in text


async def test_a_failed_receiver_shows_reason_holder_and_remedy() -> None:
    async with running(port_in_use(), (80, 24)) as (app, _):
        text = str(app.dashboard.query_one("#failure", Static).content)
        assert "port 8106 is held by storescp" in text
        assert "pid 4127 storescp, user dicom, since 2026-08-23 09:12" in text
        assert "Stop that program or choose another port" in text
        assert "The other receivers are not affected." in text
        assert shown(app, "#failure")
        assert footer(app)["Retry now"]


async def test_a_failed_receiver_says_when_it_is_retried_and_counts_down() -> None:
    engine = port_in_use()
    async with running(engine, (80, 24)) as (app, pilot):
        panel = app.dashboard.query_one("#failure", Static)
        for seconds, said in ((0, "in 24 s"), (0.9, "in 24 s"), (1, "in 23 s"), (30, ", due now")):
            engine.current = replace(engine.current, taken_at=NOW + timedelta(seconds=seconds))
            await app.look()
            await pilot.pause()
            assert f"retry       automatic{' ' * said.startswith('in')}{said}" in str(panel.content)


async def test_the_error_panel_is_drawn_at_most_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = port_in_use()
    drawn: list[object] = []
    async with running(engine) as (app, _):
        panel = app.dashboard.query_one("#failure", Static)
        monkeypatch.setattr(panel, "update", drawn.append)
        for quarter in range(1, 9):
            at = NOW + timedelta(seconds=quarter / 4)
            engine.current = replace(engine.current, taken_at=at)
            await app.look()
    assert len(drawn) == 2


async def test_receivers_that_share_a_failed_port_are_named_together() -> None:
    async with running(shared_port_in_use(), (80, 24)) as (app, pilot):
        panel = app.dashboard.query_one("#failure", Static)
        assert str(panel.border_title) == "✗ PET_STAGING and 1 other cannot listen on port 8106"
        assert "also failed PET_RESEARCH, which shares this port" in str(panel.content)
        assert "Receivers on other ports are not affected." in str(panel.content)
        await pilot.press("y")
        assert "PET_RESEARCH, which shares this port" in app.clipboard


async def test_the_error_panel_goes_when_another_receiver_is_selected() -> None:
    async with running(port_in_use(), (80, 24)) as (app, pilot):
        await pilot.press("j")
        await pilot.pause()
        assert not shown(app, "#failure")
        assert "Retry now" not in footer(app)


async def test_a_rejected_caller_is_a_row_with_its_reason_in_words() -> None:
    async with running(whitelist_rejections()) as (app, pilot):
        table = app.dashboard.query_one(AssociationsTable)
        assert cell(table, row(app, "A-0425"), "state") == "✗ rejected"
        why = app.dashboard.query_one("#why", Static)
        assert "OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE" in str(why.content)
        table.focus()
        table.choose(row(app, "A-0424"))
        await pilot.pause()
        assert "nearest: CT_SCANNER_1@10.4.7.0/24" in str(why.content)


async def test_associations_unfold_at_80x24_when_the_focus_goes_there() -> None:
    async with running(busy(), (80, 24)) as (app, pilot):
        assert app.dashboard.query_one("#associations").region.height == 1
        app.dashboard.query_one(AssociationsTable).focus()
        await pilot.pause()
        assert app.dashboard.query_one("#associations").region.height > 5
        assert app.dashboard.query_one("#events").region.height == 1


async def test_new_events_appear_on_top_while_the_cursor_is_there() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        table = app.dashboard.query_one(EventsTable)
        engine.record(ReceiverFailed(receiver="A:1", reason="r", remedy="s"))
        await app.look()
        await pilot.pause()
        assert table.chosen == event_key(engine.events[-1])
        table.focus()
        await pilot.press("j", "j")
        held = table.chosen
        engine.record(ReceiverFailed(receiver="B:1", reason="r", remedy="s"))
        await app.look()
        await pilot.pause()
        assert table.chosen == held


@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_every_scenario_can_be_shown_at_every_size(name: str) -> None:
    async with running(SCENARIOS[name](), (200, 60)) as (app, pilot):
        for size in [(200, 60), (100, 30), (60, 15)]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            line = app.dashboard.query_one(KeyLine)
            assert len(line.render().plain) <= size[0]
            assert len(header(app)) <= size[0]


# Commands


async def test_stop_asks_when_associations_are_open_and_names_how_many() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("s")
        assert isinstance(app.screen, QuestionDialog)
        sentence = str(app.screen.query_one(".sentence", Static).content)
        assert "3 open associations may finish" in sentence
        await pilot.press("tab", "enter")
        await settle(app, pilot)
        assert engine.named("set_enabled") == [(1, False, "console")]
        said = "XNAT:8104, takes no new associations; 3 open associations may finish"
        assert f"{said}   Z undoes it" in toasts(app)


async def test_stop_says_what_happens_and_how_to_undo_it_also_when_nothing_is_open() -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, pilot):
        await pilot.press("j", "j", "s")
        await pilot.pause()
        sentence = str(app.screen.query_one(".sentence", Static).content)
        assert "rejects every new caller from now on. s starts it again." in sentence
        await pilot.press("y")
        await settle(app, pilot)
        assert engine.named("set_enabled") == [(3, False, "anna")]
        assert "MR_RESEARCH:11112, stopped   Z undoes it" in toasts(app)


async def test_start_listens_again_and_says_where() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("j", "j", "j")
        assert "Start" in footer(app)
        assert "Stop" not in footer(app)
        await pilot.press("s")
        await settle(app, pilot)
        assert engine.named("set_enabled") == [(4, True, "console")]


async def test_delete_asks_with_cancel_first_and_does_nothing_on_enter() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("d")
        assert isinstance(app.screen, QuestionDialog)
        assert app.screen.query_one("#cancel", Button).has_focus
        assert "XNAT:8104" in str(app.screen.query_one(".box").border_title)
        sentence = str(app.screen.query_one(".sentence", Static).content)
        assert sentence == "3 open associations may finish; Z brings it back."
        await pilot.press("enter")
        await settle(app, pilot)
        assert engine.calls == []


async def test_delete_removes_the_receiver_after_a_yes() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("d", "tab", "enter")
        await settle(app, pilot)
        assert engine.named("delete_receiver") == [(1, "console")]
        assert "XNAT:8104 deleted   Z undoes it" in toasts(app)
        assert app.dashboard.query_one(ReceiversTable).row_count == 4


async def test_escape_says_no() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("d", "escape")
        await settle(app, pilot)
        assert engine.calls == []
        assert at_dashboard(app)


@pytest.mark.parametrize(("ok", "glyph"), [(True, "✓"), (False, "✗")])
async def test_an_echo_test_shows_its_result(ok: bool, glyph: str) -> None:
    engine = busy()
    engine.echo_result = EchoResult(ok, "127.0.0.1:8104", "answered in 12 ms")
    async with running(engine) as (app, pilot):
        await pilot.press("t")
        await settle(app, pilot)
        expected = f"{glyph} C-ECHO to XNAT:8104: answered in 12 ms (127.0.0.1:8104)"
        assert toasts(app) == [expected]


async def test_retry_is_for_failed_receivers_only() -> None:
    engine = port_in_use()
    async with running(engine) as (app, pilot):
        await pilot.press("r")
        await settle(app, pilot)
        assert [call[:1] for call in engine.named("retry_receiver")] == [(5,)]
        assert "it cannot listen: address in use" in toasts(app)[0]
        await pilot.press("j", "r")
        await settle(app, pilot)
        assert len(engine.named("retry_receiver")) == 1


async def test_a_refusal_is_shown_with_title_detail_and_remedy() -> None:
    engine = busy()
    engine.error = ListenError("0.0.0.0", 8104, "the port is privileged", "use another port")
    async with running(engine) as (app, pilot):
        await pilot.press("j", "j", "s")
        await pilot.pause()
        await pilot.press("y")
        await settle(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        plain = app.screen._plain()
        assert plain == "Can't listen\nthe port is privileged\n\nWhat to do: use another port"
        await pilot.press("y")
        assert app.clipboard == plain
        await pilot.press("x")
        assert at_dashboard(app)


async def test_keys_that_do_not_apply_are_greyed_and_do_nothing() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("j", "j", "j")
        assert footer(app)["Echo test"] is False
        await pilot.press("t", "r")
        await settle(app, pilot)
        assert engine.calls == []


async def test_new_and_edit_open_the_dialog() -> None:
    engine = busy()
    engine.ports[8104] = PortStatus(PortState.TAKEN, "held by another program")
    async with running(engine) as (app, pilot):
        await pilot.press("n")
        await settle(app, pilot)
        assert type(app.screen).__name__ == "ReceiverDialog"
        assert app.screen.query_one("#port", Input).value == "8105", "a new form begins with a ✗"
        await pilot.press("escape")
        await pilot.press("e")
        await settle(app, pilot)
        assert type(app.screen).__name__ == "ReceiverDialog"


async def test_after_saving_the_receiver_is_selected_and_its_address_told() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        from tests.fakes import make_receiver

        saved = engine.save_receiver(make_receiver(0, "XNAT_2", 8107), "console")
        app.carry_out(app._receiver_commands.saved, saved)
        await pilot.pause()
        assert toasts(app) == ["XNAT_2:8107 saved, listening on [::]:8107   Z undoes it"]
        assert app.dashboard.selected is not None
        assert app.dashboard.selected.receiver == saved


async def test_what_the_engine_finds_worth_knowing_of_a_saved_receiver_is_said() -> None:
    engine = busy()
    engine.notes = ("tls_ca: CN=ct1 is one device's certificate", "the certificate expires")
    async with running(engine) as (app, pilot):
        await pilot.press("e")
        await settle(app, pilot)
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        assert [said for said in toasts(app) if "saved" not in said] == [
            "XNAT:8104: tls_ca: CN=ct1 is one device's certificate",
            "XNAT:8104: the certificate expires",
        ]


async def test_urgent_news_interrupts_with_a_toast() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        engine.emit(ReceiverFailed(receiver="[b]A:1", reason="port taken", remedy="choose another"))
        await pilot.pause()
        assert toasts(app) == ["[b]A:1 can't listen: port taken; choose another"]


# Moving about


async def test_a_filter_takes_letters_that_are_keys_elsewhere() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("slash", *"stopped")
        table = app.dashboard.query_one(ReceiversTable)
        assert table.row_count == 1
        assert engine.calls == []
        await pilot.press("enter")
        assert table.has_focus
        assert table.row_count == 1
        await pilot.press("escape")
        assert table.row_count == 5
        assert app.dashboard.query_one("#filter", Input).value == ""


async def test_a_filter_word_can_exclude() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("slash", *"8104 ", "exclamation_mark", *"intake")
        assert app.dashboard.query_one(ReceiversTable).row_count == 1


async def test_pause_holds_the_panels_but_not_the_header() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("p")
        assert app.dashboard.has_class("-paused")
        assert "PAUSED" in str(app.dashboard.query_one("#receivers").border_subtitle)
        gone = engine.current.receivers[1:]
        later = NOW + timedelta(seconds=9)
        engine.current = replace(engine.current, receivers=gone, taken_at=later)
        await app.look()
        await pilot.pause()
        table = app.dashboard.query_one(ReceiversTable)
        assert table.row_count == 5
        assert "14:03:31" in header(app)
        await pilot.press("p")
        assert table.row_count == 4


async def test_zoom_gives_a_panel_the_whole_screen_and_escape_ends_it() -> None:
    async with running(hundred_associations()) as (app, pilot):
        await pilot.press("tab", "z")
        await pilot.pause()
        assert app.dashboard.query_one("#associations").region.height == 37
        assert not shown(app, "#receivers")
        await pilot.press("escape")
        await pilot.pause()
        assert shown(app, "#receivers")


async def test_tab_goes_through_the_panels() -> None:
    async with running(busy()) as (app, pilot):
        seen = []
        for _ in range(4):
            seen.append(app.focused.id if app.focused else None)
            await pilot.press("tab")
        assert seen == ["receivers-table", "associations-table", "chart", "events-table"]
        assert app.focused is not None
        assert app.focused.id == "receivers-table"


async def test_the_focused_panel_is_marked_without_color() -> None:
    async with running(busy()) as (app, pilot):
        assert "▸" in str(app.dashboard.query_one("#receivers").border_title)
        await pilot.press("tab")
        assert "▸" not in str(app.dashboard.query_one("#receivers").border_title)
        assert "▸" in str(app.dashboard.query_one("#associations").border_title)


async def test_copy_gives_the_row_as_text_or_json() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("y")
        assert app.clipboard.startswith("● XNAT · 8104\n")
        await pilot.press("Y")
        assert json.loads(app.clipboard)["receiver"]["ae_title"] == "XNAT"
        await pilot.press("tab", "Y")
        assert json.loads(app.clipboard)["calling_ae_title"] == "CT_SCANNER_1"


async def test_copy_of_a_failed_receiver_is_its_report() -> None:
    async with running(port_in_use()) as (app, pilot):
        await pilot.press("y")
        assert "held by     pid 4127 storescp" in app.clipboard


async def test_enter_opens_everything_about_the_row() -> None:
    async with running(whitelist_rejections()) as (app, pilot):
        table = app.dashboard.query_one(AssociationsTable)
        table.focus()
        table.choose(row(app, "A-0425"))
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)
        assert "nearest: OLD_WS1" in app.screen._plain()


async def test_order_offers_the_columns_and_sorts() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("o", *"by ae", "enter")
        await settle(app, pilot)
        assert app.dashboard.query_one(ReceiversTable).sorted_by == "ae_title"


async def test_help_opens_and_closes() -> None:
    async with running(busy(), (80, 24)) as (app, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape", "tab", "tab", "f1")
        assert isinstance(app.screen, HelpScreen)
        assert "Associations" in str(app.screen.query_one(".box").border_title)


async def test_a_terminal_that_becomes_too_small_is_told_so_until_it_grows() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.resize_terminal(50, 12)
        await pilot.pause()
        assert isinstance(app.screen, TooSmallScreen)
        text = str(app.screen.query_one("#too-small", Static).content)
        assert "50 × 12" in text
        assert "60 × 15" in text
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert at_dashboard(app)


def test_filtered_objects_are_counted_where_there_are_any() -> None:
    panel = ThroughputChart(id="throughput")
    some, none = (
        next(panel._facts(make_snapshot(totals=Totals(stored=5, filtered=n)), 60)).plain
        for n in (3, 0)
    )
    assert some.endswith("5 stored   0 failed   3 filtered")
    assert none.endswith("5 stored   0 failed")
