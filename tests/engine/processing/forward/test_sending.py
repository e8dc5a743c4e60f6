"""Forward copies at work: peers that refuse, break off and return; objects that move meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.forwarding import DestinationState
from engine.errors import NotFound, StorageUnusable
from engine.events.delivery import (
    DestinationFails,
    DestinationRecovered,
    ForwardingHalted,
    ForwardingResumed,
    ForwardsDropped,
    ForwardsRetried,
    ObjectsNotForwarded,
)
from engine.events.monitoring import ClockStepped
from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import SessionStatus
from engine.processing.forward.queue import ForwardingQueue
from tests import dicom
from tests.engine.processing.forward.yard import Running, forward_copy
from tests.peers.scp import Mood, Scp, always
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from engine.processing.forward.queue import QueuedObject
    from engine.state.outbox import Position


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.state.outbox.FIRST_SECONDS", 0.1)
    monkeypatch.setattr("engine.processing.forward.sender.BUSY_SECONDS", 0.05)


@pytest.fixture
def scp() -> Iterator[Scp]:
    with Scp() as scp:
        yield scp


def test_many_objects_go_over_one_association_as_they_are_stored(tmp_path: Path, scp: Scp) -> None:
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        for _ in range(20):
            running.depot.receive()
        scp.wait_until(lambda: len(scp.received) == 20)
        running.end()
        status = running.status()
        assert scp.associations == 1
        stored = {path.read_bytes() for path in running.depot.all_objects()}
        for uid, syntax, data_set in scp.received:
            assert syntax == dicom.EXPLICIT_VR_LITTLE_ENDIAN
            assert any(file.endswith(data_set) for file in stored), uid
    assert (status.queued, status.failed, status.sent) == (0, 0, 20)
    assert status.bytes_sent == sum(len(data_set) for *_, data_set in scp.received)


class SteppedClock(SystemClock):
    """The machine's clock, wrong by some time."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def test_a_clock_that_jumps_forward_for_a_while_gives_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.forward.sender.EXPIRE_SECONDS", 0)
    clock = SteppedClock()
    with Running(tmp_path, forward_copy(port=free_port()), clock=clock) as running:
        running.depot.receive()
        running.wait_until_told(DestinationFails)
        clock.ahead = timedelta(days=8)
        running.desk.retry(1, "admin")
        running.wait_until_told(ClockStepped)
        running.end()
        status = running.status()
    assert (status.queued, status.failed) == (1, 0)


def test_what_a_peer_that_is_away_misses_is_sent_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path, forward_copy(port=port)) as running:
        running.depot.receive()
        (failed,) = running.wait_until_told(DestinationFails)
        assert f"PACS 1: PACS@127.0.0.1:{port}: connection refused; 1 object waiting" in failed
        status = running.status()
        assert (status.queued, status.sent) == (1, 0)
        assert status.next_attempt_at is not None
        with Scp(port) as scp:
            running.desk.retry(1, "admin")
            scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])
            running.wait_until_told(DestinationRecovered)
            running.end()
    # Waiting for a peer is no attempt to send, and never ends in giving an object up.
    assert running.told(ObjectsNotForwarded) == []


def test_a_peer_that_rejects_is_tried_again_with_longer_waits(tmp_path: Path, scp: Scp) -> None:
    scp.mood = Mood.REJECT
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        scp.wait_until(lambda: scp.associations >= 3)
        assert "there is no AE title PACS" in running.status().last_error
        assert running.status().state in {DestinationState.WAITING, DestinationState.IDLE}
        scp.mood = Mood.TAKE
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])


def test_an_object_at_which_the_peer_aborts_is_given_up_at_last_and_holds_up_no_other(
    tmp_path: Path, scp: Scp
) -> None:
    def status(uid: str) -> int:
        scp.mood = Mood.ABORT if uid == "1.2.3.1" else Mood.TAKE
        return 0

    scp.mood = Mood.ABORT
    told = {"max_attempts": "2", "max_wait_seconds": "1"}
    with Running(tmp_path, forward_copy(port=scp.port, told=told)) as running:
        running.depot.receive()
        (given_up,) = running.wait_until_told(ObjectsNotForwarded)
        assert given_up == "PACS 1: 1 object not forwarded: the peer aborted the association"
        scp.mood = Mood.TAKE
        running.depot.receive()
        scp.wait_until(lambda: scp.uids() == ["1.2.3.2"])
        (item,) = running.desk.failed()
        assert (item.attempts, item.label, item.sop_instance_uid) == (2, "PACS 1", "1.2.3.1")
        assert running.desk.retry(1, "admin", (item.id,)) == 1
        (asked,) = running.told(ForwardsRetried)
        assert asked == "PACS 1: admin asked for an attempt, 1 object queued again"
        scp.wait_until(lambda: scp.uids() == ["1.2.3.2", "1.2.3.1"])


