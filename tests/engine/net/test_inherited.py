"""Listening sockets that a parent process hands over."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.api import ReceiverState
from engine.events import SocketUnused
from engine.net import ports as inherited_module
from engine.net.ports import InheritedSockets, UnusedDescriptor
from tests.caller import Caller, call
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

PID = 4711


@contextmanager
def listening(port: int = 0) -> Iterator[socket.socket]:
    """Play the parent: hold a listening socket."""
    with socket.create_server((LOOPBACK, port), backlog=8) as parent:
        yield parent


@pytest.fixture
def parent() -> Iterator[socket.socket]:
    with listening() as parent:
        yield parent


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandOver]:
    hand_over = HandOver(monkeypatch)
    yield hand_over
    hand_over.close()


class HandOver:
    """Puts descriptors in a row, as a parent does from 3 on, and says so in an environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._made: list[InheritedSockets] = []
        self.first = 0

    def __call__(self, *sockets: int, names: str = "", pid: int = PID) -> InheritedSockets:
        self.first = fcntl.fcntl(sockets[0], fcntl.F_DUPFD, 700) if sockets else 700
        for number, descriptor in enumerate(sockets):
            os.dup2(descriptor, self.first + number, inheritable=True)
        self._monkeypatch.setattr(inherited_module, "FIRST_DESCRIPTOR", self.first)
        self.environment = {"LISTEN_PID": str(pid), "LISTEN_FDS": str(len(sockets)), "LANG": "C"}
        if names:
            self.environment["LISTEN_FDNAMES"] = names
        made = InheritedSockets.from_environment(self.environment, PID)
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()


def port_of(parent: socket.socket) -> int:
    return int(parent.getsockname()[1])


def test_a_receiver_serves_callers_on_an_inherited_socket(
    parent: socket.socket, hand_over: HandOver
) -> None:
    port = port_of(parent)
    with Dock(inherited=hand_over(parent.fileno())) as dock:
        dock.apply(make_receiver("XNAT", port))
        assert call(port, "XNAT") == "answered"


def test_nothing_is_inherited_further_and_the_variables_are_gone(
    parent: socket.socket, hand_over: HandOver
) -> None:
    hand_over(parent.fileno())
    assert not os.get_inheritable(hand_over.first)
    assert hand_over.environment == {"LANG": "C"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": str(PID)},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "-1"},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "99999999999999999999"},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "x\0"},
    ],
)
def test_variables_that_are_not_for_us_or_make_no_sense_are_ignored(
    environment: dict[str, str],
) -> None:
    inherited = InheritedSockets.from_environment(environment, PID)
    assert environment == {}
    assert inherited.take(LOOPBACK, 8104) is None
    assert inherited.close_unused(()) == ()


def test_what_no_receiver_wants_is_closed_and_told(
    parent: socket.socket, hand_over: HandOver
) -> None:
    with listening() as other, Dock(inherited=hand_over(parent.fileno(), other.fileno())) as dock:
        dock.apply(make_receiver("XNAT", port_of(parent)))
        where = f"{LOOPBACK}:{port_of(other)}"
        assert dock.told(SocketUnused) == [
            f" inherited socket descriptor {hand_over.first + 1} is closed unused: "
            f"no receiver listens on {where}"
        ]
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(hand_over.first + 1)


def test_what_does_not_listen_on_tcp_is_refused_by_its_name(hand_over: HandOver) -> None:
    reading, writing = os.pipe()
    with socket.socket() as deaf, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        inherited = hand_over(
            reading, deaf.fileno(), datagrams.fileno(), names="pipe:de\x1baf:datagrams"
        )
    os.close(reading)
    os.close(writing)
    assert inherited.close_unused(()) == (
        UnusedDescriptor("pipe", "it is no socket (Socket operation on non-socket)"),
        UnusedDescriptor(f"descriptor {hand_over.first + 1}", "it does not listen"),
        UnusedDescriptor("datagrams", "it is not a TCP socket"),
    )


def test_a_receiver_that_is_switched_on_and_off_gets_its_socket_each_time(
    parent: socket.socket, hand_over: HandOver
) -> None:
    port = port_of(parent)
    with Dock(inherited=hand_over(parent.fileno())) as dock:
        for enabled in (False, True, False, True):
            dock.apply(make_receiver("XNAT", port, enabled=enabled))
        assert call(port, "XNAT") == "answered"


def test_a_caller_that_comes_while_nobody_accepts_is_served_by_the_next_one(
    parent: socket.socket, hand_over: HandOver
) -> None:
    port = port_of(parent)
    with Dock(inherited=hand_over(parent.fileno())) as first:
        first.apply(make_receiver("XNAT", port))
        assert call(port, "XNAT") == "answered"
    hand_over.close()
    with Caller(port) as waiting:
        waiting.ask("XNAT")
        with Dock(inherited=hand_over(parent.fileno())) as second:
            second.apply(make_receiver("XNAT", port))
            waiting.await_acceptance()
            waiting.echo()
            waiting.release()


def test_a_socket_for_all_addresses_serves_a_receiver_for_all_addresses(
    hand_over: HandOver,
) -> None:
    with socket.create_server(("", 0)) as parent, Dock(
        inherited=hand_over(parent.fileno())
    ) as dock:  # fmt: skip
        dock.site = type(dock.site)()
        receiver = make_receiver("XNAT", port_of(parent))
        dock.apply(receiver)
        assert dock.receivers.state_of(receiver).state is ReceiverState.LISTENING
        assert call(port_of(parent), "XNAT") == "answered"


def test_a_receiver_elsewhere_binds_its_port_itself(
    parent: socket.socket, hand_over: HandOver
) -> None:
    port = free_port()
    with Dock(inherited=hand_over(parent.fileno())) as dock:
        dock.apply(make_receiver("XNAT", port))
        assert call(port, "XNAT") == "answered"
        assert len(dock.told(SocketUnused)) == 1
