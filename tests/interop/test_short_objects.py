"""Objects of many associations are read by few threads, and nobody on them waits for another."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.dimse.message_stream import LONG_OBJECT_BYTES, SHORT_OBJECT_BYTES
from engine.dimse.shared_reader import FEW_ASSOCIATIONS
from engine.intake.pipeline import Pipeline
from engine.model.site_script import SiteScript
from tests.dicom import CT_IMAGE_STORAGE, image
from tests.peers.dock import SLACK_SECONDS, Dock, limited
from tests.peers.pdus import (
    RELEASE_RQ,
    c_store_rq,
    command,
    message,
    pdu,
    store_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.intake.incoming import IncomingObject
    from engine.intake.pipeline import Outcome
    from tests.peers.peer import Peer

PDU_SECONDS = 0.5
SHARED = "shared-reader"
LONG = bytes(SHORT_OBJECT_BYTES + 2)
LARGE = bytes(LONG_OBJECT_BYTES + 2)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", {"pdu_seconds": PDU_SECONDS}) as dock:
        yield dock


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what notes, object by object, the thread that files it."""
    names: list[str] = []
    finish = Pipeline.finish

    def noting(pipeline: Pipeline, incoming: IncomingObject) -> Outcome:
        names.append(threading.current_thread().name)
        return finish(pipeline, incoming)

    monkeypatch.setattr(Pipeline, "finish", noting)
    return names


def store(peer: Peer, uid: str, pixels: bytes = b"\0\0") -> None:
    peer.store(image(SOPInstanceUID=uid, pixels=pixels), uid).expect_status(0x0000)


def begin(peer: Peer) -> None:
    """Send the two objects that the association's own thread reads."""
    store(peer, "1.2.3.1")
    store(peer, "1.2.3.2")


def test_two_objects_are_read_by_the_associations_own_thread_short_ones_then_by_one_for_all(
    dock: Dock, threads: list[str]
) -> None:
    one, other = dock.associate(), dock.associate()
    for number in range(1, 6):
        store(one, f"1.{number}")
        store(other, f"2.{number}")
    assert SHARED not in threads[:4]
    assert threads[4:] == [SHARED] * 6
    one.release()
    other.release()


def test_long_objects_are_read_by_the_associations_own_thread_after_the_first(
    dock: Dock, threads: list[str]
) -> None:
    peer = dock.associate()
    begin(peer)
    threads.clear()
    store(peer, "1.3", LONG)
    store(peer, "1.4", LONG)
    store(peer, "1.5")
    store(peer, "1.6")
    del threads[0]  # it may have been in the buffer as a whole
    assert [name == SHARED for name in threads] == [False, False, True]
    peer.release()


def crowd(dock: Dock) -> list[Peer]:
    """Return more associations with long objects than read them on their own threads."""
    peers = [dock.associate(calling=f"CALLER{n}") for n in range(FEW_ASSOCIATIONS + 1)]
    for number, peer in enumerate(peers):
        store(peer, f"{number}.1", LONG)
        store(peer, f"{number}.2", LONG)
    for number, peer in enumerate(peers):  # each was counted before its third is read
        store(peer, f"{number}.100", LONG)
    return peers


def test_long_objects_of_many_associations_are_read_by_few_threads(
    dock: Dock, threads: list[str]
) -> None:
    peers = crowd(dock)
    threads.clear()
    store(peers[-1], "1.3", LONG)
    store(peers[-1], "1.4", LONG)
    assert {name.startswith(f"{SHARED}-long-") for name in threads} == {True}
    for peer in peers:
        peer.release()
    last = dock.associate()
    store(last, "2.1", LONG)
    store(last, "2.2", LONG)
    threads.clear()
    store(last, "2.3", LONG)
    assert not threads[0].startswith(SHARED)
    last.release()


