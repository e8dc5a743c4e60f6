"""Peers that are slow, silent or stuck cost the engine a deadline and nothing else (W1–W3, W8)."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.dicom import CT_IMAGE_STORAGE, image
from tests.peers.dock import SLACK_SECONDS, Dock, limited
from tests.peers.pdus import (
    C_ECHO,
    INSTANCE,
    RELEASE_RQ,
    associate_rq,
    c_store_rq,
    command,
    message,
    pdu,
    store_message,
)
from tests.peers.peer import WITHIN_SECONDS, Peer
from tests.peers.process import DockProcess
from tests.running import (
    configure,
    engine_process,
    free_port,
    leftovers,
    make_receiver,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEGOTIATION_SECONDS = 0.5
PDU_SECONDS = 0.5
IDLE_SECONDS = 5
ELSEWHERE = "127.0.0.2"
"""Another address of this host, which is to the engine another host."""
STOP_SECONDS = 8.0
"""Longest time that a stop without draining may take, whoever is connected."""

DEADLINES = {"negotiation_seconds": NEGOTIATION_SECONDS, "pdu_seconds": PDU_SECONDS}
COMMAND_SET = message(command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE)))
STORE = store_message(image(pixels=bytes(4_096)))
DATA_SET_PDU = len(COMMAND_SET)
"""Where in `STORE` the PDU of the data set begins."""


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", DEADLINES) as dock:
        yield dock


BEGINNINGS = {
    "nothing": b"",
    "one byte": b"\x01",
    "three bytes": associate_rq()[:3],
    "the head": associate_rq()[:6],
    "all but one byte": associate_rq()[:-1],
}


def test_peers_that_stall_before_their_association_are_closed_at_the_negotiation_deadline(
    dock: Dock,
) -> None:
    with dock.unharmed(says=r"nothing came for 0\.5 s"):
        told, begun = dock.told(), time.monotonic()
        stalled = [dock.call().send(beginning) for beginning in BEGINNINGS.values()]
        for peer in stalled:
            peer.expect_closed(NEGOTIATION_SECONDS + SLACK_SECONDS)
        assert time.monotonic() - begun >= NEGOTIATION_SECONDS
    assert sum("was not complete after" in sentence for sentence in dock.sentences(told)) == 1


def test_a_request_that_comes_byte_by_byte_is_held_to_the_deadline_of_the_whole(
    dock: Dock,
) -> None:
    with dock.unharmed():
        peer = dock.call().drip(associate_rq(), 0.05, NEGOTIATION_SECONDS + SLACK_SECONDS)
        peer.expect_end()


@pytest.mark.parametrize("start", [0, DATA_SET_PDU], ids=["command set", "data set"])
def test_a_stall_inside_p_data_is_aborted_at_the_pdu_deadline(dock: Dock, start: int) -> None:
    the_type, the_head, half_a_pdv_header, the_pdv_header = 1, 6, 8, 12
    with dock.unharmed(says="stopped in the middle of a PDU"):
        begun = time.monotonic()
        stalled = [
            dock.associate().send(STORE[: start + sent])
            for sent in (the_type, the_head, half_a_pdv_header, the_pdv_header)
        ]
        for peer in stalled:
            peer.expect_abort(source=2, within=PDU_SECONDS + SLACK_SECONDS)
        assert time.monotonic() - begun >= PDU_SECONDS


def test_a_stall_in_the_middle_of_a_fragment_is_aborted_and_named(dock: Dock) -> None:
    with dock.unharmed(says=r"association aborted after 0 objects.*: .*\bPDU\b"):
        peer = dock.associate().send(STORE[:-100])
        peer.expect_abort(within=PDU_SECONDS + SLACK_SECONDS)


def test_a_pdu_that_comes_byte_by_byte_is_held_to_the_deadline_of_the_whole(dock: Dock) -> None:
    with dock.unharmed():
        peer = dock.associate().drip(STORE, 0.05, PDU_SECONDS + SLACK_SECONDS)
        peer.expect_abort()


def test_a_stall_in_the_middle_of_a_release_request_is_aborted(dock: Dock) -> None:
    with dock.unharmed():
        peer = dock.associate().send(pdu(RELEASE_RQ)[:7])
        peer.expect_abort(within=PDU_SECONDS + SLACK_SECONDS)


def test_a_slow_line_may_take_longer_than_the_deadline_of_one_pdu_for_an_object(
    tmp_path: Path,
) -> None:
    data_set = image(pixels=bytes(6_000))
    with Dock(tmp_path / "data", {"pdu_seconds": 30.0}) as dock, dock.unharmed():
        peer = dock.associate().expects_answer_to(data_set)
        sent = store_message(data_set, pdv_sizes=(1_000,))
        for position in range(0, len(sent), 600):
            assert not peer.stall(0.01)
            dock.clock.put_forward(timedelta(seconds=8))  # 80 in all, for a PDU no more than 24
            peer.send(sent[position : position + 600])
        peer.expect_status(0x0000).release()


def test_a_peer_that_never_reads_its_responses_is_cut_off(tmp_path: Path) -> None:
    echoes = message(C_ECHO, context_id=3) * 100
    with Dock(tmp_path / "data", DEADLINES) as dock, dock.unharmed():
        peer = dock.call(is_deaf=True).request().expect_accept()
        peer.flood(echoes, 256 * 1024**2, within=10 * PDU_SECONDS)


def test_silent_connections_take_no_association_slot(tmp_path: Path) -> None:
    limits = limited(associations=3, idle_seconds=IDLE_SECONDS)
    with (
        Dock(tmp_path / "data", {"unassociated_peers_per_address": 50}, limits=limits) as dock,
        dock.unharmed(),
    ):
        silent = [dock.call() for _ in range(10)]
        dock.associate().echo().release()
        assert len(dock.engine.snapshot().associations) <= 2
        for peer in silent:
            peer.close()


def test_only_so_many_silent_connections_of_one_address_are_kept(tmp_path: Path) -> None:
    caps = DEADLINES | {"negotiation_seconds": 20.0, "unassociated_peers_per_address": 4}
    with Dock(tmp_path / "data", caps) as dock:
        silent = [dock.call() for _ in range(12)]
        dock.call(address=ELSEWHERE).request().expect_accept().echo().release()
        assert sum(not peer.stall(0.1) for peer in silent) == 4


def test_the_engine_keeps_only_so_many_silent_connections_at_all(tmp_path: Path) -> None:
    caps = {"unassociated_peers": 6, "unassociated_peers_per_address": 50}
    with Dock(tmp_path / "data", caps) as dock:
        silent = [dock.call() for _ in range(12)]
        dock.call(address=ELSEWHERE).request().is_accepted(WITHIN_SECONDS)  # or closed
        assert sum(not peer.stall(0.1) for peer in silent) <= 6
        for peer in silent:
            peer.close()
        with dock.unharmed():
            dock.associate().release()


def test_twenty_honest_callers_at_once_are_not_taken_for_silent_ones(tmp_path: Path) -> None:
    limits = limited(associations_per_address=40, associations_per_calling_ae_title=40)
    with Dock(tmp_path / "data", limits=limits) as dock, dock.unharmed():
        callers = [dock.call().request() for _ in range(20)]
        for peer in callers:
            peer.expect_accept()
        for peer in callers:
            peer.release()


class JumpingClock:
    """A wall clock that can be set, as an administrator or NTP would."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        return time.monotonic()


