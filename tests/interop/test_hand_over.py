"""Engines in processes of their own, one after the other, on a socket that their parent holds."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.caller import Caller, call
from tests.running import LOOPBACK, EngineProcess, configure, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
if "WATCHDOG_USEC" in os.environ: os.environ["WATCHDOG_PID"] = str(os.getpid())
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="dicom")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does for a service with a socket unit: descriptor 3 and three variables."""


@contextmanager
def activated(data_dir: Path, parent: socket.socket) -> Iterator[EngineProcess]:
    number = parent.fileno()
    through = (sys.executable, "-c", _ACTIVATE, str(number))
    running = EngineProcess(data_dir, through=through, keep=(number,))
    try:
        running.wait_until_listening(1)
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()


def test_a_restart_refuses_no_caller(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0), backlog=16) as parent:
        port = parent.getsockname()[1]
        configure(tmp_path / "data", make_receiver("XNAT", port))
        with activated(tmp_path / "data", parent) as first:
            assert call(port, "XNAT") == "answered"
            assert first.terminate() == 0
        with Caller(port) as waiting:
            waiting.ask("XNAT")
            with activated(tmp_path / "data", parent) as second:
                waiting.await_acceptance()
                waiting.echo()
                waiting.release()
                assert call(port, "XNAT") == "answered"
                assert second.terminate() == 0


def test_the_service_manager_is_told_what_becomes_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with (
        socket.create_server((LOOPBACK, 0), backlog=16) as parent,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        configure(data, make_receiver("XNAT", parent.getsockname()[1]))
        with activated(data, parent) as engine:
            ready = manager.recv(999).decode()
            assert ready.startswith("READY=1\nSTATUS=1 of 1 receivers listening")
            assert manager.recv(999) == b"WATCHDOG=1"
            configure(data, make_receiver("SECOND", parent.getsockname()[1]))
            engine.process.send_signal(signal.SIGHUP)
            assert manager.recv(999).startswith(b"RELOADING=1\n")
            assert manager.recv(999).startswith(b"READY=1\nSTATUS=2 of 2 receivers listening")
            assert call(parent.getsockname()[1], "SECOND") == "answered"
            assert engine.terminate() == 0
            assert manager.recv(999).startswith(b"STOPPING=1\n")