def test_who_changes_the_length_of_its_objects_changes_the_thread_soon(
    dock: Dock, threads: list[str]
) -> None:
    peers = crowd(dock)
    threads.clear()
    for kind, pixels in enumerate((b"\0\0", LONG, LARGE, LONG)):
        for number in range(3):  # the first two may be read where the ones before were
            store(peers[-1], f"9.{kind}.{number}", pixels)
    short, long, large, again = threads[2::3]
    assert short == SHARED
    assert long.startswith(f"{SHARED}-long-")
    assert not large.startswith(SHARED)
    assert again.startswith(f"{SHARED}-long-")
    for peer in peers:
        peer.release()


def test_who_stops_inside_a_long_object_holds_up_nobody_and_is_aborted_in_time(
    dock: Dock,
) -> None:
    whole = message(
        command(c_store_rq(CT_IMAGE_STORAGE, "1.9")), image(SOPInstanceUID="1.9", pixels=LONG)
    )
    with dock.unharmed(says="stopped in the middle of a PDU|too slowly"):
        halting, *others = crowd(dock)
        store(halting, "1.3", LONG)
        halting.send(whole[:-10])
        for number, other in enumerate(others):
            store(other, f"{number}.4", LONG)
            store(other, f"{number}.5", LONG)
        halting.expect_abort(within=1.0 + PDU_SECONDS + SLACK_SECONDS)
        for other in others:
            other.release()


def test_a_script_that_comes_into_force_takes_the_objects_from_the_shared_thread(
    dock: Dock, threads: list[str]
) -> None:
    peer = dock.associate()
    begin(peer)
    store(peer, "1.2")
    script = SiteScript(True, 'version "6.1"\n-(0010,0030)\n')
    dock.engine.set_site(replace(dock.engine.site(), script=script), "test")
    store(peer, "1.3")
    store(peer, "1.4")
    assert [name == SHARED for name in threads] == [False, False, True, False, False]
    peer.release()


def test_who_stops_inside_a_short_object_holds_up_nobody_and_is_aborted_in_time(
    dock: Dock,
) -> None:
    data_set = image(SOPInstanceUID="1.9")
    whole = message(command(c_store_rq(CT_IMAGE_STORAGE, "1.9")), data_set)
    with dock.unharmed(says="stopped in the middle of a PDU|too slowly"):
        halting, other = dock.associate(), dock.associate(calling="OTHER")
        begin(halting)
        begin(other)
        halting.send(whole[:-10])
        for number in range(2, 20):
            store(other, f"2.{number}")
        halting.expect_abort(within=1.0 + PDU_SECONDS + SLACK_SECONDS)
        other.release()


def test_who_takes_no_answers_holds_up_nobody(dock: Dock) -> None:
    with dock.unharmed(says="abort|ended|released|stored"):
        deaf = dock.call(is_deaf=True).request().expect_accept()
        other = dock.associate(calling="OTHER")
        begin(deaf)
        begin(other)
        request = store_message(image())
        for _ in range(400):
            deaf.send(request)
        for number in range(2, 10):
            store(other, f"2.{number}")
        other.release()
        deaf.close()


def test_a_release_a_half_closed_connection_and_an_abort_end_a_loan(dock: Dock) -> None:
    with dock.unharmed():
        releasing, leaving, aborting = (dock.associate() for _ in range(3))
        for peer in (releasing, leaving, aborting):
            begin(peer)
        releasing.send(store_message(image()) + pdu(RELEASE_RQ))
        releasing.expects_answer_to(image()).expect_status(0x0000)
        releasing.expect_released()
        leaving.half_close().expect_end()
        aborting.abort().expect_closed()


def test_who_falls_silent_on_the_shared_thread_is_aborted_when_its_idle_time_is_over(
    dock: Dock, threads: list[str]
) -> None:
    dock.limit(limited(idle_seconds=5))
    with dock.unharmed(says="nothing arrived for 5"):
        peer = dock.associate()
        begin(peer)
        store(peer, "1.3")
        assert threads[-1] == SHARED
        peer.expect_abort(within=5 + SLACK_SECONDS)


def test_an_admin_who_stops_the_engine_ends_lent_associations(dock: Dock) -> None:
    peer = dock.associate()
    begin(peer)
    dock.stop(0)
    peer.expect_abort()