def jump(clock: JumpingClock, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    clock.offset = timedelta(hours=hours)
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() + hours * 3_600)


def test_a_clock_that_jumps_ahead_kills_no_association(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = JumpingClock()
    with Dock(tmp_path / "data", clock=clock) as dock, dock.unharmed():
        idle = dock.associate()
        busy = dock.associate().expects_answer_to(image()).send(store_message(image())[:50])
        jump(clock, monkeypatch, hours=1)
        assert not idle.stall(0.5)
        assert not busy.stall(0.1)
        busy.send(store_message(image())[50:]).expect_status(0x0000).release()
        idle.echo().release()


def test_deadlines_hold_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, limits = JumpingClock(), limited(idle_seconds=IDLE_SECONDS)
    with (
        Dock(tmp_path / "data", DEADLINES, limits=limits, clock=clock) as dock,
        dock.unharmed(says="nothing arrived"),
    ):
        silent, half_way = dock.associate(), dock.associate().send(STORE[:DATA_SET_PDU])
        slow, stuck = dock.call().send(b"\x01\x00\x00"), dock.associate().send(STORE[:-9])
        jump(clock, monkeypatch, hours=-1)
        stuck.expect_abort(within=PDU_SECONDS + SLACK_SECONDS)
        slow.expect_closed(NEGOTIATION_SECONDS + SLACK_SECONDS)
        assert not silent.stall(IDLE_SECONDS / 2)
        silent.expect_abort(within=IDLE_SECONDS + SLACK_SECONDS)
        half_way.expect_abort(within=SLACK_SECONDS)


@pytest.mark.parametrize("year", [1970, 2039])
def test_an_object_is_stored_whatever_year_it_seems_to_be(tmp_path: Path, year: int) -> None:
    clock = JumpingClock()
    clock.offset = datetime(year, 1, 2, tzinfo=UTC) - datetime.now(UTC)
    with Dock(tmp_path / "data", DEADLINES, clock=clock) as dock, dock.unharmed():
        peer = dock.associate().store(image(SOPInstanceUID="1.2.9"), "1.2.9")
        peer.expect_status(0x0000).release()


def test_a_stop_ends_every_kind_of_peer_within_its_deadline(tmp_path: Path) -> None:
    with Dock(tmp_path / "data") as dock:
        peers = stopped_at_every_stage(dock.call)
        started = time.monotonic()
        dock.stop(0.5)
        assert time.monotonic() - started < STOP_SECONDS
        for peer in peers:
            peer.expect_end(SLACK_SECONDS)
        assert leftovers(dock.data_dir) == []
        assert any("stops" in sentence for sentence in dock.sentences())


def stopped_at_every_stage(call: Callable[..., Peer]) -> list[Peer]:
    """Return peers that have stopped at each stage of an association and wait there."""
    silent, slow = call(), call().send(b"\x01\x00\x00")
    stages = (b"", STORE[:20], COMMAND_SET, STORE[:-10])
    stopped = [call().request().expect_accept().send(sent) for sent in stages]
    deaf = call(is_deaf=True).request().expect_accept()
    return [silent, slow, *stopped, deaf.send(message(C_ECHO, context_id=3) * 200)]


def test_an_object_that_is_on_its_way_may_finish_while_the_engine_drains(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    configure(data, make_receiver("XNAT", port))
    with engine_process(data, 1, "--drain-seconds", "5") as running, Peer(port) as peer:
        peer.request().expect_accept().send(STORE[:-10])
        running.process.terminate()
        assert running.process.stderr is not None
        while "stopping" not in running.process.stderr.readline():
            pass
        peer.send(STORE[-10:]).expect_status(0x0000).release()
        assert running.process.wait(STOP_SECONDS) == 0
        running.process.stderr.close()
    assert leftovers(data) == []


def test_a_process_that_is_told_to_stop_ends_whatever_its_peers_are_stuck_in(
    tmp_path: Path,
) -> None:
    data, port = tmp_path / "data", free_port()
    configure(data, make_receiver("XNAT", port))
    with (
        ExitStack() as hang_up,
        engine_process(data, 1, "--drain-seconds", "0.5") as running,
    ):
        peers = stopped_at_every_stage(partial(Peer, port))
        for peer in peers:
            hang_up.enter_context(peer)
        started = time.monotonic()
        assert running.terminate() == 0
        assert time.monotonic() - started < STOP_SECONDS
        for peer in peers:
            peer.expect_end(SLACK_SECONDS)
    assert leftovers(data) == []


def test_an_engine_that_was_suspended_goes_on_and_ends_what_was_stuck(tmp_path: Path) -> None:
    own = {"pdu_seconds": PDU_SECONDS}  # on a busy machine half a second is little to negotiate in
    with DockProcess(tmp_path / "data", own) as dock, dock.unharmed(says="aborted"):
        idle, stuck = dock.associate(), dock.associate()
        stuck.send(STORE[:-10])  # nothing between this and the suspension: its deadline runs
        dock.process.send_signal(signal.SIGSTOP)
        waiting = dock.call().request()
        assert not stuck.stall(PDU_SECONDS + 0.2)
        dock.process.send_signal(signal.SIGCONT)
        stuck.expect_abort()
        waiting.expect_accept().echo().release()
        idle.echo().release()
