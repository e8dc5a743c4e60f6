"""Odd objects are refused in the standard's words, and quickly (W10–W13, F36–F41)."""

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
    CONTEXTS,
    INSTANCE,
    VERIFICATION,
    Context,
    c_store_rq,
    command,
)
from tests.running import leftovers, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANNOT_UNDERSTAND, MISMATCH = 0xC000, 0xA900
NO_RESOURCES, PROCESSING_FAILED = 0xA700, 0x0110
AT_ONCE_SECONDS = 3.0
IMAGE = image()
COMMAND_SET = command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE))


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


def test_a_data_set_of_one_element_after_another_is_stored_as_it_is(dock: Dock) -> None:
    private = Element(0x00091010, "UN", b"\0" * 7_001)
    elements = sorted([*image_elements(SOPInstanceUID=OWN), private], key=lambda e: e.tag)
    with dock.unharmed():
        peer = dock.associate().store(encode(elements, EXPLICIT_VR_LITTLE_ENDIAN), OWN)
        peer.expect_status(0x0000).release()
