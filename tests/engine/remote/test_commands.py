"""Commands of members of the socket's group, which the engine runs as its own user."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.config.store import ConfigurationStore
from engine.errors import AlreadyRunning, NotTheOwner
from engine.host import owner
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.host.owner import ON_BEHALF, act_for_caller, caller_uid
from engine.remote import commands
from engine.remote.commands import CommandServer, hand_over
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = 2_000_000_123


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(tmp_path)


@contextmanager
def serving(settings: EngineSettings) -> Iterator[CommandServer]:
    lock = EngineLock.acquire(settings.lock_file, SystemClock())
    server = CommandServer(settings.commands_file)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        lock.release()


def test_a_command_has_the_callers_output_and_folder_and_is_signed_with_the_callers_login(
    settings: EngineSettings,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(commands, "peer_process", lambda _: (1, STRANGER))
    monkeypatch.setenv("SUDO_USER", "somebody")  # of the engine: it says nothing of the caller
    monkeypatch.chdir(tmp_path)
    (tmp_path / "callers").write_text("10.0.0.7\n")
    added = ["--ae-title", "CT1", "--port", "8105", "--whitelist", "@callers", "--json"]
    with serving(settings) as server:
        code = hand_over(
            settings.commands_file, ["--data", str(tmp_path), "receivers", "add", *added]
        )
        shown = capfd.readouterr()
        assert code == 0, shown.err
        assert not server._callers
    assert not settings.commands_file.exists()
    assert json.loads(shown.out)["receiver"]["whitelist"] == ["10.0.0.7"]
    store = ConfigurationStore(settings.config_file, clock=SystemClock())
    assert store.load().changed_by == f"user {STRANGER}"


def test_what_is_no_command_is_closed_and_harms_nothing(settings: EngineSettings) -> None:
    with serving(settings) as server, Path(os.devnull).open() as nothing:
        for descriptors, sent in (
            ([], b"\n"),
            ([nothing.fileno()], b"\n{}\n"),
            ([nothing.fileno()] * 4, b"\nno json\n"),
            ([nothing.fileno()] * 4, b'\n{"arguments": "check", "environment": {}}\n'),
            ([nothing.fileno()] * 4, b"\n[]\n"),
        ):
            with socket.socket(socket.AF_UNIX) as connected:
                connected.connect(str(settings.commands_file))
                if descriptors:
                    socket.send_fds(connected, [sent], descriptors)
                else:
                    connected.sendall(sent)
                with suppress(ConnectionResetError):  # it did not read all
                    connected.shutdown(socket.SHUT_WR)
                    assert connected.recv(1) == b""
        with pytest.raises(AlreadyRunning, match="did not finish the command"):
            monkeyed = ["x" * (commands._LONGEST_REQUEST_BYTES + 1)]
            hand_over(settings.commands_file, monkeyed)
        assert not server._connected


def test_a_command_is_interrupted_when_its_caller_goes() -> None:
    here, there = socket.socketpair()
    with here, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        there.close()
        commands._await(child, here)
        assert child.wait(5)


def test_without_an_engine_or_membership_the_error_says_who_may(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotTheOwner, match="no engine runs there that could act for"):
        hand_over(settings.commands_file, ["status"])

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", deny)
    with pytest.raises(NotTheOwner, match="may not use it") as told:
        hand_over(settings.commands_file, ["status"])
    assert f"usermod -aG {owner.owner_of(settings.data_dir).group}" in told.value.remedy


def test_only_the_engine_that_holds_the_directory_names_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, "_left", [])
    for engine_pid, value in ((None, "7"), (os.getpid(), "7"), (os.getppid(), "no number")):
        monkeypatch.setenv(ON_BEHALF, value)
        act_for_caller(engine_pid)
        assert caller_uid() == os.getuid()
    monkeypatch.setenv(ON_BEHALF, "7")
    act_for_caller(os.getppid())
    assert caller_uid() == 7