def test_a_peer_without_room_is_left_alone_and_tried_again(tmp_path: Path, scp: Scp) -> None:
    scp.status = always(0xA700)
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        (failed,) = running.wait_until_told(DestinationFails)
        assert "the peer answers 0xA700 (out of resources)" in failed
        scp.status = always(0)
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])


def test_what_the_peer_will_never_take_is_given_up_at_once_and_told_without_its_words(
    tmp_path: Path, scp: Scp
) -> None:
    scp.status = lambda uid: 0x0122 if uid == "1.2.3.1" else 0
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        running.depot.receive()
        scp.wait_until(lambda: scp.uids() == ["1.2.3.2"])
        (told,) = running.wait_until_told(ObjectsNotForwarded)
        assert told.endswith("the peer answers 0x0122 (the SOP class is not supported)")
        assert running.desk.failed(1)[0].reason.endswith("not supported): no�[2J")
        assert running.desk.failed(2) == ()
        assert running.desk.drop(1, "admin") == 1
        assert running.desk.failed() == ()
        with pytest.raises(NotFound, match="no destination 7"):
            running.desk.retry(7, "admin")


def test_a_refused_transfer_syntax_is_given_up_with_its_name(tmp_path: Path, scp: Scp) -> None:
    scp.refused = (dicom.EXPLICIT_VR_LITTLE_ENDIAN,)
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        (told,) = running.wait_until_told(ObjectsNotForwarded)
    assert told.endswith("does not accept CT Image Storage in Explicit VR Little Endian")


def test_an_object_that_was_archived_meanwhile_is_sent_from_there(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path, forward_copy(port=port)) as running:
        running.depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
        number = running.depot.receive()
        running.wait_until_told(DestinationFails)
        running.depot.fall_silent()
        assert running.depot.session(number).status is SessionStatus.ARCHIVED
        with Scp(port) as scp:
            scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])
            running.end()


def test_an_object_whose_session_was_deleted_meanwhile_is_not_sent(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path, forward_copy(port=port)) as running:
        number = running.depot.receive()
        running.wait_until_told(DestinationFails)
        running.depot.index.flush()
        running.depot.ledger.ask(number, Request(OperationKind.DELETE, "admin"))
        running.depot.lifecycle.run_requests()
        with Scp(port) as scp:
            running.desk.retry(1, "admin")
            (told,) = running.wait_until_told(ObjectsNotForwarded)
            running.end()
            assert scp.received == []
    assert told == "PACS 1: 1 object not forwarded: its session was deleted"


def test_a_session_that_is_being_deleted_is_waited_for(tmp_path: Path, scp: Scp) -> None:
    with Running(tmp_path, forward_copy(port=scp.port, enabled=False)) as running:
        running.configure(forward_copy(port=scp.port))
        number = running.depot.receive()
        running.depot.ledger.ask(number, Request(OperationKind.DELETE, "admin"))
        running.depot.index.flush()
        running.depot.ledger.cancel(number)
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])


def test_a_file_that_is_gone_is_given_up_after_the_attempts(tmp_path: Path) -> None:
    port = free_port()
    told = {"max_attempts": "2", "max_wait_seconds": "1"}
    with Running(tmp_path, forward_copy(port=port, told=told)) as running:
        running.depot.receive()
        running.wait_until_told(DestinationFails)
        (file,) = running.depot.all_objects()
        file.unlink()
        (told_,) = running.wait_until_told(ObjectsNotForwarded)
    assert told_.endswith("its file can't be read (No such file or directory)")


