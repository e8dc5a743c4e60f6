"""One association as acceptor: its thread, and what it has in common with pynetdicom's own."""

from __future__ import annotations

import os
import threading

from pynetdicom import AE
from pynetdicom.association import Association

from engine.dimse.receiving import Deadlines, ReceivingAssociation
from tests.caller import Caller
from tests.running import Dock, free_port, join_all_but, make_receiver

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
        before = set(threading.enumerate())
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            caller.echo()
            (thread,) = set(threading.enumerate()) - before
            (live,) = dock.associations.live()
            assert live.thread is thread
            caller.release()
        join_all_but(before)
