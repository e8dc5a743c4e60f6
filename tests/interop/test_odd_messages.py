"""Odd messages are refused in the standard's words or end the association (W10–W12, F31–F43)."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MR_IMAGE_STORAGE,
    Element,
    element,
    encode,
    head,
    image,
    image_elements,
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
    VERIFICATION,
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
from tests.running import leftovers, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANNOT_UNDERSTAND, MISMATCH = 0xC000, 0xA900
NO_RESOURCES, PROCESSING_FAILED = 0xA700, 0x0110
AT_ONCE_SECONDS = 1.0
IMAGE = image()
STORE = store_message(IMAGE, pdv_sizes=(150,))
COMMAND_SET = command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE))
COMMAND_BYTES = len(message(COMMAND_SET))


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", limits=limited(data_set_bytes=64 * 1024**2)) as dock:
        yield dock


@pytest.fixture(scope="module")
def _lasting_dock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dock]:
    with Dock(tmp_path_factory.mktemp("lasting") / "data") as dock:
        yield dock


@pytest.fixture
def same_dock(_lasting_dock: Dock) -> Iterator[Dock]:
    """One engine for everything that this module sends and never asks for."""
    with _lasting_dock.lent() as dock:
        yield dock


def objects_of(dock: Dock, instance: str = INSTANCE) -> list[Path]:
    """Return the files that hold a SOP instance other than the bystanders' and controls'."""
    wanted = instance.encode("latin-1", "replace")
    return [f for f in stored_files(dock.data_dir) if wanted in f.read_bytes()]


OWN = "1.2.826.0.1.3680043.8.498.77"
"""A SOP instance that only the odd sender sends."""


@pytest.mark.parametrize("missing", [1, 3, 9, len(IMAGE) // 2, len(IMAGE) - 8])
def test_a_data_set_that_is_cut_short_is_not_understood(dock: Dock, missing: int) -> None:
    data_set = image(SOPInstanceUID=OWN)[:-missing]
    with dock.unharmed(says="0xC000"):
        peer = dock.associate().store(data_set, OWN).expect_status(CANNOT_UNDERSTAND)
        peer.echo().release()
        assert objects_of(dock, OWN) == []


@pytest.mark.parametrize("extra", [b"\0", bytes(8), b"\xff" * 9, b"DICM"])
def test_bytes_after_the_end_are_kept_or_refused_never_dropped(dock: Dock, extra: bytes) -> None:
    data_set = image(SOPInstanceUID=OWN) + extra
    with dock.unharmed():
        peer = dock.associate().store(data_set, OWN)
        peer.expect_status(0x0000, 0xB000, 0xB006, 0xB007, CANNOT_UNDERSTAND).release()
        assert all(file.read_bytes().endswith(data_set) for file in objects_of(dock, OWN))


def test_an_object_that_can_not_be_written_is_refused_for_now_and_the_next_one_is_stored(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with dock.unharmed(says="0xA700"):
        peer = dock.associate()
        with monkeypatch.context() as full:
            full.setattr(os, "writev", no_space)
            peer.store(image(SOPInstanceUID=OWN), OWN).expect_status(NO_RESOURCES)
        peer.store(image(SOPInstanceUID=OWN), OWN).expect_status(0x0000).release()
        assert len(objects_of(dock, OWN)) == 1


def test_a_defect_of_ours_is_a_processing_failure_and_the_association_goes_on(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    peer = dock.associate()
    with monkeypatch.context() as defect:
        defect.setattr("engine.intake.pipeline.Pipeline.finish", broken)
        peer.store(image(SOPInstanceUID=OWN), OWN).expect_status(PROCESSING_FAILED)
    peer.store(image(SOPInstanceUID=OWN), OWN).expect_status(0x0000).release()
    assert any("internal error (ZeroDivisionError)" in told for told in dock.sentences())
    assert leftovers(dock.data_dir) == []


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


@pytest.mark.parametrize(
    ("data_set", "sop_class"),
    [
        (image(SOPInstanceUID=OWN), MR_IMAGE_STORAGE),
        (image(SOPInstanceUID=OWN, SOPClassUID=MR_IMAGE_STORAGE), CT_IMAGE_STORAGE),
        (image(SOPInstanceUID=OWN + "1"), CT_IMAGE_STORAGE),
        (image(SOPInstanceUID="1.2"), CT_IMAGE_STORAGE),
    ],
    ids=["class of the request", "class of the data", "instance by a digit", "instance"],
)
def test_a_data_set_that_is_not_what_the_request_names_is_a_mismatch(
    dock: Dock, data_set: bytes, sop_class: str
) -> None:
    both = (Context(1), Context(3, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)))
    mr = (Context(5, MR_IMAGE_STORAGE),)
    with dock.unharmed(says="0xA900"):
        peer = dock.associate(contexts=both + mr)
        context_id = 5 if sop_class == MR_IMAGE_STORAGE else 1
        peer.store(data_set, OWN, sop_class=sop_class, context_id=context_id)
        peer.expect_status(MISMATCH).echo().release()
        assert objects_of(dock, OWN) == []


HOSTILE_UIDS = [
    "../../../etc/cron.d/x",
    "/abs/olute",
    "..",
    ".",
    "1.2/..",
    "1.2.3/../../../../../../tmp/x",
    "a b;c$(id)`id`",
    "1.2.3\n4",
    "1.2.3\\4",
    "1.2.3\x1b[2J",
    "-rf",
    "CON",
    "1." * 40 + "1",
    "9" * 5_000,
    "1.2\x003",
    "ünïcode",
]


@pytest.mark.parametrize(
    ("where", "uid"),
    [("SOPInstanceUID", uid) for uid in HOSTILE_UIDS]
    + [(w, uid) for w in ("StudyInstanceUID", "SeriesInstanceUID") for uid in HOSTILE_UIDS[:4]],
    ids=lambda value: repr(value[:20]),
)
def test_a_hostile_uid_never_becomes_a_path(
    same_dock: Dock, tmp_path: Path, where: str, uid: str
) -> None:
    instance = uid if where == "SOPInstanceUID" else OWN
    uids: dict[str, Any] = {"SOPInstanceUID": OWN, where: uid}
    data_set = image(**uids)
    with same_dock.unharmed():
        before = {p for p in tmp_path.rglob("*") if same_dock.data_dir not in p.parents}
        peer = same_dock.associate().store(data_set, instance)
        assert peer.outcome() in {0x0000, 0x0117, MISMATCH, CANNOT_UNDERSTAND, None}
        peer.close()
        after = {p for p in tmp_path.rglob("*") if same_dock.data_dir not in p.parents}
        assert after == before
        for file in (same_dock.data_dir / "prearchive").rglob("*"):
            assert not file.is_symlink()
            assert all(ord(c) > 32 and c not in "$;`\\" for c in file.name)


@pytest.mark.parametrize("uid", ["", "1.2.3", "../../x"], ids=repr)
def test_a_hostile_sop_class_is_refused_or_stored_and_never_a_path(
    same_dock: Dock, uid: str
) -> None:
    contexts = (Context(1, uid), *CONTEXTS[1:])
    with same_dock.unharmed():
        peer = same_dock.call().request(contexts=contexts)
        if peer.is_accepted(AT_ONCE_SECONDS) and 1 in peer.accepted:
            peer.store(image(SOPClassUID=uid, SOPInstanceUID=OWN), OWN, sop_class=uid)
            assert peer.outcome() in {0x0000, CANNOT_UNDERSTAND, MISMATCH, None}
        peer.close()


def nested(depth: int, *, undefined: bool) -> bytes:
    """Return a data set with sequences in sequences."""
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    elements = image_elements(SOPInstanceUID=OWN)
    before = encode([e for e in elements if e.tag < 0x00081140], syntax)
    after = encode([e for e in elements if e.tag > 0x00081140], syntax)
    begin, end = [], b""
    for below in reversed(range(depth)):
        inner = 0xFFFFFFFF if undefined else below * 20
        begin.append(head(0x00081140, "SQ", inner if undefined else inner + 8, syntax))
        begin.append(head(0xFFFEE000, "", inner, syntax))
    if undefined:
        end = head(0xFFFEE00D, "", 0, syntax) + head(0xFFFEE0DD, "", 0, syntax)
    return before + b"".join(begin) + end * depth + after


@pytest.mark.parametrize("depth", [100, 2_000, 20_000])
def test_deep_sequences_are_refused_quickly(same_dock: Dock, depth: int) -> None:
    with same_dock.unharmed(says="0xC000"):
        peer = same_dock.associate().store(nested(depth, undefined=True), OWN)
        assert peer.response(AT_ONCE_SECONDS) == CANNOT_UNDERSTAND
        peer.echo().release()


@pytest.mark.parametrize("depth", [100, 2_000, 20_000])
def test_deep_sequences_that_can_be_skipped_are_answered_quickly(
    same_dock: Dock, depth: int
) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate().store(nested(depth, undefined=False), OWN)
        assert peer.response(AT_ONCE_SECONDS) in {0x0000, CANNOT_UNDERSTAND}
        peer.echo().release()


def test_an_undefined_length_without_an_end_is_refused_quickly(same_dock: Dock) -> None:
    endless = head(0x00081140, "SQ", 0xFFFFFFFF, EXPLICIT_VR_LITTLE_ENDIAN)
    with same_dock.unharmed(says="0xC000"):
        peer = same_dock.associate().store(image(SOPInstanceUID=OWN) + endless, OWN)
        assert peer.response(AT_ONCE_SECONDS) == CANNOT_UNDERSTAND
        peer.release()


def test_millions_of_empty_elements_are_refused_while_others_go_on(dock: Dock) -> None:
    empty = head(0x00091001, "LO", 0, EXPLICIT_VR_LITTLE_ENDIAN)
    data_set = image(SOPInstanceUID=OWN, pixels=b"\0\0")[:-14] + empty * 2_500_000
    with dock.unharmed(says="0xC000"):
        peer = dock.associate().store(data_set, OWN, pdv_sizes=(100_000,))
        started = time.monotonic()
        dock.associate().store(IMAGE).expect_status(0x0000).release()
        assert time.monotonic() - started < AT_ONCE_SECONDS
        peer.expect_status(CANNOT_UNDERSTAND).release()


FILE = bytes(128) + b"DICM" + encode([element("TransferSyntaxUID", "1.2")], "1.2.840.10008.1.2.1")
WRONG_CONTENT = {
    "file meta and data": encode([element("MediaStorageSOPInstanceUID", OWN)], "1.2") + IMAGE,
    "a whole file": FILE + IMAGE,
    "a preamble": bytes(128) + b"DICM",
    "nothing": b"",
    "one byte": b"\0",
    "zeros": bytes(1_000),
    "text": b"<html>" * 100,
    "no instance": image(SOPInstanceUID=None),
    "no class": image(SOPClassUID=None),
    "an empty instance": image(SOPInstanceUID=""),
    "implicit bytes": image(IMPLICIT_VR_LITTLE_ENDIAN),
    "big endian bytes": image(EXPLICIT_VR_BIG_ENDIAN),
    "a command set": COMMAND_SET,
}


@pytest.mark.parametrize("what", WRONG_CONTENT)
def test_content_that_is_no_data_set_of_the_transfer_syntax_is_not_understood(
    same_dock: Dock, what: str
) -> None:
    with same_dock.unharmed(says="0x[AC]"):
        peer = same_dock.associate().store(WRONG_CONTENT[what])
        peer.expect_status(CANNOT_UNDERSTAND, MISMATCH).echo().release()


def test_explicit_bytes_on_an_implicit_context_are_never_mislabelled(same_dock: Dock) -> None:
    contexts = (Context(1, transfer_syntaxes=(IMPLICIT_VR_LITTLE_ENDIAN,)), *CONTEXTS[1:])
    with same_dock.unharmed(says="0xC000"):
        peer = same_dock.associate(contexts=contexts).store(image(SOPInstanceUID=OWN), OWN)
        peer.expect_status(CANNOT_UNDERSTAND).echo().release()


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
    with same_dock.unharmed(says="0xC000|abort"):
        peer = same_dock.associate().send(message(command(elements)))
        assert peer.outcome() in {CANNOT_UNDERSTAND, None, *REFUSED}
        peer.abort().close()


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


def test_an_echo_on_a_storage_context_is_answered_or_aborted(same_dock: Dock) -> None:
    with same_dock.unharmed():
        peer = same_dock.associate().send(message(C_ECHO, context_id=1))
        assert peer.outcome() in {0x0000, 0x0122, 0x0211, None}
        peer.abort().close()


def test_unknown_classes_only_are_refused_in_words(same_dock: Dock) -> None:
    find = Context(1, "1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT_VR_LITTLE_ENDIAN,))
    with same_dock.unharmed(says="Study Root Query|rejected"):
        peer = same_dock.call().request(contexts=(find,))
        if peer.is_accepted(AT_ONCE_SECONDS):
            assert peer.refused == {1: 3}
            peer.release()


def test_a_data_set_of_one_element_after_another_is_stored_as_it_is(dock: Dock) -> None:
    private = Element(0x00091010, "UN", b"\0" * 7_001)
    elements = sorted([*image_elements(SOPInstanceUID=OWN), private], key=lambda e: e.tag)
    with dock.unharmed():
        peer = dock.associate().store(encode(elements, EXPLICIT_VR_LITTLE_ENDIAN), OWN)
        peer.expect_status(0x0000).release()
