"""What a service manager is told, over a real socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from engine.app import systemd_notify
from engine.app.systemd_notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        yield manager


def notifier(manager: socket.socket, watchdog_seconds: float | None = None) -> Notifier:
    return Notifier(manager.getsockname(), watchdog_seconds)


def test_states_are_told_with_words(manager: socket.socket) -> None:
    told = notifier(manager)
    told.ready("2 of 2\nlistening")
    told.reloading()
    told.stopping("bye")
    assert manager.recv(999) == b"READY=1\nSTATUS=2 of 2 listening"
    assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(999) == b"STOPPING=1\nSTATUS=bye"


def test_the_watchdog_is_fed_only_while_the_engine_lives(manager: socket.socket) -> None:
    answers = iter([True, False, False, True])
    told = notifier(manager, 0.03)
    asked = []

    def is_alive() -> bool:
        asked.append(next(answers, True))
        return asked[-1]

    told.watch(is_alive, str)
    assert manager.recv(99) == b"WATCHDOG=1"
    assert manager.recv(99) == b"WATCHDOG=1"
    told.close()
    assert asked[:4] == [True, False, False, True]


def test_a_status_is_told_when_it_has_changed(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_notify, "STATUS_SECONDS", 0.01)
    states = iter(["as before", "as before", "another"])
    told = notifier(manager)
    told.ready("as before")
    manager.recv(99)
    told.watch(lambda: True, lambda: next(states, "another"))
    assert manager.recv(99) == b"STATUS=another"
    told.close()


def test_an_abstract_socket_is_reached_by_its_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0dicomdock-test-{os.getpid()}")
        Notifier(f"@dicomdock-test-{os.getpid()}").ready("")
        assert manager.recv(99) == b"READY=1\nSTATUS="


def test_a_manager_that_is_gone_is_no_reason_to_fail(manager: socket.socket) -> None:
    told = notifier(manager)
    manager.close()
    told.ready("nobody hears")


@pytest.mark.parametrize(
    ("variables", "address", "seconds"),
    [
        ({}, "", None),
        ({"NOTIFY_SOCKET": "/run/x"}, "/run/x", None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}, "/x", 3.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "8"}, "/x", None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "7"}, "/x", 0.001),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-1"}, "/x", None),
        ({"NOTIFY_SOCKET": "vsock:1:2", "WATCHDOG_USEC": "1"}, "", None),
    ],
)
def test_the_environment_says_who_wants_to_hear_what_and_is_not_handed_on(
    variables: dict[str, str], address: str, seconds: float | None
) -> None:
    told = Notifier.from_environment(variables, pid=7)
    assert (told._address, told._watchdog_seconds) == (address, seconds)
    assert variables == {}


def test_without_a_manager_nothing_runs() -> None:
    told = Notifier()
    told.watch(lambda: True, str)
    assert told._thread is None


def test_a_period_of_any_length_is_a_number_of_seconds() -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "9" * 5_000}
    assert Notifier.from_environment(environment)._watchdog_seconds == 999_999_999.999999


def test_an_address_that_begins_with_an_at_sign_is_abstract() -> None:
    assert Notifier("@manager@1")._address == "\0manager@1"
    assert Notifier("/run/manager@1")._address == "/run/manager@1"


def test_the_managers_socket_is_not_left_to_our_children(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    Notifier.from_environment().stopping("bye")
    assert manager.recv(999) == b"STOPPING=1\nSTATUS=bye"
    assert "NOTIFY_SOCKET" not in os.environ
