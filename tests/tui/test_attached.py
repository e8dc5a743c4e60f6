"""Consoles on an engine in another process, and an engine that outlives its console."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from engine.host.lock import EngineLock
from engine.remote import routes
from engine.remote.attach import find_engine
from engine.settings import EngineSettings
from tests.fakes import busy
from tests.running import (
    EngineProcess,
    configure,
    engine_process,
    free_port,
    make_receiver,
)
from tests.serving import attached
from tests.terminals import ALTERNATE_SCREEN_OFF, Terminal, processor_seconds
from tui.app import ConsoleApp
from tui.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SAVE, QUIT = b"\x13", b"\x11"
OF_ANOTHER_VERSION = """
import sys
from engine.remote import routes
routes.fingerprint, routes.__version__ = lambda: "another", "9.9.9"
from engine.cli import main
sys.exit(main(sys.argv[4:]))
"""


async def test_a_console_of_another_version_says_so_above_its_panels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "fingerprint", lambda: "another")
    with attached(busy(), tmp_path / "control.sock") as view:
        app = ConsoleApp(view, refresh_hz=0, blink=False)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            shown = app.export_screenshot()
    assert "Nothing&#160;can&#160;be&#160;changed&#160;from&#160;here" in shown


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    configure(data, make_receiver("ONE", free_port()))
    return data


def console(data: Path, *options: str) -> Terminal:
    command = ["-m", "tui", "--receiving-processes", "0", "--data", str(data), *options]
    return Terminal(command, data.parent)


def test_a_console_survives_its_engine_and_loses_nothing_that_was_typed(data: Path) -> None:
    first = EngineProcess(data, "--durability", "none")
    first.wait_until_listening(1)
    with console(data) as terminal:
        assert terminal.shows("1 listening")
        terminal.type(b"n")
        assert terminal.shows("New DICOM receiver")
        terminal.type(b"TYPED")
        assert terminal.shows("5/16")
        first.kill()
        assert terminal.shows("engine does not answer since")
        terminal.type(SAVE)
        assert terminal.shows("was not sent")
        second = EngineProcess(data, "--durability", "none")
        second.wait_until_listening(1)
        assert terminal.shows("1 listening", but_not="answer since")
        terminal.type(SAVE)
        assert terminal.shows(":8104 saved")
        terminal.type(QUIT)
        assert terminal.read_until(ALTERNATE_SCREEN_OFF)
        assert terminal.wait() == 0
    assert second.process.poll() is None
    assert second.terminate() == 0
    tables = json.loads((data / "config.json").read_text())
    assert tables["receivers"]["2"]["ae_title"] == "TYPED"
    assert ", says: console" in tables["meta"]["1"]["changed_by"]


def test_an_engine_of_another_version_is_shown_and_not_changed(data: Path) -> None:
    engine = EngineProcess(data, through=(sys.executable, "-c", OF_ANOTHER_VERSION))
    try:
        engine.wait_until_listening(1)
        with console(data) as terminal:
            assert terminal.shows("the engine runs another version 9.9.9")
            terminal.type(QUIT)
            assert terminal.wait() == 0
    finally:
        engine.kill()


def test_signals_end_attached_consoles_and_not_their_engine(data: Path) -> None:
    with engine_process(data, 1, "--durability", "none") as engine:
        with console(data) as first, console(data) as second:
            for terminal, number in ((first, signal.SIGTERM), (second, signal.SIGHUP)):
                assert terminal.shows("1 listening")
                terminal.process.send_signal(number)
                assert terminal.read_until(ALTERNATE_SCREEN_OFF)
                assert terminal.wait() == 0
        assert engine.process.poll() is None
        assert engine.terminate() == 0


def test_an_engine_ends_with_the_terminal_of_its_console_on_request(data: Path) -> None:
    with console(data, "--on-hangup", "stop") as terminal:
        assert terminal.shows("1 listening")
        terminal.hang_up()
        assert terminal.process.wait(20) == 0
    assert not (data / "control.sock").exists()
    assert find_engine(EngineSettings(data), wait_seconds=0) is None


@pytest.mark.parametrize("keys", [b"", b"\x11k"], ids=["hang-up", "keep receiving"])
def test_an_engine_goes_on_without_its_console(data: Path, keys: bytes) -> None:
    with console(data) as terminal:
        assert terminal.shows("1 listening")
        assert terminal.shows("engine: in this console")
        engine = find_engine(EngineSettings(data))
        assert engine is not None
        pid = engine.view.snapshot().pid
        if keys:
            terminal.type(keys[:1])
            assert terminal.shows("Keep receiving")
            terminal.type(keys[1:])
            assert terminal.shows("goes on without a console")
        terminal.hang_up()
        assert terminal.process.wait(20) == 0, "the shell would not get its prompt back"
        assert os.getsid(pid) == pid, "it would end with the login"
        used = processor_seconds(pid)
        with console(data) as later:
            assert later.shows("1 listening")
            assert later.shows(f"attached to pid {pid}")
            used = processor_seconds(pid) - used
            assert used < processor_seconds(later.process.pid) / 3, "it is not idle"
            later.type(QUIT)
            assert later.wait() == 0
        assert len(engine.view.snapshot().receivers) == 1
        engine.close()
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while EngineLock.holder(EngineSettings(data).lock_file) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not (data / "control.sock").exists()
    assert find_engine(EngineSettings(data), wait_seconds=0) is None


def test_a_read_only_console_starts_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tui.cli._has_terminal", lambda: True)
    assert main(["--data", str(tmp_path), "--read-only"]) == 4
    assert "a read-only console starts none" in capsys.readouterr().err
