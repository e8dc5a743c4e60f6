"""Pictures of associations, log, receiver and frame: one state each, at both sizes."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.errors import EngineError
from engine.events import ControlUsed, RecordedEvent
from engine.events.event import UnknownEvent
from tests.fakes import (
    NOW,
    FakeEngine,
    busy,
    empty,
    hostile_names,
    hundred_associations,
    make_snapshot,
    port_in_use,
    whitelist_rejections,
)
from tests.tui.reaching import reach
from tui.app import ConsoleApp
from tui.shell.dialogs import MessageDialog, ProgressDialog, WorkAnswered, WorkStep
from tui.shell.help import ConsoleFacts, diagnostics
from tui.widgets.filter import FilterBar

SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]
both_sizes = pytest.mark.parametrize("size", SIZES)
large_only = pytest.mark.parametrize("size", SIZES[:1])
small_only = pytest.mark.parametrize("size", SIZES[1:])
Compare = Callable[..., bool]
Before = Callable[[Pilot[Any]], Awaitable[None]]


def console(engine: FakeEngine, **options: Any) -> ConsoleApp:
    return ConsoleApp(reach(engine), refresh_hz=0, blink=False, **options)


def pressing(*keys: str, words: str = "") -> Before:
    """Press keys, then put words into the filter, and wait until all is answered."""

    async def before(pilot: Pilot[Any]) -> None:
        await pilot.press(*keys)
        if words:
            bar = pilot.app.screen.query_one(FilterBar)
            bar.open()
            bar.value = words
        await pilot.pause()

    return before


# Associations


@both_sizes
def test_associations(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A live association is chosen: its contexts are named, the refused ones first."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("2"))


@both_sizes
def test_associations_rejected(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A caller that was rejected 25 times: why, what helps, and the key that allows it."""
    before = pressing("2", "j", "j", "j", "j")
    assert snap_compare(console(whitelist_rejections()), terminal_size=size, run_before=before)


@small_only
def test_associations_marked(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Three of the associations that match a filter are marked; the title counts both."""
    before = pressing("2", words="caller:mr_")

    async def marked(pilot: Pilot[Any]) -> None:
        await before(pilot)
        await pilot.press("enter", "space", "space", "space")

    assert snap_compare(console(hundred_associations()), terminal_size=size, run_before=marked)


@both_sizes
def test_associations_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Nobody has called yet, and each panel says so."""
    assert snap_compare(console(empty()), terminal_size=size, run_before=pressing("2"))


@both_sizes
def test_associations_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Names that are markup or escape sequences stand there literally."""
    before = pressing("2", "j", "j", "j", "j")
    assert snap_compare(console(hostile_names()), terminal_size=size, run_before=before)


# Log


@both_sizes
def test_log(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The newest event is followed; all levels are on and counted."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("4"))


@both_sizes
def test_log_audit(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Only what people did, with what the audit log has of earlier days."""
    engine = busy()
    engine.older_audited = tuple(
        RecordedEvent(number, NOW - timedelta(days=3 - number), UnknownEvent(message=words))
        for number, words in enumerate(("anna deleted receiver US:8105", "bert undid it"), start=1)
    )
    engine.record(ControlUsed(by="anna, says: console of berta"))
    assert snap_compare(console(engine), terminal_size=size, run_before=pressing("4", "a"))


@both_sizes
def test_log_error(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The cursor is on an error; below, what happened and what to do."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("4", "e"))


@large_only
def test_log_wrapped(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Whole sentences in several lines, under a mark, with dates."""
    before = pressing("4", "m", "w", "t", "j", "j")
    assert snap_compare(console(whitelist_rejections()), terminal_size=size, run_before=before)


@small_only
def test_log_filtered(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A filter that matches nothing says so, and how to end it."""
    before = pressing("4", "l", words="level:error caller:nobody")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_log_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Nothing has happened yet."""
    engine = FakeEngine(make_snapshot())
    assert snap_compare(console(engine), terminal_size=size, run_before=pressing("4"))


@both_sizes
def test_log_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Names that are markup or escape sequences stand there literally."""
    before = pressing("4", "j", "j", "j")
    assert snap_compare(console(hostile_names()), terminal_size=size, run_before=before)


@small_only
def test_log_save(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A name for the file is suggested and can be changed."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("4", "S"))


def test_log_without_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels, cursor, focus and the present screen are told without color."""
    monkeypatch.setenv("NO_COLOR", "1")
    before = pressing("4", "j", "j")
    assert snap_compare(console(busy()), terminal_size=(80, 24), run_before=before)


# Receiver


@both_sizes
def test_receiver(snap_compare: Compare, size: tuple[int, int]) -> None:
    """One receiver: settings, traffic, its associations, contexts and events."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("enter"))


@both_sizes
def test_receiver_failed(snap_compare: Compare, size: tuple[int, int]) -> None:
    """It cannot listen: why, who holds the port, what to do."""
    assert snap_compare(console(port_in_use()), terminal_size=size, run_before=pressing("enter"))


@both_sizes
def test_receiver_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A name that is an escape sequence stands in crumbs, tables and panels literally."""
    before = pressing("j", "j", "j", "j", "enter")
    assert snap_compare(console(hostile_names()), terminal_size=size, run_before=before)


def test_receiver_unfolds_its_events(snap_compare: Compare) -> None:
    """In a small terminal the focused panel unfolds."""
    before = pressing("enter", "tab", "tab", "tab")
    assert snap_compare(console(busy()), terminal_size=(80, 24), run_before=before)


# Frame


@small_only
def test_long_work(snap_compare: Compare, size: tuple[int, int]) -> None:
    """How far the work is, what it does now, what went wrong, and the keys."""
    steps = tuple(WorkStep(f"move session {n} to NEURO-01", lambda _: None) for n in range(8))
    error = EngineError("archive [2] is full", "free some space")

    async def before(pilot: Pilot[Any]) -> None:
        screen = ProgressDialog("Move 8 sessions", steps)
        await pilot.app.push_screen(screen)
        for n, step in enumerate(steps[:5]):
            screen.post_message(WorkAnswered(step, error if n == 3 else None))
        await pilot.pause()

    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@large_only
def test_read_only(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The first line says read-only, and no key changes anything."""
    app = console(port_in_use(), read_only=True)
    assert snap_compare(app, terminal_size=size)


@small_only
def test_diagnostics(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Versions, engine, files, terminal and threads on one page."""
    facts = ConsoleFacts(
        (("Python", "3.11.7"), ("dicomdock", "0.1.0"), ("textual", "8.2.8")),
        "/home/anna/.config/dicomdock/console.json",
        (("size", "120 × 40"), ("TERM", "xterm-256color")),
        "dark",
        ("MainThread", "listener-8104", "listener-11112"),
    )

    async def before(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, ConsoleApp)
        text = diagnostics(facts, app.engine_state)
        await app.push_screen(MessageDialog("Diagnostics", text, error=False))
        await pilot.pause()

    assert snap_compare(console(busy()), terminal_size=size, run_before=before)
