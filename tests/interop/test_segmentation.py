"""However a session is cut into segments, PDUs and PDVs, the same object arrives (F44, F58)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, element, encode, image
from tests.peers.dock import Dock, limited
from tests.peers.pdus import (
    C_ECHO,
    COMMAND,
    CONTEXTS,
    LAST,
    P_DATA,
    RELEASE_RQ,
    Context,
    associate_rq,
    c_store_rq,
    command,
    fragments,
    message,
    pdu,
    pdv,
    store_message,
)
from tests.peers.process import DockProcess
from tests.running import stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024**2
FLAT_BYTES = 40 * MIB
"""What an object may cost in memory, whatever its size."""

OWN = "1.2.826.0.1.3680043.8.498.44"
IMAGE = image(SOPInstanceUID=OWN, pixels=bytes(range(256)) * 2)
STORE_COMMAND = command(c_store_rq(CT_IMAGE_STORAGE, OWN))
STORE = message(STORE_COMMAND, IMAGE, pdv_sizes=(333,))
SESSION = associate_rq() + STORE + pdu(RELEASE_RQ)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data") as dock:
        yield dock


def require_stored(dock: Dock, data_set: bytes = IMAGE) -> None:
    """Check that exactly one file holds the object, byte for byte."""
    stored = [file.read_bytes() for file in stored_files(dock.data_dir)]
    assert sum(file.endswith(data_set) for file in stored) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 13, 100, 1_000])
def test_segments_of_any_size_make_no_difference(dock: Dock, size: int) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.call().send(associate_rq(), segment_bytes=size).expect_accept()
        peer.expects_answer_to(IMAGE).send(STORE, segment_bytes=size).expect_status(0x0000)
        peer.send(pdu(RELEASE_RQ), segment_bytes=size).expect_released()
        require_stored(dock)


def test_a_whole_session_in_one_segment_is_served_in_order(dock: Dock) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.call().expects_answer_to(IMAGE).send(SESSION)
        peer.expect_accept().expect_status(0x0000).expect_released()
        require_stored(dock)


def test_a_whole_session_byte_by_byte_without_waiting_is_served_in_order(dock: Dock) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.call().expects_answer_to(IMAGE).send(SESSION, segment_bytes=1)
        peer.expect_accept().expect_status(0x0000).expect_released()
        require_stored(dock)


@pytest.mark.parametrize("behind", [1, 5, 6, 11, 12, 40, len(STORE) - 1])
def test_data_that_comes_with_the_request_is_served_after_it(dock: Dock, behind: int) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.call().expects_answer_to(IMAGE).send(associate_rq() + STORE[:behind])
        peer.expect_accept().send(STORE[behind:]).expect_status(0x0000).release()
        require_stored(dock)


def test_a_session_whose_sender_says_at_once_that_nothing_more_comes_is_served(dock: Dock) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.call().expects_answer_to(IMAGE).send(SESSION).half_close()
        peer.expect_accept().expect_status(0x0000).expect_released()
        require_stored(dock)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["command", "first data", "second data"])
def test_a_pause_at_any_place_makes_no_difference(dock: Dock, number: int) -> None:
    pieces = [*fragments(STORE_COMMAND, (333,)), *fragments(IMAGE, (333,))]
    start = sum(len(piece) + 12 for piece in pieces[:number])
    with dock.unharmed(says="stored 1 object"):
        for cut in (1, 4, 6, 10, 12, 13, 50):
            peer = dock.associate().expects_answer_to(IMAGE).send(STORE[: start + cut])
            assert not peer.stall(0.02)
            peer.send(STORE[start + cut :]).expect_status(0x0000).release()
        require_stored(dock)


@pytest.mark.parametrize(
    "sizes",
    [(1,), (2,), (3, 1), (7, 64, 1), (127,), (128,), (16_378,), (60_000,)],
    ids=str,
)
def test_fragments_of_any_size_make_no_difference(dock: Dock, sizes: tuple[int, ...]) -> None:
    with dock.unharmed(says="stored 1 object"):
        peer = dock.associate().store(IMAGE, OWN, pdv_sizes=sizes)
        peer.expect_status(0x0000).release()
        require_stored(dock)


def test_several_fragments_share_a_pdu(dock: Dock) -> None:
    pieces = [pdv(piece, 0) for piece in fragments(IMAGE, (99,))]
    pieces[-1] = pdv(fragments(IMAGE, (99,))[-1], LAST)
    with dock.unharmed(says="stored 1 object"):
        peer = dock.associate().expects_answer_to(IMAGE)
        peer.send(message(STORE_COMMAND) + pdu(P_DATA, b"".join(pieces)))
        peer.expect_status(0x0000).release()
        require_stored(dock)


def test_command_and_data_share_a_pdu(dock: Dock) -> None:
    together = pdv(STORE_COMMAND, COMMAND | LAST) + pdv(IMAGE[:100], 0) + pdv(IMAGE[100:], LAST)
    with dock.unharmed(says="stored 1 object"):
        peer = dock.associate().expects_answer_to(IMAGE).send(pdu(P_DATA, together))
        peer.expect_status(0x0000).release()
        require_stored(dock)


@pytest.mark.parametrize("empty_at", [0, 1, -1])
def test_empty_fragments_add_nothing(dock: Dock, empty_at: int) -> None:
    pieces = [b"", IMAGE] if empty_at == 0 else [IMAGE[:9], b"", IMAGE[9:]]
    pieces = [IMAGE, b""] if empty_at == -1 else pieces
    bits = [0] * (len(pieces) - 1) + [LAST]
    sent = b"".join(pdu(P_DATA, pdv(p, b)) for p, b in zip(pieces, bits, strict=True))
    with dock.unharmed(says="stored 1 object"):
        peer = dock.associate().expects_answer_to(IMAGE).send(message(STORE_COMMAND) + sent)
        peer.expect_status(0x0000).release()
        require_stored(dock)


def test_random_cuts_of_several_objects_on_two_contexts_keep_every_byte(dock: Dock) -> None:
    chance = random.Random(44)
    contexts = (*CONTEXTS, Context(5, transfer_syntaxes=(EXPLICIT_VR_LITTLE_ENDIAN,)))
    objects = [
        image(SOPInstanceUID=f"{OWN}.{n}", InstanceNumber=str(n), pixels=chance.randbytes(n * 700))
        for n in range(1, 21)
    ]
    with dock.unharmed(says="stored 20 objects|released after 20 objects"):
        peer = dock.associate(contexts=contexts)
        for number, data_set in enumerate(objects, 1):
            sizes = [chance.randint(1, 900) for _ in range(9)]
            context_id, segment = chance.choice((1, 5)), chance.choice((0, 17, 1_400))
            own: dict[str, Any] = {"pdv_sizes": sizes, "context_id": context_id}
            own["segment_bytes"] = segment
            peer.store(data_set, f"{OWN}.{number}", **own).expect_status(0x0000)
        peer.release()
        for data_set in objects:
            require_stored(dock, data_set)


def test_messages_that_do_not_wait_for_responses_are_answered_in_order(dock: Dock) -> None:
    objects = [image(SOPInstanceUID=f"{OWN}.{n}", InstanceNumber=str(n)) for n in range(30)]
    with dock.unharmed(says="released after 30 objects"):
        peer, sent = dock.associate(), b""
        for number, data_set in enumerate(objects):
            peer.expects_answer_to(data_set)
            sent += message(command(c_store_rq(CT_IMAGE_STORAGE, f"{OWN}.{number}")), data_set)
            sent += message(C_ECHO, context_id=3)
        peer.send(sent, segment_bytes=1_400)
        for _ in range(60):
            peer.expect_status(0x0000)
        peer.release()
        assert len(peer.succeeded) == 30


def test_an_object_of_twenty_bytes_is_an_object(dock: Dock) -> None:
    tiny = encode(
        [element("SOPClassUID", "1"), element("SOPInstanceUID", "2")], EXPLICIT_VR_LITTLE_ENDIAN
    )
    assert len(tiny) == 20
    with dock.unharmed(says="stored 1 object"):
        peer = dock.associate(contexts=(Context(1, "1"),))
        peer.store(tiny, "2", sop_class="1").expect_status(0x0000).release()
        require_stored(dock, tiny)


@pytest.mark.parametrize("pdv_bytes", [16_378, 131_066])
def test_an_object_of_64_mib_costs_no_memory(tmp_path: Path, pdv_bytes: int) -> None:
    large = image(pixels=bytes(64 * MIB))
    limits = limited(pdu_bytes=131_072)
    with DockProcess(tmp_path / "data", limits=limits) as dock, dock.unharmed(says="stored 1"):
        before = dock.peak_bytes()
        peer = dock.associate().expects_answer_to(large)
        peer.send(store_message(large, pdv_sizes=(pdv_bytes,)))
        peer.expect_status(0x0000).release()
        assert dock.peak_bytes() - before < FLAT_BYTES


def test_a_64_mib_object_that_is_abandoned_costs_no_memory_and_no_disk(tmp_path: Path) -> None:
    large = store_message(image(pixels=bytes(64 * MIB)), pdv_sizes=(65_000,))
    with DockProcess(tmp_path / "data") as dock, dock.unharmed(says="aborted"):
        before = dock.peak_bytes()
        dock.associate().send(large[:-1_000]).rst()
        assert dock.peak_bytes() - before < FLAT_BYTES
