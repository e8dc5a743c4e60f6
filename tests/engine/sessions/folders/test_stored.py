"""Stored files compared: what was sent counts, not who sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.dicom.part10 import FileMeta
from engine.errors import UnreadableObject
from engine.sessions.folders.stored_objects import read_stored, same_data_set
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN

if TYPE_CHECKING:
    from pathlib import Path

LONG = bytes(700_000)


def stored(path: Path, data_set: bytes, sender: str = "CT1") -> Path:
    meta = FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, sender, "XNAT")
    path.write_bytes(meta.preamble("1.2.3") + data_set)
    return path


@pytest.mark.parametrize("data_set", [b"", b"short", LONG])
def test_one_data_set_of_two_senders_is_the_same(tmp_path: Path, data_set: bytes) -> None:
    other = stored(tmp_path / "b", data_set, "A_LONGER_NAME")
    assert same_data_set(stored(tmp_path / "a", data_set), other)


@pytest.mark.parametrize("other", [b"", LONG[:-1], LONG[:-1] + b"x", LONG + b"\0"])
def test_data_sets_are_compared_to_the_last_byte(tmp_path: Path, other: bytes) -> None:
    assert not same_data_set(stored(tmp_path / "a", LONG), stored(tmp_path / "b", other))


def test_a_file_that_is_not_ours_is_the_same_as_none(tmp_path: Path) -> None:
    foreign = tmp_path / "b"
    foreign.write_bytes(b"no file of ours")
    assert not same_data_set(foreign, foreign)
    assert not same_data_set(stored(tmp_path / "a", b""), foreign)


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [(b"\2\0\x10\0UI", b"\2\0\x10\0XX"), (b"\2\0\0\0UL\4\0", b"\2\0\0\0UL\2\0"), (b"DICM", b"")],
    ids=["a VR", "a length", "the prefix"],
)
def test_a_file_whose_meta_is_damaged_is_unreadable_in_words(
    tmp_path: Path, whole: bytes, damaged: bytes
) -> None:
    (tmp_path / "SCANS/4/DICOM").mkdir(parents=True)
    path = stored(tmp_path / "SCANS/4/DICOM/a.dcm", LONG)
    path.write_bytes(path.read_bytes().replace(whole, damaged, 1))
    with pytest.raises(UnreadableObject) as refused:
        read_stored(tmp_path, "SCANS/4/DICOM/a.dcm")
    assert refused.value.detail == "an object of scan 4 can't be read: its file meta is damaged"


def test_a_file_that_is_gone_is_a_fault_of_the_storage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_stored(tmp_path, "SCANS/4/DICOM/gone.dcm")
