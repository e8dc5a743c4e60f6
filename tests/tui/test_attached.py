"""Consoles on an engine in another process, and an engine that outlives its console."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from engine.control import routes
from engine.control.attach import find_engine
from engine.settings import EngineSettings
from tests.fakes import SCENARIOS, FakeEngine
from tests.running import EngineProcess, configure, free_port, make_receiver
from tests.serving import attached
from tests.terminals import ALTERNATE_SCREEN_OFF, Terminal, processor_seconds
from tui.app import ConsoleApp

if TYPE_CHECKING:
    from pathlib import Path

    from engine import EngineView

SAVE, QUIT = b"\x13", b"\x11"
OF_ANOTHER_VERSION = """
import sys
from engine.control import routes
routes.fingerprint, routes.__version__ = lambda: "another", "9.9.9"
from engine.cli import main
sys.exit(main())
"""


async def picture(engine: EngineView, keys: tuple[str, ...]) -> str:
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
        return app.export_screenshot()


@pytest.mark.parametrize(
    ("scenario", "keys"),
    [
        ("hostile_names", ()),
        ("config_problem", ("2",)),
        ("whitelist_rejections", ("e", "tab")),
    ],
)
async def test_a_console_draws_the_same_through_a_socket(
    scenario: str, keys: tuple[str, ...], tmp_path: Path
) -> None:
    alone = await picture(SCENARIOS[scenario](), keys)
    engine: FakeEngine = SCENARIOS[scenario]()
    with attached(engine, tmp_path / "control.sock") as view:
        assert await picture(view, keys) == alone


async def test_a_console_of_another_version_says_so_above_its_panels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "fingerprint", lambda: "another")
    with attached(SCENARIOS["busy"](), tmp_path / "control.sock") as view:
        shown = await picture(view, ())
    assert "Nothing&#160;can&#160;be&#160;changed&#160;from&#160;here" in shown


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    configure(data, make_receiver("ONE", free_port()))
    return data


def console(data: Path, *options: str) -> Terminal:
    return Terminal(["-m", "tui", "--data", str(data), *options], data.parent)


def engine_of(data: Path) -> Any:
    """Reach the engine that is being started."""
    settings = EngineSettings(data)
    deadline = time.monotonic() + 30
    while not settings.control_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    found = find_engine(settings)
    assert found is not None
    return found


def test_a_console_survives_its_engine_and_loses_nothing_that_was_typed(data: Path) -> None:
    first = EngineProcess(data, "--durability", "none")
    first.wait_until_listening(1)
    with console(data) as terminal:
        assert terminal.read_until(b"1 listening")
        terminal.type(b"n")
        assert terminal.read_until(b"New DICOM receiver")
        terminal.type(b"TYPED")
        assert terminal.read_until(b"5/16")
        first.kill()
        assert terminal.read_until(b"engine does not answer since")
        terminal.type(SAVE)
        assert terminal.read_until(b"was not asked")
        second = EngineProcess(data, "--durability", "none")
        second.wait_until_listening(1)
        assert terminal.read_until(b"1 listening")
        terminal.type(SAVE)
        assert terminal.read_until(b":8104 saved")
        terminal.type(QUIT)
        assert terminal.read_until(ALTERNATE_SCREEN_OFF)
        assert terminal.wait() == 0
    assert second.process.poll() is None
    assert second.terminate() == 0
    tables = json.loads((data / "config.json").read_text())
    assert tables["receivers"]["2"]["ae_title"] == "TYPED"
    assert "(console)" in tables["meta"]["1"]["changed_by"]


def test_an_engine_of_another_version_is_shown_and_not_changed(data: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OF_ANOTHER_VERSION, "--data", str(data), "engine"],
        stderr=subprocess.DEVNULL,
    ) as engine:
        try:
            engine_of(data).close()
            with console(data) as terminal:
                assert terminal.read_until(b"the engine runs another version 9.9.9")
                terminal.type(QUIT)
                assert terminal.wait() == 0
        finally:
            engine.kill()


def test_an_engine_goes_on_without_the_terminal_of_its_console(data: Path) -> None:
    with console(data) as terminal:
        assert terminal.read_until(b"1 listening")
        engine = engine_of(data)
        terminal.hang_up()
        time.sleep(0.5)
        used = processor_seconds(terminal.process.pid)
        time.sleep(1)
        assert terminal.process.poll() is None
        assert processor_seconds(terminal.process.pid) - used < 0.1
        with console(data) as later:
            assert later.read_until(b"1 listening")
            later.type(QUIT)
            assert later.wait() == 0
        assert len(engine.view.snapshot().receivers) == 1
        engine.close()
        terminal.process.send_signal(signal.SIGHUP)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(20) == 0
    assert not (data / "control.sock").exists()
    assert find_engine(EngineSettings(data), wait_seconds=0) is None
