"""Listeners follow the configured receivers, by difference, and their state is truthful."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.api import AssociationEnd, ReceiverState
from engine.dimse.scu import echo
from engine.events import AssociationRejected, ReceiverFailed, ReceiverListening, ReceiverStopped
from engine.host.clock import SystemClock
from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings
from tests import running
from tests.caller import Caller, call
from tests.peers.peer import Peer
from tests.running import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.events import Event

SITE = SiteSettings(bind_address=LOOPBACK)


class Dock(running.Dock):
    """Listeners without an intake: what is tested here ends before the first object."""

    def __init__(self) -> None:
        super().__init__()
        self.site = SITE
        self.changes = 0

    def on_change(self) -> None:
        self.changes += 1

    def state(self, receiver: Receiver) -> ReceiverState:
        return self.receivers.state_of(receiver).state

    def echo(self, receiver: Receiver) -> str:
        return echo(receiver, LOOPBACK, self.clock).detail

    def events(self, kind: type[Event]) -> list[str]:
        page = self.journal.events_since(0, 1000)
        return [r.event.receiver for r in page.events if isinstance(r.event, kind)]


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


@pytest.fixture
def port() -> int:
    return free_port()


def make_receiver(id: int, ae_title: str, port: int, *, enabled: bool = True) -> Receiver:
    return Receiver(id, AETitle(ae_title), port, enabled=enabled)


def opened(port: int, called: str = "XNAT") -> Caller:
    """Return an open association."""
    caller = Caller(port)
    assert caller.associate(called, "CT1") is None
    return caller


def is_refused(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex((LOOPBACK, port)) != 0


def test_a_receiver_answers_as_soon_as_it_is_applied(dock: Dock, port: int) -> None:
    xnat = make_receiver(1, "XNAT", port)
    dock.apply(xnat)
    observed = dock.receivers.state_of(xnat)
    assert (observed.state, observed.address) == (ReceiverState.LISTENING, f"{LOOPBACK}:{port}")
    assert dock.echo(xnat).startswith("answered in")
    assert dock.events(ReceiverListening) == [f"XNAT:{port}"]


def test_several_ae_titles_share_a_port_and_each_is_called_by_its_own_name(
    dock: Dock, port: int
) -> None:
    first, second = make_receiver(1, "XNAT", port), make_receiver(2, "OTHER", port)
    dock.apply(first, second)
    assert dock.echo(first).startswith("answered in")
    assert dock.echo(second).startswith("answered in")
    assert dock.echo(make_receiver(3, "THIRD", port)) == "rejects the called AE title THIRD"


def test_a_rejection_is_told_as_one_even_if_the_connection_ends_with_it(port: int) -> None:
    def reject(server: socket.socket) -> None:
        for _ in range(20):
            connection, _ = server.accept()
            with connection:
                while not connection.recv(65_536):
                    pass
                connection.sendall(b"\x03\0\0\0\0\4\0\1\1\7")

    receiver = make_receiver(1, "XNAT", port)
    with socket.create_server((LOOPBACK, port)) as server:
        thread = threading.Thread(target=reject, args=(server,))
        thread.start()
        said = {echo(receiver, LOOPBACK, SystemClock()).detail for _ in range(20)}
        thread.join(20)
    assert said == {"rejects the called AE title XNAT"}


def test_what_ends_an_echo_is_told(port: int) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)

    receiver = make_receiver(1, "XNAT", port)
    told = echo(receiver, LOOPBACK, SystemClock())
    assert (told.ok, told.detail) == (False, "no answer: connection refused")
    with socket.create_server((LOOPBACK, port)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        told = echo(receiver, LOOPBACK, SystemClock())
        thread.join(20)
    assert (told.ok, told.detail) == (False, "the peer closed the connection")


def test_disabling_one_of_two_leaves_the_port_and_the_others_association_alone(
    dock: Dock, port: int
) -> None:
    first, second = make_receiver(1, "XNAT", port), make_receiver(2, "OTHER", port)
    dock.apply(first, second)
    association = opened(port, "OTHER")
    dock.apply(make_receiver(1, "XNAT", port, enabled=False), second)
    association.echo()
    assert call(port, "XNAT") == "1/1/7"
    assert dock.echo(second).startswith("answered in")
    assert dock.events(ReceiverStopped) == [f"XNAT:{port}"]
    association.release()
    association.socket.close()


def test_disabling_the_last_receiver_frees_the_port_and_its_association_goes_on(
    dock: Dock, port: int
) -> None:
    dock.apply(make_receiver(1, "XNAT", port))
    association = opened(port)
    dock.apply(make_receiver(1, "XNAT", port, enabled=False))
    assert is_refused(port)
    association.echo()
    association.release()
    association.socket.close()


def test_a_port_move_closes_the_old_port_and_opens_the_new(dock: Dock, port: int) -> None:
    dock.apply(make_receiver(1, "XNAT", port))
    moved = make_receiver(1, "XNAT", free_port())
    dock.apply(moved)
    assert is_refused(port)
    assert dock.echo(moved).startswith("answered in")
    assert dock.receivers.listening_on(port) == ()
    assert dock.receivers.listening_on(moved.port) == ("XNAT",)


def test_a_busy_port_is_a_state_that_names_the_program_in_the_way(dock: Dock, port: int) -> None:
    xnat = make_receiver(1, "XNAT", port)
    with socket.socket() as squatter:
        squatter.bind((LOOPBACK, port))
        squatter.listen()
        dock.apply(xnat)
        failure = dock.receivers.state_of(xnat).failure
    assert dock.state(xnat) is ReceiverState.FAILED
    assert failure is not None
    assert failure.holder is not None
    assert failure.holder.pid == os.getpid()
    assert failure.reason.startswith(f"address in use: port {port} is held by")
    assert dock.events(ReceiverFailed) == [f"XNAT:{port}"]


def test_a_busy_port_does_not_keep_others_from_listening(dock: Dock, port: int) -> None:
    other = make_receiver(2, "OTHER", free_port())
    with socket.socket() as squatter:
        squatter.bind((LOOPBACK, port))
        squatter.listen()
        dock.apply(make_receiver(1, "XNAT", port), other)
    assert dock.echo(other).startswith("answered in")


def test_a_retry_listens_once_the_port_is_free_again(dock: Dock, port: int) -> None:
    xnat = make_receiver(1, "XNAT", port)
    with socket.socket() as squatter:
        squatter.bind((LOOPBACK, port))
        squatter.listen()
        dock.apply(xnat)
    dock.receivers.retry(port)
    assert dock.state(xnat) is ReceiverState.LISTENING
    assert dock.echo(xnat).startswith("answered in")
    assert dock.changes == 1


def test_an_address_of_another_host_is_a_state_with_a_remedy(dock: Dock, port: int) -> None:
    xnat = make_receiver(1, "XNAT", port)
    dock.receivers.apply((xnat,), SiteSettings(bind_address="192.0.2.1"))
    failure = dock.receivers.state_of(xnat).failure
    assert failure is not None
    assert failure.reason == "192.0.2.1 is not an address of this host"
    assert failure.remedy == "change the bind address"


def test_rejections_reach_every_caller(dock: Dock, port: int) -> None:
    dock.apply(make_receiver(1, "XNAT", port))
    for _ in range(20):
        with Peer(port) as peer:
            peer.request("NOBODY").expect_reject(1, 1, 7)
    (row,) = dock.associations.ended()
    assert (row.end, row.repeats) == (AssociationEnd.REJECTED, 20)
    assert len(dock.events(AssociationRejected)) == 2


def test_callers_beyond_the_limit_are_rejected_for_now(dock: Dock, port: int) -> None:
    dock.site = replace(SITE, limits=Limits(associations=2))
    dock.apply(make_receiver(1, "XNAT", port))
    open_ones = [opened(port) for _ in range(2)]
    assert call(port, "XNAT") == "2/3/2"
    for association in open_ones:
        association.release()
        association.socket.close()


def test_a_caller_that_hangs_up_is_noticed(dock: Dock, port: int) -> None:
    dock.apply(make_receiver(1, "XNAT", port))
    association = opened(port)
    association.socket.close()
    assert dock.associations.wait_until_none(10)
    assert dock.associations.ended()[0].end is AssociationEnd.ABORTED


def test_garbage_and_silence_on_the_port_leave_it_answering(dock: Dock, port: int) -> None:
    xnat = make_receiver(1, "XNAT", port)
    dock.apply(xnat)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", os.urandom(400), b""):
        with socket.create_connection((LOOPBACK, port)) as peer:
            peer.sendall(garbage)
    assert dock.echo(xnat).startswith("answered in")


def test_all_addresses_means_ipv6_and_ipv4_with_the_callers_address_as_ipv4(
    dock: Dock, port: int
) -> None:
    guarded = Receiver(
        1, AETitle("XNAT"), port, whitelist_enabled=True, whitelist=(f"CT1@{LOOPBACK}",)
    )
    dock.receivers.apply((guarded,), SiteSettings())
    association = opened(port)
    association.release()
    association.socket.close()
