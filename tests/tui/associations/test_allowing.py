"""Rejected callers: how they are shown, what lets them in, and what helps when a line does not."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, OptionList, Static

from engine.api import AssociationStatus, ReceiverState
from engine.errors import ChangedMeanwhile, ListenError
from tests.fakes import (
    NOW,
    FakeEngine,
    hostile_names,
    make_receiver,
    make_snapshot,
    make_status,
    whitelist_rejections,
)
from tests.tui.dashboard.test_dashboard import footer, row, running, settle, toasts
from tests.tui.shell.test_palette import shown
from tests.tui.tables import cell
from tui.app import ConsoleApp
from tui.associations.allow import AllowDialog, WhitelistPreview, advice, allow_form, sent_as
from tui.associations.table import AssociationsTable
from tui.shell.dialogs import MessageDialog

OLD_WS = "A-0425"


def rejected(engine: FakeEngine, id: str = OLD_WS) -> AssociationStatus:
    return next(a for a in engine.current.ended_associations if a.id == id)


def change_intake(engine: FakeEngine, **changes: object) -> None:
    """Change CT_INTAKE as somebody else would."""
    engine.current = replace(
        engine.current,
        receivers=tuple(
            replace(s, receiver=replace(s.receiver, **changes)) if s.receiver.id == 2 else s  # type: ignore[arg-type]
            for s in engine.current.receivers
        ),
    )


@asynccontextmanager
async def at_row(
    engine: FakeEngine, id: str = OLD_WS, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    async with running(engine, size) as (app, pilot):
        table = app.dashboard.query_one(AssociationsTable)
        table.focus()
        table.choose(row(app, id))
        await pilot.pause()
        yield app, pilot


def words(app: ConsoleApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def preview(app: ConsoleApp) -> list[str]:
    return str(app.screen.query_one(WhitelistPreview).visual).splitlines()


def options(app: ConsoleApp) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]


async def test_repeats_are_counted_in_the_table_and_in_the_reason() -> None:
    async with at_row(whitelist_rejections()) as (app, _):
        table = app.dashboard.query_one(AssociationsTable)
        assert cell(table, row(app, OLD_WS), "objects") == "×25"
        assert cell(table, row(app, "A-0424"), "objects") == "–"
        why = words(app, "#why")
        said = "✗ rejected ×25, last 14:03:19, w allows it: calling AE title OLD_WS from 10.4.2.77"
        assert why.startswith(said)
        assert "29 rejected" in str(app.dashboard.query_one("#associations").border_title)


async def test_the_cursor_stays_with_a_caller_that_keeps_trying() -> None:
    engine = whitelist_rejections()
    async with at_row(engine, "A-0424") as (app, pilot):
        before = rejected(engine, "A-0424")
        again = replace(before, id="A-0500", repeats=2, ended_at=NOW)
        others = [a for a in engine.current.ended_associations if a is not before]
        engine.current = replace(engine.current, ended_associations=(again, *others))
        await app.look()
        await pilot.pause()
        assert app.dashboard.rejected_caller == again
        assert words(app, "#why").startswith("✗ rejected ×2, last 14:03:22, w allows it")


async def test_w_is_offered_on_a_rejected_row_only() -> None:
    async with at_row(whitelist_rejections()) as (app, pilot):
        assert footer(app)["Allow caller"]
        app.dashboard.query_one(AssociationsTable).choose(row(app, "A-0412"))
        await pilot.pause()
        assert "Allow caller" not in footer(app)
        await pilot.press("w")
        assert app.screen is app.dashboard


async def test_the_dialog_offers_lines_from_narrow_to_wide_with_whom_else_they_admit() -> None:
    async with at_row(whitelist_rejections()) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        assert isinstance(app.screen, AllowDialog)
        assert str(app.screen.query_one("#allow").border_title) == "Allow OLD_WS in CT_INTAKE:8104"
        assert [" ".join(option.split()) for option in options(app)] == [
            "● OLD_WS@10.4.2.77 nobody else",
            "○ OLD_WS@10.4.2.0/24 OLD_WS from all 256 addresses of 10.4.2.0/24",
            "○ OLD_WS everybody who calls itself OLD_WS, from anywhere",
            "○ 10.4.2.77 every AE title from 10.4.2.77",
        ]
        assert "Rejected ×25" in words(app, "#caller")
        assert 'AE title as sent: "OLD_WS"  6 characters: 4F 4C 44 5F 57 53' in words(
            app, "#caller"
        )


async def test_the_preview_follows_the_choice_and_notes_what_is_odd() -> None:
    engine = whitelist_rejections()
    change_intake(engine, whitelist=("OLD_WS@10.9.9.9", "ER_CT"))
    async with at_row(engine) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        assert preview(app)[-1].startswith("+   3  OLD_WS@10.4.2.77")
        assert not any("!" in line for line in preview(app))
        await pilot.press("down", "down")
        await pilot.pause()
        assert preview(app)[2].startswith("+   3  OLD_WS ")
        assert "! has no effect: line 3 lets in all that it does" in preview(app)[0]
        assert words(app, "#preview-head").endswith("then: 3 lines, 1 to look at (!)")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_allowing_saves_one_line_as_one_revision(size: tuple[int, int]) -> None:
    engine = whitelist_rejections()
    before = engine.current.receivers[1].receiver
    async with at_row(engine, size=size) as (app, pilot):
        await pilot.press("w", "down", "ctrl+s")
        await settle(app, pilot)
        after = replace(before, whitelist=(*before.whitelist, "OLD_WS@10.4.2.0/24"))
        assert engine.calls == [("save_receiver", after, "console", before)]
        line = "OLD_WS@10.4.2.0/24"
        said = f"CT_INTAKE:8104 lets OLD_WS in now, by line {line}   Z undoes it"
        assert toasts(app) == [said]
        assert "w says what helps" in words(app, "#why")


@pytest.mark.parametrize("keys", ["escape", "enter,enter", "down,enter,enter"])
async def test_the_safe_answer_comes_first_and_changes_nothing(keys: str) -> None:
    engine = whitelist_rejections()
    async with at_row(engine) as (app, pilot):
        await pilot.press("w", *keys.split(","))
        await settle(app, pilot)
        assert engine.calls == []
        assert app.screen is app.dashboard


async def test_the_answer_is_in_view_and_can_be_reached_by_keys() -> None:
    engine = whitelist_rejections()
    change_intake(engine, whitelist=tuple(f"CT{n}" for n in range(60)))
    async with at_row(engine, size=(80, 24)) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        button = app.screen.query_one("#allow-it", Button)
        assert app.screen.region.contains_region(button.region)
        at_end = app.screen.query_one("#preview").scroll_y
        assert at_end > 0
        await pilot.press("ctrl+u")
        await pilot.pause()
        assert app.screen.query_one("#preview").scroll_y < at_end
        await pilot.press("enter", "right", "enter")
        await settle(app, pilot)
        assert len(engine.named("save_receiver")) == 1


async def test_a_receiver_changed_meanwhile_is_shown_as_it_is_now_and_nothing_is_lost() -> None:
    engine = whitelist_rejections()
    async with at_row(engine) as (app, pilot):
        await pilot.press("w", "down")
        change_intake(engine, whitelist=("NEW_CT",))
        now = engine.current.receivers[1].receiver
        engine.error = ChangedMeanwhile("CT_INTAKE:8104", "anna", NOW, ["whitelist: +NEW_CT"])
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        assert "CT_INTAKE:8104 was changed by anna" in words(app, "#refused")
        assert preview(app)[0].startswith("    1  NEW_CT")
        assert preview(app)[1].startswith("+   2  OLD_WS@10.4.2.0/24")
        engine.error = None
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        saved, _, replacing = engine.named("save_receiver")[-1]
        assert saved.whitelist == ("NEW_CT", "OLD_WS@10.4.2.0/24")
        assert replacing == now


async def test_the_dialog_answers_keys_while_a_silent_engine_is_asked_what_was_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, may_look = whitelist_rejections(), threading.Event()
    look = engine.snapshot
    async with at_row(engine) as (app, pilot):
        await pilot.press("w", "down")
        change_intake(engine, whitelist=("NEW_CT",))
        engine.error = ChangedMeanwhile("CT_INTAKE:8104", "anna", NOW, ["whitelist: +NEW_CT"])
        monkeypatch.setattr(engine, "snapshot", lambda: may_look.wait(10) and look())
        await pilot.press("ctrl+s", "down")
        await pilot.pause()
        assert options(app)[2].startswith("●")
        assert str(app.screen.query_one("#allow-it", Button).label) == "Saving…"
        may_look.set()
        while not words(app, "#refused"):
            await pilot.pause(0.01)
        assert "CT_INTAKE:8104 was changed by anna" in words(app, "#refused")
        assert preview(app)[1].startswith("+   2  OLD_WS")


async def test_a_caller_that_somebody_else_let_in_meanwhile_is_not_added_again() -> None:
    engine = whitelist_rejections()
    async with at_row(engine) as (app, pilot):
        await pilot.press("w")
        change_intake(engine, whitelist=("OLD_WS",))
        engine.error = ChangedMeanwhile("CT_INTAKE:8104", "anna", NOW, ["whitelist: +OLD_WS"])
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        assert "the caller is let in now" in words(app, "#refused")
        assert app.screen.query_one("#allow-it", Button).disabled
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        assert len(engine.named("save_receiver")) == 1


async def test_a_receiver_deleted_meanwhile_is_said_to_be_gone() -> None:
    engine = whitelist_rejections()
    async with at_row(engine) as (app, pilot):
        await pilot.press("w")
        engine.current = replace(engine.current, receivers=())
        engine.error = ChangedMeanwhile("CT_INTAKE:8104", "anna", NOW, ["removed"])
        await pilot.press("ctrl+s")
        await settle(app, pilot)
        assert "does not exist any more" in words(app, "#refused")


async def test_another_refusal_is_shown_with_its_remedy() -> None:
    engine = whitelist_rejections()
    engine.error = ListenError("", 8104, "[/x] \x1b[31m is not writable", "free space")
    async with at_row(engine) as (app, pilot):
        await pilot.press("w", "ctrl+s")
        await settle(app, pilot)
        said = "✗ Can't listen: [/x] ␛[31m is not writable\n→ free space"
        assert words(app, "#refused") == said


ON_PORT = "n creates one, or the caller calls one of those on port 8104: XNAT, CT_INTAKE"
LIMIT = "50 associations of CT_INTAKE are open, and no more are allowed"


@pytest.mark.parametrize(
    ("receiver", "state", "why", "helps"),
    [
        ({"whitelist_enabled": False}, "listening", "x", "off now: every caller is accepted"),
        ({"enabled": False}, "disabled", "x", "CT_INTAKE:8104 is stopped; s on its row starts"),
        ({}, "not allowed", "x", "not allowed on this site now; B allows them again"),
        (
            {"whitelist": ("OLD_WS",)},
            "listening",
            "x",
            "would accept the caller now; it may send again",
        ),
        ({}, "listening", LIMIT, "raise the limit: e edits the receiver"),
        ({}, "listening", "the engine is stopping", "once the engine runs again"),
        ({"port": 8105}, "listening", "x", "no receiver CT_INTAKE:8104 is configured: n creates"),
        ({}, "listening", "calling AE title OLD_WS is on no line", "w on its row offers"),
    ],
)
def test_what_helps_is_said_for_every_reason(
    receiver: dict[str, object], state: str, why: str, helps: str
) -> None:
    engine = whitelist_rejections()
    change_intake(engine, **receiver)
    first, intake, *others = engine.current.receivers
    intake = replace(intake, state=ReceiverState(state))
    snapshot = replace(engine.current, receivers=(first, intake, *others))
    association = replace(rejected(engine), why=why)
    assert helps in advice(association, snapshot)
    assert (allow_form(association, snapshot) is not None) is helps.startswith("w on its row")


async def test_w_on_an_unknown_receiver_explains_instead() -> None:
    async with at_row(whitelist_rejections(), "A-0422") as (app, pilot):
        await pilot.press("w")
        assert isinstance(app.screen, MessageDialog)
        plain = app.screen._plain()
        assert "called AE title XNAT_OLD is not an enabled receiver" in plain
        assert "What to do: no receiver XNAT_OLD:8104 is configured: " + ON_PORT in plain


async def test_the_palette_offers_to_allow_each_caller_that_a_line_helps() -> None:
    engine = whitelist_rejections()
    async with running(engine) as (app, pilot):
        await pilot.press("ctrl+p", *"allow old_ws", "enter")
        dialog = await shown(app, pilot, AllowDialog)
        assert dialog.form.association == rejected(engine)


async def test_details_of_a_rejected_caller_say_how_often_and_what_helps() -> None:
    async with at_row(whitelist_rejections()) as (app, pilot):
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)
        lines = app.screen._plain().splitlines()
        assert "times             25" in lines
        assert "last time         14:03:19" in lines
        assert "what to do        w on its row offers whitelist lines that let it in" in lines


async def test_details_list_each_refused_presentation_context() -> None:
    async with at_row(whitelist_rejections(), "A-0412") as (app, pilot):
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)
        plain = app.screen._plain()
        assert "Refused presentation contexts: 2" in plain
        assert (
            "✗ Modality Performed Procedure Step\n"
            "  proposed  Implicit VR Little Endian, Explicit VR Little Endian\n"
            "  reason    not a storage class"
        ) in plain


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("OLDWS", ""),
        ("[/x] 1", '"[/x] 1"  6 characters: 5B 2F 78 5D 20 31'),
        ("a\x1b", '"a␛"  2 characters: 61 1B'),
        ("\udce9", '"⟨DCE9⟩"  1 character: ED B3 A9'),
    ],
)
def test_an_ae_title_that_cannot_be_read_plainly_is_shown_byte_by_byte(
    title: str, said: str
) -> None:
    assert sent_as(title) == said


async def test_hostile_callers_are_literal_in_the_dialog() -> None:
    engine = hostile_names()
    caller = replace(engine.current.ended_associations[1], receiver="X:8104")
    assert caller.calling_ae_title == "[red]CT[/red]"
    receiver = make_receiver(1, "X", whitelist_enabled=True, whitelist=("[/x]", "[b]"))
    engine.current = make_snapshot(receivers=(make_status(receiver),), ended_associations=(caller,))
    async with at_row(engine, caller.id) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        assert "[red]CT[/red]@10.4.2.77" in options(app)[0]
        assert preview(app)[0].startswith("    1  [/x]")
        assert preview(app)[-1].startswith("+   3  [red]CT[/red]@10.4.2.77")
        assert "[red]CT[/red]" in words(app, "#caller")
