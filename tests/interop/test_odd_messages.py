"""Odd messages are refused in the standard's words or end the association (F31–F35, F42, F43)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    MR_IMAGE_STORAGE,
    image,
)
from tests.peers.dock import Dock, limited
from tests.peers.pdus import (
    C_CANCEL_RQ,
    C_ECHO,
    C_FIND_RQ,
    C_STORE_RQ,
    CLASS_UID,
    COMMAND,
    CONTEXTS,
    DATA_SET_TYPE,
    FIELD,
    INSTANCE,
    INSTANCE_UID,
    LAST,
    MESSAGE_ID,
    NO_DATA_SET,
    P_DATA,
    PRIORITY,
    RELEASE_RP,
    RELEASE_RQ,
    RESPONDED_TO,
    RESPONSE,
    STATUS,
    Context,
    c_store_rq,
    command,
    message,
    pdu,
    pdv,
    store_message,
    ui,
    us,
)
from tests.peers.peer import WITHIN_SECONDS
from tests.running import stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANNOT_UNDERSTAND, MISMATCH, UNRECOGNIZED_OPERATION = 0xC000, 0xA900, 0x0211
AT_ONCE_SECONDS = 3.0
IMAGE = image()
STORE = store_message(IMAGE, pdv_sizes=(150,))
COMMAND_SET = command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE))
COMMAND_BYTES = len(message(COMMAND_SET))


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", limits=limited(data_set_bytes=64 * 1024**2)) as dock:
        yield dock


def objects_of(dock: Dock, instance: str = INSTANCE) -> list[Path]:
    """Return the files that hold a SOP instance other than the bystanders' and controls'."""
    wanted = instance.encode("latin-1", "replace")
    return [f for f in stored_files(dock.data_dir) if wanted in f.read_bytes()]


OWN = "1.2.826.0.1.3680043.8.498.77"
"""A SOP instance that only the odd sender sends."""


ENDINGS = ["abort", "close", "rst", "half_close"]
POSITIONS = {
    "after the command": COMMAND_BYTES,
    "inside the first fragment": COMMAND_BYTES + 50,
    "between fragments": COMMAND_BYTES + 156 + 6,
    "before the last byte": len(STORE) - 1,
    "inside the command": COMMAND_BYTES - 20,
}


@pytest.mark.parametrize("way", ENDINGS)
@pytest.mark.parametrize("position", POSITIONS)
def test_whoever_leaves_in_the_middle_of_an_object_leaves_nothing(
    same_dock: Dock, way: str, position: str
) -> None:
    whole = POSITIONS[position] in {COMMAND_BYTES, COMMAND_BYTES + 156 + 6}
    with same_dock.unharmed(says="aborted"):
        files = len(stored_files(same_dock.data_dir))
        peer = same_dock.associate().send(STORE[: POSITIONS[position]])
        if way == "abort" and not whole:
            way = "close"  # an A-ABORT would only be bytes of the fragment
        getattr(peer, way)()
        assert len(stored_files(same_dock.data_dir)) == files


@pytest.mark.parametrize("position", ["after the command", "between fragments"])
def test_a_release_in_the_middle_of_an_object_is_no_success(same_dock: Dock, position: str) -> None:
    with same_dock.unharmed():
        files = len(stored_files(same_dock.data_dir))
        peer = same_dock.associate().send(STORE[: POSITIONS[position]] + pdu(RELEASE_RQ))
        peer.is_released()  # or aborted: either is an answer
        assert len(stored_files(same_dock.data_dir)) == files


def test_a_release_right_behind_the_last_fragment_keeps_the_object(dock: Dock) -> None:
    data_set = image(SOPInstanceUID=OWN)
    sent = message(command(c_store_rq(CT_IMAGE_STORAGE, OWN)), data_set)
    with dock.unharmed(says="released after 1 object"):
        peer = dock.associate().expects_answer_to(data_set).send(sent + pdu(RELEASE_RQ))
        peer.expect_status(0x0000).expect_released()
        assert len(objects_of(dock, OWN)) == 1


@pytest.mark.parametrize("second", [RELEASE_RQ, RELEASE_RP])
def test_more_than_one_release_ends_the_association_all_the_same(
    same_dock: Dock, second: int
) -> None:
    with same_dock.unharmed():
        same_dock.associate().send(pdu(RELEASE_RQ) + pdu(second)).is_released()


REFUSED = range(0x0105, 0x0215)
ODD_COMMANDS: dict[str, dict[int, bytes | None]] = {
    "no SOP class": {CLASS_UID: None},
    "an empty SOP class": {CLASS_UID: b""},
    "no SOP instance": {INSTANCE_UID: None},
    "an empty SOP instance": {INSTANCE_UID: b""},
    "no message id": {MESSAGE_ID: None},
    "a message id of 1 byte": {MESSAGE_ID: b"\1"},
    "a message id of 4 bytes": {MESSAGE_ID: b"\1\0\0\0"},
    "no command field": {FIELD: None},
    "a command field of 1 byte": {FIELD: b"\1"},
    "an unknown command": {FIELD: us(0x1234)},
    "a command of another service": {FIELD: us(C_FIND_RQ)},
    "an N-CREATE": {FIELD: us(0x0140)},
    "a response": {FIELD: us(RESPONSE | C_STORE_RQ), RESPONDED_TO: us(1), STATUS: us(0)},
    "no data set type": {DATA_SET_TYPE: None},
    "an empty data set type": {DATA_SET_TYPE: b""},
    "no priority": {PRIORITY: None},
    "an empty priority": {PRIORITY: b""},
    "an unknown priority": {PRIORITY: us(0xFFFF)},
    "move originators": {0x1030: b"MOVER ", 0x1031: us(9)},
    "an odd move originator": {0x1030: b"\xff" * 300, 0x1031: b""},
    "an unknown element": {0x7777: b"rubbish!"},
    "a class of another context": {CLASS_UID: ui(MR_IMAGE_STORAGE)},
    "a class of 70 characters": {CLASS_UID: ui("1." * 35)},
}


@pytest.mark.parametrize("what", ODD_COMMANDS)
def test_an_odd_command_set_is_answered_or_ends_the_association(same_dock: Dock, what: str) -> None:
    allowed = {0x0000, CANNOT_UNDERSTAND, MISMATCH, None, *REFUSED}
    with same_dock.unharmed():
        peer = same_dock.associate().store(IMAGE, changes=ODD_COMMANDS[what])
        peer.send(message(C_ECHO, context_id=3))
        status = peer.outcome()
        assert status in allowed
        if status is not None:
            peer.abort()
        peer.close()


COMMAND_BYTES_OF = {
    "no bytes": b"",
    "rubbish": b"\xff" * 100,
    "half an element": COMMAND_SET[:-3],
    "an element beyond the end": COMMAND_SET[:-22] + b"\0\0\0\x10\xff\xff\xff\xff",
    "no group length": COMMAND_SET[12:],
    "big endian": bytes(reversed(COMMAND_SET)),
    "a data set": IMAGE,
}


@pytest.mark.parametrize("what", COMMAND_BYTES_OF)
def test_a_broken_command_set_is_answered_or_ends_the_association(
    same_dock: Dock, what: str
) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate().send(message(COMMAND_BYTES_OF[what], IMAGE))
        peer.half_close()
        assert peer.outcome() in {0x0000, None, CANNOT_UNDERSTAND, MISMATCH, *REFUSED}
        peer.expect_closed()


@pytest.mark.parametrize("length", [0, 1, 60_000, 0xFFFFFFFF])
def test_a_wrong_group_length_of_the_command_matters_to_nobody_else(
    same_dock: Dock, length: int
) -> None:
    elements = c_store_rq(CT_IMAGE_STORAGE, INSTANCE)
    with same_dock.unharmed():
        peer = same_dock.associate().expects_answer_to(IMAGE)
        peer.send(message(command(elements, group_length=length), IMAGE)).half_close()
        assert peer.outcome() in {0x0000, None, CANNOT_UNDERSTAND, *REFUSED}
        peer.expect_closed()


@pytest.mark.parametrize("field", [C_FIND_RQ, 0x0140, 0x1234])
def test_what_no_receiver_serves_is_an_unrecognized_operation(same_dock: Dock, field: int) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate().store(IMAGE, changes={FIELD: us(field)})
        peer.expect_status(UNRECOGNIZED_OPERATION).echo()
        peer.store(IMAGE).expect_status(0x0000).release()


def test_a_response_that_nobody_asked_for_ends_the_association(same_dock: Dock) -> None:
    answer = {FIELD: us(RESPONSE | C_STORE_RQ), RESPONDED_TO: us(1), STATUS: us(0)}
    with same_dock.unharmed(says="a response"):
        same_dock.associate().store(IMAGE, changes=answer).expect_abort()


def test_one_message_id_for_all_messages_is_fine(same_dock: Dock) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate()
        for _ in range(3):
            peer.store(IMAGE).expect_status(0x0000)
        peer.release()


def test_a_cancel_is_not_answered(same_dock: Dock) -> None:
    cancel = {FIELD: us(C_CANCEL_RQ), RESPONDED_TO: us(1), DATA_SET_TYPE: NO_DATA_SET}
    with same_dock.unharmed():
        peer = same_dock.associate().send(message(command(cancel))).echo()
        peer.store(IMAGE).expect_status(0x0000).release()


def test_a_store_that_announces_no_data_set_is_not_understood(same_dock: Dock) -> None:
    elements = c_store_rq(CT_IMAGE_STORAGE, INSTANCE) | {DATA_SET_TYPE: NO_DATA_SET}
    with same_dock.unharmed(says="0xC000"):
        peer = same_dock.associate().send(message(command(elements)))
        peer.expect_status(CANNOT_UNDERSTAND).echo().release()


def test_data_that_nobody_announced_ends_the_association(same_dock: Dock) -> None:
    with same_dock.unharmed(says="abort"):
        same_dock.associate().send(pdu(P_DATA, pdv(IMAGE, LAST))).expect_abort()


def test_a_command_in_the_middle_of_a_data_set_ends_the_association(same_dock: Dock) -> None:
    with same_dock.unharmed(says="abort"):
        begun = STORE[: POSITIONS["between fragments"]]
        peer = same_dock.associate().send(begun + pdu(P_DATA, pdv(COMMAND_SET, COMMAND | LAST)))
        peer.expect_abort()


def test_a_data_set_on_another_context_than_its_command_ends_the_association(
    same_dock: Dock,
) -> None:
    with same_dock.unharmed(says="abort"):
        peer = same_dock.associate().send(message(COMMAND_SET))
        peer.send(pdu(P_DATA, pdv(IMAGE, LAST, context_id=3))).expect_abort()


def test_a_store_on_a_refused_context_is_aborted_and_leaves_nothing(dock: Dock) -> None:
    refused = Context(5, CT_IMAGE_STORAGE, ("1.2.840.10008.1.2.1.99",))
    with dock.unharmed(says="abort"):
        peer = dock.associate(contexts=(*CONTEXTS, refused))
        assert 5 in peer.refused
        peer.store(image(SOPInstanceUID=OWN), OWN, context_id=5).expect_abort()
        assert objects_of(dock, OWN) == []


def test_a_store_on_the_verification_context_is_refused(dock: Dock) -> None:
    with dock.unharmed():
        peer = dock.associate().store(image(SOPInstanceUID=OWN), OWN, context_id=3)
        assert peer.outcome(WITHIN_SECONDS) in {None, 0x0122, 0x0211, MISMATCH, CANNOT_UNDERSTAND}
        assert objects_of(dock, OWN) == []
        peer.abort().close()


def test_an_echo_on_a_storage_context_is_answered(same_dock: Dock) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate().send(message(C_ECHO, context_id=1))
        peer.expect_status(0x0000).release()


def test_unknown_classes_only_are_refused_in_words(same_dock: Dock) -> None:
    find = Context(1, "1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT_VR_LITTLE_ENDIAN,))
    with same_dock.unharmed(says="Study Root Query|rejected"):
        peer = same_dock.call().request(contexts=(find,))
        if peer.is_accepted(AT_ONCE_SECONDS):
            assert peer.refused == {1: 3}
            peer.release()
