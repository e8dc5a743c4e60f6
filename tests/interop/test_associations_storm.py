"""Many associations, in a row and at once, are all answered and leave nothing (F50–F54)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.dicom import image
from tests.peers.dock import Dock, limited
from tests.peers.pdus import associate_rq
from tests.peers.process import DockProcess
from tests.running import object_rows, stored_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.peer import Peer

MIB = 1024**2
IN_A_ROW = 500
AT_ONCE = 100
ADMITTED = 20
SENDERS = 20
GROWTH_BYTES = 32 * MIB
"""Ended threads wait for the garbage collector; their receive buffers would be twice as much."""
MANY = limited(
    associations=500,
    associations_per_receiver=500,
    associations_per_address=500,
    associations_per_calling_ae_title=500,
)
CROWD = {"unassociated_peers": 500, "unassociated_peers_per_address": 500}
OWN = "1.2.826.0.1.3680043.8.498.54"


def test_five_hundred_associations_in_a_row_leave_everything_as_it_was(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data") as dock:
        for _ in range(IN_A_ROW):  # until the engine remembers as many as it ever will
            dock.associate().echo().release()
        before = dock.peak_bytes()
        with dock.unharmed(says="released"):
            for _ in range(IN_A_ROW):  # another caller: the log sums up what it has from the first
                dock.associate(calling="LATER").echo().release()
        assert dock.peak_bytes() - before < GROWTH_BYTES


def test_five_hundred_objects_each_in_its_own_association_are_all_there(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data") as dock, dock.unharmed(says="stored 1 object"):
        for number in range(IN_A_ROW):
            uid = f"{OWN}.{number}"
            data_set = image(SOPInstanceUID=uid, InstanceNumber=str(number))
            dock.associate().store(data_set, uid).expect_status(0x0000).release()
    rows = Counter(row.sop_instance_uid for row in object_rows(tmp_path / "data"))
    assert all(rows[f"{OWN}.{number}"] == 1 for number in range(IN_A_ROW))


def test_five_hundred_malformed_requests_leave_everything_as_it_was(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data") as dock:
        before = dock.peak_bytes()
        with dock.unharmed():
            for number in range(IN_A_ROW):
                malformed = associate_rq()[: 80 + number % 100] + b"\xff" * 200
                dock.call().send(malformed).half_close().expect_closed()
        assert dock.peak_bytes() - before < GROWTH_BYTES


def test_of_a_hundred_at_once_as_many_as_allowed_are_accepted_and_the_others_told_so(
    tmp_path: Path,
) -> None:
    limits = limited(
        associations_per_receiver=ADMITTED,
        associations_per_address=500,
        associations_per_calling_ae_title=500,
    )
    with (
        Dock(tmp_path / "data", CROWD, limits=limits) as dock,
        dock.unharmed(says=r"rejected \(2/3/2\)"),
    ):
        callers = [dock.call() for _ in range(AT_ONCE)]
        for peer in callers:
            peer.request()
        accepted = [peer for peer in callers if peer.is_accepted(10)]
        rejections = Counter(peer.rejection for peer in callers if peer not in accepted)
        assert len(accepted) == ADMITTED
        assert rejections == {(2, 3, 2): AT_ONCE - ADMITTED}
        for peer in accepted:
            peer.echo().release()


def test_a_hundred_idle_associations_leave_room_for_a_sender(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data", CROWD, limits=MANY) as dock, dock.unharmed():
        idle = [dock.associate() for _ in range(AT_ONCE)]
        sender, started = dock.associate(), time.monotonic()
        for number in range(20):
            uid = f"{OWN}.{number}"
            sender.store(image(SOPInstanceUID=uid, InstanceNumber=str(number)), uid)
            sender.expect_status(0x0000)
        assert time.monotonic() - started < 5  # stock pynetdicom takes 15
        sender.release()
        for peer in idle:
            peer.release()


def test_one_object_from_twenty_senders_at_once_is_one_file_and_twenty_successes(
    tmp_path: Path,
) -> None:
    data_set, start = image(SOPInstanceUID=OWN), threading.Barrier(SENDERS)
    with Dock(tmp_path / "data", CROWD, limits=MANY) as dock, dock.unharmed():
        senders = [dock.associate(calling=f"CT{number}") for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda peer: _send_at_once(peer, data_set, start), senders))
        assert [peer.statuses for peer in senders] == [[0x0000]] * SENDERS
        stored = [file.read_bytes() for file in stored_files(dock.data_dir)]
        assert sum(file.endswith(data_set) for file in stored) == 1
    states = Counter(
        row.state for row in object_rows(tmp_path / "data") if row.sop_instance_uid == OWN
    )
    assert states == {"stored": 1, "duplicate": SENDERS - 1}


def _send_at_once(peer: Peer, data_set: bytes, start: threading.Barrier) -> None:
    start.wait(timeout=10)
    peer.store(data_set, OWN, pdv_sizes=(100,)).expect_status(0x0000).release()


def test_twenty_senders_of_different_objects_lose_none(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data", CROWD, limits=MANY) as dock, dock.unharmed():
        senders = [dock.associate(calling=f"CT{number}") for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda pair: _send_series(*pair), enumerate(senders)))
    rows = Counter(row.state for row in object_rows(tmp_path / "data"))
    assert rows["stored"] >= SENDERS * 20


def _send_series(sender: int, peer: Peer) -> None:
    for number in range(20):
        uid = f"{OWN}.{sender}.{number}"
        data_set = image(SOPInstanceUID=uid, InstanceNumber=f"{sender}{number:02}")
        peer.store(data_set, uid, pdv_sizes=(200,)).expect_status(0x0000)
    peer.release()


def test_associations_that_all_break_at_once_free_their_slots_at_once(tmp_path: Path) -> None:
    limits = limited(
        associations_per_receiver=30,
        associations_per_address=100,
        associations_per_calling_ae_title=100,
    )
    with Dock(tmp_path / "data", CROWD, limits=limits) as dock, dock.unharmed(says="aborted"):
        for _ in range(3):
            open_ones = [dock.associate() for _ in range(30)]
            for peer in open_ones:
                peer.rst()
            while len(dock.engine.snapshot().associations) > 1:
                dock.associate("OTHER", port=dock.other_port).echo().release()
