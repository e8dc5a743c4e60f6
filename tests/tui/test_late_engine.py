"""The engine of the console's own process: asked before it is there, started, failed, stopped."""

from http.client import HTTPConnection
from pathlib import Path

import pytest

from engine import EngineSettings
from engine.errors import EngineError
from tests.fakes import busy
from tests.running import LOOPBACK, configure, free_port
from tui.app import ConsoleApp
from tui.engine_client import EngineLink, EngineState
from tui.late_engine import EngineStarting, LazyEngine


def test_an_engine_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    late = LazyEngine(EngineSettings(tmp_path))
    link = EngineLink(late, lambda message: None)
    link.start()
    assert link.read() == EngineState()
    assert late.started() is None
    with pytest.raises(EngineStarting):
        late.snapshot()
    link.stop()


def test_it_is_the_engine_from_its_start_to_its_stop_and_hears_who_came_before(
    tmp_path: Path,
) -> None:
    configure(tmp_path / "data")
    late = LazyEngine(EngineSettings(tmp_path / "data"))
    heard: list[object] = []
    unsubscribe = late.subscribe(heard.append)
    late.start()
    try:
        engine = late.started()
        assert engine is not None
        assert late.snapshot().started_at == engine.snapshot().started_at
        (tmp_path / "data" / "config.json").write_text("{")
        late.reload()
        assert len(heard) == 1
        unsubscribe()
        late.reload()
        assert len(heard) == 1
    finally:
        late.stop()


def test_its_metrics_are_served_from_its_start_to_its_stop(tmp_path: Path) -> None:
    configure(tmp_path / "data")
    port = free_port()
    late = LazyEngine(EngineSettings(tmp_path / "data", metrics=str(port)))
    late.start()
    connection = HTTPConnection(LOOPBACK, port, timeout=20)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    late.stop()
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def test_it_is_not_started_after_the_console_was_left(tmp_path: Path) -> None:
    late = LazyEngine(EngineSettings(tmp_path / "data"))
    late.stop()
    late.start()
    late.serve()
    assert late.started() is None
    assert not (tmp_path / "data").exists()


async def test_an_engine_that_can_not_be_started_ends_the_console_with_its_reason() -> None:
    failure = EngineError("the file is no JSON", "restore a revision")

    def start() -> None:
        raise failure

    app = ConsoleApp(busy(), refresh_hz=0, blink=False, on_start=start)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.pause()
        assert app.start_failure is failure
        assert not app.is_running


async def test_others_are_served_when_the_engine_is_started_even_by_a_read_only_console() -> None:
    done = []
    app = ConsoleApp(
        busy(),
        refresh_hz=0,
        blink=False,
        read_only=True,
        on_start=lambda: done.append("started"),
        on_shown=lambda: done.append("served"),
    )
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.pause()
        await pilot.pause()
        await pilot.pause()
    assert done == ["started", "served"]
