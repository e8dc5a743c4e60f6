"""Stored files compared: what was sent counts, not who sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.intake.file_meta import FileMeta
from engine.intake.stored import same_data_set
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
