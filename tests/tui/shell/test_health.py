"""What the console says while callers are rejected, or while the engine does not answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api import ReceiverState
from tests.fakes import busy, disk_full, whitelist_rejections
from tests.fakes.values import make_association, make_snapshot
from tui.app import ConsoleApp
from tui.associations.allow import advice, allow_form
from tui.engine_client import EngineLink
from tui.receivers.table import ReceiverRows, receiver_details
from tui.shell.dialogs import MessageDialog
from tui.shell.health import Banners, rejection_words
from tui.shell.status import StatusLine, active_hints
from tui.theme import REJECTING, Tone
from tui.widgets.table import Table

if TYPE_CHECKING:
    import pytest

WHY = (
    "✗ Every caller is rejected: only 157 MB free on the storage, 268 MB required. "
    "Free at least 111.1 MB under /var/lib/dicomdock. 6 shows the limit."
)


def test_a_full_storage_is_said_with_numbers_threshold_and_remedy() -> None:
    full = disk_full().current
    assert rejection_words(full) == WHY
    gone = replace(full.storage, refusal="the storage is not mounted", reserve_bytes=0)
    remedy = "Check that /var/lib/dicomdock is mounted and can be written."
    assert rejection_words(replace(full, storage=gone)).endswith(remedy)
    assert rejection_words(busy().current) == ""
    crowded = make_snapshot(associations=(make_association(1, "CT"),), maximum_associations=1)
    assert "Further callers are rejected: 1 association" in rejection_words(crowded)


def test_a_receiver_that_rejects_every_caller_does_not_look_as_if_it_listened() -> None:
    full = disk_full().current
    states = [row.cells["state"] for row in ReceiverRows().of(full)]
    assert (states[0].text, states[0].tone) == (str(REJECTING), Tone.ERROR)
    listening = next(s for s in full.receivers if s.state is ReceiverState.LISTENING)
    details = receiver_details(listening, full)
    assert details.title.startswith("✗")
    assert "rejects every caller: only 157 MB free" in details.text


def test_no_whitelist_line_is_offered_while_every_caller_is_rejected() -> None:
    snapshot = whitelist_rejections().current
    rejected = snapshot.ended_associations[0]
    assert allow_form(rejected, snapshot) is not None
    full = replace(snapshot, storage=disk_full().current.storage)
    assert allow_form(rejected, full) is None
    assert advice(rejected, full) == WHY.removeprefix("✗ ")
    earlier = replace(rejected, why="only 3 MB free on the storage, 268 MB required")
    assert "enough free space again" in advice(earlier, snapshot)


async def test_the_line_is_above_every_screen() -> None:
    app = ConsoleApp(disk_full(), refresh_hz=0, blink=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        line = app.screen.query_one("#rejecting")
        assert line.display
        assert 0 < line.region.height <= 3
        assert "✗3 ○1 ✗1" in app.dashboard.query_one(StatusLine).render().plain


async def test_what_a_silent_engine_makes_impossible_is_off_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(EngineLink, "monotonic", staticmethod(lambda: now[0]))
    engine, obstacles = busy(), ["pid 7 holds the data directory", ""]
    app = ConsoleApp(engine, refresh_hz=0, blink=False, obstacle=lambda: obstacles.pop(0))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("f5")
        assert len(obstacles) == 2, "it answers"
        engine.silent = OSError("gone")
        now[0] = 75.0
        await app.look()
        await pilot.pause()
        hints = {hint.key.id: hint.enabled for hint in active_hints(app.screen)}
        assert hints["app.start_engine"]
        assert not any(hints.get(f"receiver.{name}") for name in ("new", "edit", "stop", "echo"))
        line = app.dashboard.query_one(StatusLine).render().plain
        assert "does not answer since 14:03:22" in line
        assert "1 min 15 s" in line
        assert "14:03:22" not in line.rpartition("1 min 15 s")[2], "the clock stands still"
        assert "f5 starts one here" in str(app.query_one(Banners).query_one("#silence").render())
        table = app.screen.query_one("#receivers-table", Table)
        cursor = table.get_component_rich_style("table--cursor").color
        assert cursor is not None
        assert cursor.get_truecolor().hex == app.theme_variables["quiet"]
        engine.calls.clear()
        await pilot.press("s", "t", "Z")
        await pilot.pause()
        assert not engine.calls
        said = [toast.message for toast in app._notifications]
        assert sum("the engine does not answer" in words for words in said) == 3
        await pilot.press("f5")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(app.screen, MessageDialog)
        await pilot.press("space", "f5")
        await app.workers.wait_for_complete()
    assert app.wants_engine


async def test_a_key_that_can_do_nothing_for_a_row_says_why() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("r", "w", "x", "j", "j", "j", "t", "escape", "f5")
        await pilot.pause()
        said = [toast.message for toast in app._notifications]
    assert said == [
        "r (Retry now): XNAT:8104 is LISTEN; only a receiver that failed to listen is retried",
        "w (Allow caller): choose one rejected association first (tab goes to their panel)",
        "x (Abort): choose a live association first (tab goes to their panel)",
        "t (Echo test): LEGACY_US:8105 is STOPPED and answers no C-ECHO; s starts it",
        "f5 (Start engine): only in place of an engine that has ended, and not in every console",
    ]
