"""One thread serves all associations, and nobody on it waits for another."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.intake.pipeline import LONGEST_AT_ONCE_BYTES, Pipeline
from engine.model.anonymization import SiteScript
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

    from engine.intake.object import IncomingObject
    from engine.intake.pipeline import ObjectOutcome
    from tests.peers.peer import Peer

PDU_SECONDS = 0.5
LOOP, POOL = "reactor", "reactor-pool"
LONG = bytes(192 * 1024 + 2)
LARGE = bytes(LONGEST_AT_ONCE_BYTES + 2)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", {"pdu_seconds": PDU_SECONDS}) as dock:
        yield dock


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what notes, object by object, the thread that files it."""
    names: list[str] = []
    finish = Pipeline.finish

    def noting(pipeline: Pipeline, incoming: IncomingObject) -> ObjectOutcome:
        names.append(threading.current_thread().name)
        return finish(pipeline, incoming)

    monkeypatch.setattr(Pipeline, "finish", noting)
    return names


def store(peer: Peer, uid: str, pixels: bytes = b"\0\0") -> None:
    peer.store(image(SOPInstanceUID=uid, pixels=pixels), uid).expect_status(0x0000)


def test_what_is_filed_quickly_is_filed_by_the_one_thread_and_large_objects_by_the_pool(
    dock: Dock, threads: list[str]
) -> None:
    one, other = dock.associate(), dock.associate()
    for number, pixels in enumerate((b"\0\0", LONG, LARGE, b"\0\0")):
        store(one, f"1.{number}", pixels)
        store(other, f"2.{number}", pixels)
    on_loop = [name == LOOP for name in threads]
    assert on_loop == [True] * 4 + [False] * 2 + [True] * 2
    assert all(name.startswith(POOL) for name in threads[4:6])
    one.release()
    other.release()


def crowd(dock: Dock) -> list[Peer]:
    """Return several associations that have sent long objects."""
    peers = [dock.associate(calling=f"CALLER{n}") for n in range(5)]
    for number, peer in enumerate(peers):
        store(peer, f"{number}.1", LONG)
        store(peer, f"{number}.2", LONG)
    return peers


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
        halting.expect_abort(within=PDU_SECONDS + SLACK_SECONDS)
        for other in others:
            other.release()


def test_a_script_that_comes_into_force_takes_the_objects_from_the_one_thread(
    dock: Dock, threads: list[str]
) -> None:
    peer = dock.associate()
    store(peer, "1.2")
    script = SiteScript(True, 'version "6.1"\n-(0010,0030)\n')
    dock.engine.set_site(replace(dock.engine.site(), script=script), "test")
    store(peer, "1.3")
    store(peer, "1.4")
    assert [name == LOOP for name in threads] == [True, False, False]
    peer.release()


def test_who_stops_inside_a_short_object_holds_up_nobody_and_is_aborted_in_time(
    dock: Dock,
) -> None:
    data_set = image(SOPInstanceUID="1.9")
    whole = message(command(c_store_rq(CT_IMAGE_STORAGE, "1.9")), data_set)
    with dock.unharmed(says="stopped in the middle of a PDU|too slowly"):
        halting, other = dock.associate(), dock.associate(calling="OTHER")
        halting.send(whole[:-10])
        for number in range(2, 20):
            store(other, f"2.{number}")
        halting.expect_abort(within=PDU_SECONDS + SLACK_SECONDS)
        other.release()


def test_who_takes_no_answers_holds_up_nobody(dock: Dock) -> None:
    with dock.unharmed(says="abort|ended|released|stored"):
        deaf = dock.call(is_deaf=True).request().expect_accept()
        other = dock.associate(calling="OTHER")
        request = store_message(image())
        for _ in range(400):
            deaf.send(request)
        for number in range(2, 10):
            store(other, f"2.{number}")
        other.release()
        deaf.close()


def test_a_release_a_half_closed_connection_and_an_abort_end_an_association(dock: Dock) -> None:
    with dock.unharmed():
        releasing, leaving, aborting = (dock.associate() for _ in range(3))
        releasing.send(store_message(image()) + pdu(RELEASE_RQ))
        releasing.expects_answer_to(image()).expect_status(0x0000)
        releasing.expect_released()
        leaving.half_close().expect_end()
        aborting.abort().expect_closed()


def test_who_falls_silent_is_aborted_when_its_idle_time_is_over(
    dock: Dock,
) -> None:
    dock.limit(limited(idle_seconds=5))
    with dock.unharmed(says="nothing arrived for 5"):
        peer = dock.associate()
        store(peer, "1.3")
        peer.expect_abort(within=5 + SLACK_SECONDS)


def test_an_admin_who_stops_the_engine_ends_associations(dock: Dock) -> None:
    peer = dock.associate()
    store(peer, "1.2")
    dock.stop(0)
    peer.expect_abort()
