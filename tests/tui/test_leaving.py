"""Ways out: quit, signals, a terminal that is gone; the engine is stopped first, once."""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest
from textual.widgets import Static
from textual.worker import WorkerCancelled, WorkerFailed

from tests.fakes import busy
from tests.terminals import ALTERNATE_SCREEN_OFF, Terminal
from tui.app import ConsoleApp
from tui.shell.dialogs import QuestionDialog
from tui.shell.status import StatusLine

CONSOLE = """
import sys
from tests.fakes import busy
from tests.terminals import ALTERNATE_SCREEN_OFF, Terminal
from tui.app import ConsoleApp
def on_quit():
    print("engine stopped", file=open(sys.argv[1], "a"))
    if len(sys.argv) > 2:
        import threading
        threading.Event().wait(60)
ConsoleApp(busy(), refresh_hz=4, on_quit=on_quit).run()
"""


async def left(app: ConsoleApp) -> None:
    with contextlib.suppress(WorkerCancelled):
        await app.workers.wait_for_complete()


async def test_quit_stops_the_engine_on_a_worker_and_says_so_meanwhile() -> None:
    may_finish = threading.Event()
    threads = []

    def on_quit() -> None:
        threads.append(threading.current_thread())
        may_finish.wait(10)

    app = ConsoleApp(busy(), refresh_hz=0, blink=False, on_quit=on_quit)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+q", "ctrl+q")
        await pilot.pause()
        line = app.dashboard.query_one(StatusLine).render().plain
        assert "stopping, 4 associations may finish" in line
        assert app.is_running
        may_finish.set()
        await left(app)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert app.return_code == 0


async def test_nothing_can_be_commanded_while_the_engine_stops() -> None:
    may_finish = threading.Event()
    engine = busy()

    def on_quit() -> None:
        may_finish.wait(10)

    app = ConsoleApp(engine, refresh_hz=0, blink=False, on_quit=on_quit)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+q", "t", "s", "d")
        await pilot.pause()
        may_finish.set()
        await left(app)
    assert engine.calls == []


async def test_an_engine_that_fails_to_stop_does_not_keep_the_console_open() -> None:
    def on_quit() -> None:
        raise OSError("disk gone")

    app = ConsoleApp(busy(), refresh_hz=0, blink=False, on_quit=on_quit)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("ctrl+q")
        with contextlib.suppress(WorkerFailed):
            await left(app)
        await pilot.pause()
    assert app.return_code == 0


async def test_without_an_engine_of_its_own_the_console_just_closes() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+q")
    assert app.return_code == 0


async def test_quitting_asks_first_what_becomes_of_an_engine_that_runs_in_the_console() -> None:
    ways: list[str] = []
    app = ConsoleApp(
        busy(),
        refresh_hz=0,
        blink=False,
        on_keep=lambda: ways.append("kept"),
        on_quit=lambda: ways.append("stopped"),
        service=lambda: "dicomdock",
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+q", "ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, QuestionDialog)
        words = str(app.screen.query_one(".sentence", Static).content)
        assert "4 associations open" in words
        assert "they are aborted" in words
        assert "systemctl start dicomdock" in words
        assert app.focused is not None
        assert app.focused.id == "keep"
        await pilot.press("escape")
        assert not ways
        await pilot.press("ctrl+q")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
    assert ways == ["kept"]
    assert app.goes_on


async def test_the_engine_of_the_console_is_stopped_on_request() -> None:
    ways: list[str] = []
    app = ConsoleApp(
        busy(),
        refresh_hz=0,
        blink=False,
        on_keep=lambda: ways.append("kept"),
        on_quit=lambda: ways.append("stopped"),
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+q")
        await pilot.pause()
        await pilot.press("s")
        await left(app)
    assert ways == ["stopped"]
    assert not app.goes_on


async def test_a_terminal_that_is_gone_ends_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    monkeypatch.setattr(os, "dup2", lambda source, target: None)
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test() as pilot:
        await pilot.pause()
        app._terminal_watch.check()
        await pilot.pause()
        assert app.is_running
        monkeypatch.setattr(os, "isatty", lambda fd: False)
        app._terminal_watch.check()
        await pilot.pause()
    assert app.return_code == 0


async def test_a_screen_that_is_asked_for_while_the_console_ends_is_not_made() -> None:
    app = ConsoleApp(busy(), refresh_hz=0)
    async with app.run_test() as pilot:
        await pilot.pause()
        app.exit()
        app.go("associations")
        await pilot.pause()
    assert app.return_code == 0


async def test_an_answer_that_comes_after_the_screens_went_is_not_shown() -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test() as pilot:
        await pilot.pause()
        app.exit()
    app.looked()
    assert app.return_code == 0


def console(note: Path, *options: str, signals: bool = True) -> Terminal:
    """Start a console that notes when its engine was stopped."""
    return Terminal(["-c", CONSOLE, str(note), *options], note.parent, signals=signals)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_engine_and_restores_the_terminal(
    signal_number: signal.Signals, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    with console(note) as terminal:
        assert terminal.shows("listening")
        terminal.process.send_signal(signal_number)
        assert terminal.read_until(ALTERNATE_SCREEN_OFF)
        assert terminal.wait() == 0
    assert note.read_text() == "engine stopped\n"


@pytest.mark.parametrize("signals", [True, False], ids=["with a signal", "without a signal"])
def test_a_terminal_that_vanishes_ends_the_console(signals: bool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with console(note, signals=signals) as terminal:
        assert terminal.shows("listening")
        terminal.hang_up()
        assert terminal.process.wait(20) == 0
    assert note.read_text() == "engine stopped\n"


def test_a_second_sigterm_exits_at_once_with_the_terminal_restored(tmp_path: Path) -> None:
    with console(tmp_path / "note", "slowly") as terminal:
        assert terminal.shows("listening")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.shows("stopping")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.read_until(ALTERNATE_SCREEN_OFF)
        assert terminal.wait() == 128 + signal.SIGTERM


def test_sigterm_ends_a_console_whose_terminal_nobody_reads(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with console(note) as terminal:
        assert terminal.shows("listening")
        terminal.fill()
        terminal.type(b"24" * 40)  # each draws a screen: more than what Textual lets wait
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(10) == 0
    assert note.read_text() == "engine stopped\n"
