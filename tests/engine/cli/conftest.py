"""Commands run in this process on a data directory of their own."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from engine.cli import main
from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from tests.engine.cli.outcome import Outcome, Run, TypeIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _usual_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    umask = os.umask(0o022)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    os.umask(umask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Outcome:
        try:
            code = main(["--data", str(data), *arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> TypeIn:
    def type_in(text: str, is_terminal: bool) -> None:
        typed = io.StringIO(text)
        monkeypatch.setattr(typed, "isatty", lambda: is_terminal)
        monkeypatch.setattr(sys, "stdin", typed)

    return type_in


@pytest.fixture
def store(data: Path) -> ConfigurationStore:
    return ConfigurationStore(data / "config.json", clock=SystemClock())
