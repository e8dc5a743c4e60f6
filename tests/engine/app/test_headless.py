"""An engine without a console: what signals do to it, and what the service manager hears."""

from __future__ import annotations

import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.app import headless
from engine.app.headless import Signals, run, state_in_words
from engine.app.systemd_notify import Notifier
from tests.fakes import FakeEngine, config_problem, idle

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass
class Reloading(FakeEngine):
    """A fake engine that notes reloads."""

    reloads: list[str] = field(default_factory=list)

    def reload(self) -> None:
        self.reloads.append("reload")

    def stop(self) -> None:
        self.reloads.append("stop")


def test_a_reload_and_a_stop_are_done_in_order_and_told(tmp_path: Path) -> None:
    engine, signals, said = Reloading(idle().current), Signals(), list[str]()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signals._take(number, None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        notifier = Notifier(str(tmp_path / "notify"))
        run(engine, signals, notifier, said.append, engine.stop)  # type: ignore[arg-type]
        told = [manager.recv(999).split(b"=")[0] for _ in range(4)]
    assert told == [b"READY", b"RELOADING", b"READY", b"STOPPING"]
    assert engine.reloads == ["reload", "stop"]
    assert [words.split(":")[0] for words in said] == [
        "configuration read again",
        headless.STOPPING,
    ]


def test_a_second_request_to_stop_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    signals = Signals()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signals._take(number, None)
    assert codes == [128 + signal.SIGINT]


def test_the_state_is_one_line() -> None:
    assert "receivers listening" in state_in_words(idle().current)
    assert state_in_words(config_problem().current).endswith("; the configuration file is refused")