def test_a_queue_that_fails_for_a_while_is_told_once_and_loses_nothing(
    tmp_path: Path, scp: Scp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.forward.sender.STORAGE_SECONDS", 0.02)
    monkeypatch.setattr("engine.processing.forward.forwarding.RETRY_SECONDS", 0.02)
    good_due, good_marks, failures = ForwardingQueue.due, ForwardingQueue.marks, Counter[str]()

    def due(queue: ForwardingQueue, *values: Any) -> tuple[QueuedObject, ...]:
        failures["due"] += 1
        if failures["due"] <= 3:
            raise StorageUnusable("the disk is full") if failures["due"] < 3 else ValueError
        return good_due(queue, *values)

    def marks(queue: ForwardingQueue) -> dict[int, Position]:
        failures["marks"] += 1
        if 1 < failures["marks"] <= 4:
            raise StorageUnusable("the disk is full") if failures["marks"] < 4 else ValueError
        return good_marks(queue)

    monkeypatch.setattr(ForwardingQueue, "due", due)
    monkeypatch.setattr(ForwardingQueue, "marks", marks)
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])
        running.end()
    assert sorted(running.told(ForwardingHalted)) == [
        "nothing is forwarded for now: the disk is full",
        "nothing is forwarded to PACS 1 for now: internal error (ValueError)",
        "nothing is forwarded to PACS 1 for now: the disk is full",
    ]
    assert sorted(running.told(ForwardingResumed)) == [
        "objects are forwarded again",
        "objects are forwarded to PACS 1 again",
    ]


def test_what_was_sent_is_not_sent_again_and_again_while_that_can_not_be_noted(
    tmp_path: Path, scp: Scp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.forward.sender.STORAGE_SECONDS", 0.02)
    good_sent, faults = ForwardingQueue.sent, [StorageUnusable("the disk is full")] * 3
    noted = threading.Event()

    def sent(queue: ForwardingQueue, *values: Any) -> None:
        if faults:
            raise faults.pop()
        good_sent(queue, *values)
        noted.set()

    monkeypatch.setattr(ForwardingQueue, "sent", sent)
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        assert noted.wait(20)
        running.depot.receive()
        scp.wait_until(lambda: "1.2.3.2" in scp.uids())
        running.end()
        assert scp.uids() == ["1.2.3.1", "1.2.3.2"]
        assert (running.status().queued, running.status().sent) == (0, 2)
    assert len(running.told(ForwardingHalted)) == 1


def test_a_silent_peer_holds_up_no_stop_and_loses_nothing(tmp_path: Path, scp: Scp) -> None:
    scp.mood = Mood.UNANSWERED
    with Running(tmp_path, forward_copy(port=scp.port)) as running:
        running.depot.receive()
        scp.wait_until(lambda: scp.associations == 1)
        began = time.monotonic()
        running.end()
        assert time.monotonic() - began < 3
        (status,) = running.desk.destinations()
        assert (status.queued, status.failed) == (1, 0)
    scp.mood = Mood.TAKE
    with Running(tmp_path, forward_copy(port=scp.port)):
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])


def test_other_settings_count_at_once(tmp_path: Path, scp: Scp) -> None:
    with Running(tmp_path, forward_copy(port=free_port())) as running:
        running.depot.receive()
        running.wait_until_told(DestinationFails)
        running.configure(forward_copy(port=free_port(), enabled=False))
        assert running.status().state is DestinationState.PAUSED
        running.configure(forward_copy(port=scp.port))
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])


def test_a_destination_that_is_as_before_after_a_change_that_failed_sends_again(
    tmp_path: Path, scp: Scp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.forward.forwarding.RETRY_SECONDS", 0.02)
    before = forward_copy(port=scp.port)
    with Running(tmp_path, before) as running:
        running.depot.receive()
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1"])
        with monkeypatch.context() as patched:
            patched.setattr(
                "engine.processing.forward.forwarding.DestinationSender.__init__", _full
            )
            running.configure(forward_copy(port=free_port()))
            running.wait_until_told(ForwardingHalted)
        running.configure(before)
        running.depot.receive()
        scp.wait_until(lambda: scp.uids() == ["1.2.3.1", "1.2.3.2"])


def _full(*_: object) -> None:
    raise StorageUnusable("the disk is full")


def test_what_waits_is_dropped_by_hand(tmp_path: Path) -> None:
    with Running(tmp_path, forward_copy(port=free_port())) as running:
        running.depot.receive()
        running.wait_until_told(DestinationFails)
        assert running.desk.drop(1, "admin", waiting=True) == 1
        assert running.status().queued == 0
        assert running.told(ForwardsDropped) == ["PACS 1: admin dropped 1 object"]


def test_what_waits_is_dropped_with_its_destination(tmp_path: Path) -> None:
    with Running(tmp_path, forward_copy(port=free_port())) as running:
        running.depot.receive()
        running.wait_until_told(DestinationFails)
        running.configure()
        assert running.desk.destinations() == ()
        dropped = running.told(ForwardsDropped)
    assert dropped == ["a destination was removed; 1 object for it dropped"]
