"""Ways out: quit, signals, a terminal that is gone; the engine is stopped first, once."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from textual.worker import WorkerCancelled, WorkerFailed

from tests.fakes import busy
from tui.app import ConsoleApp
from tui.widgets.status_line import StatusLine

ROOT = Path(__file__).resolve().parents[2]
ALTERNATE_SCREEN_ON = b"\x1b[?1049h"
ALTERNATE_SCREEN_OFF = b"\x1b[?1049l"
CONSOLE = """
import sys
from tests.fakes import busy
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


class Console:
    """The console in a terminal of its own."""

    def __init__(self, note: Path, *options: str) -> None:
        self._terminal, slave = pty.openpty()
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONSOLE, str(note), *options],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.output = b""

    def read_until(self, wanted: bytes, seconds: float = 20) -> bool:
        end = time.monotonic() + seconds
        while wanted not in self.output and time.monotonic() < end:
            if not select.select([self._terminal], [], [], 0.2)[0]:
                continue
            try:
                self.output += os.read(self._terminal, 65536)
            except OSError:
                break
        return wanted in self.output

    def hang_up(self) -> None:
        os.close(self._terminal)
        self._terminal = -1

    def close(self) -> None:
        if self._terminal >= 0:
            self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_engine_and_restores_the_terminal(
    signal_number: signal.Signals, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    console = Console(note)
    try:
        assert console.read_until(b"listening")
        console.process.send_signal(signal_number)
        assert console.read_until(ALTERNATE_SCREEN_OFF)
        assert console.process.wait(20) == 0
        assert note.read_text() == "engine stopped\n"
    finally:
        console.close()


def test_a_terminal_that_vanishes_without_a_signal_ends_the_console(tmp_path: Path) -> None:
    note = tmp_path / "note"
    console = Console(note)
    try:
        assert console.read_until(b"listening")
        console.hang_up()
        assert console.process.wait(20) == 0
        assert note.read_text() == "engine stopped\n"
    finally:
        console.close()


def test_a_second_sigterm_exits_at_once_with_the_terminal_restored(tmp_path: Path) -> None:
    note = tmp_path / "note"
    console = Console(note, "slowly")
    try:
        assert console.read_until(b"listening")
        console.process.send_signal(signal.SIGTERM)
        assert console.read_until(b"stopping")
        console.process.send_signal(signal.SIGTERM)
        assert console.read_until(ALTERNATE_SCREEN_OFF)
        assert console.process.wait(20) == 128 + signal.SIGTERM
    finally:
        console.close()
