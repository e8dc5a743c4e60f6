"""One association as acceptor: its thread, and what it has in common with pynetdicom's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pynetdicom import AE
from pynetdicom.association import Association

from engine.dimse.receiving import Deadlines, ReceivingAssociation
from engine.events import ConnectionDropped
from tests.caller import Caller, call
from tests.running import Dock, free_port, make_receiver, sockets_at

if TYPE_CHECKING:
    import pytest

OF_NO_USE = {
    "connection_timeout",  # of a requestor
    "_dimse_timeout",
    "_dul_ready",  # of a second thread
    "_is_paused",
    "_kill",
    "_started_dul",
    "_rejected_cx",  # `negotiated` has them
    "_server",  # set by the server
    "_timer_resolution",  # of Windows
    "network_timeout_response",  # always an A-ABORT
}
OF_NO_USE_TO_A_PROVIDER = {"_run_loop_delay"}


def test_it_sets_what_pynetdicoms_own_constructors_set_but_for_what_is_of_no_use() -> None:
    ae = AE()
    stock = Association(ae, "acceptor")
    ours = ReceivingAssociation(ae, {}, None, Deadlines())  # type: ignore[arg-type]
    os.close(ours.dul._wake_fd)  # type: ignore[attr-defined]
    assert vars(stock).keys() - vars(ours).keys() == OF_NO_USE
    assert vars(stock.dul).keys() - vars(ours.dul).keys() == OF_NO_USE_TO_A_PROVIDER


def test_an_association_has_one_thread_which_ends_with_it() -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            caller.echo()
            (live,) = dock.associations.live()
            thread = live.thread
            assert isinstance(thread, ReceivingAssociation)
            assert thread.is_alive()
            assert not thread.dul.is_alive()  # pynetdicom's second one
            caller.release()
        thread.join(20)
        assert not thread.is_alive()


def number_of_event_descriptor(descriptor: int) -> str:
    """Return what the kernel calls an eventfd, which no other one is called; empty if closed."""
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("eventfd-id")), "")


def test_a_connection_that_no_thread_can_serve_is_closed_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, made = free_port(), []

    def no_thread(association: ReceivingAssociation) -> None:
        wake_up: int = association.dul._wake_fd  # type: ignore[attr-defined]
        made.append((wake_up, number_of_event_descriptor(wake_up)))
        raise RuntimeError("can't start new thread")

    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with monkeypatch.context() as patch:
            patch.setattr(ReceivingAssociation, "start", no_thread)
            with Caller(port) as caller:
                assert caller.is_gone()
        dock.wait_until(lambda: dock.told(ConnectionDropped) != [])
        (told,) = dock.told(ConnectionDropped)
        assert told.endswith("there is no thread to serve it")
        assert dock.door.wait_until_empty(0)
        assert sockets_at(port) == 1  # the listener's
        ((wake_up, number),) = made
        assert number_of_event_descriptor(wake_up) != number
        assert call(port, "XNAT") == "answered"
