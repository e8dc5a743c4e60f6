"""Folders that stay open: the same while it is there, a new one when it was moved or removed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.intake.folders import KEPT_OPEN, OpenFolders
from engine.settings import Durability

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = ("NEURO-01", "20260102_030405006", "E1", "SCANS", "4", "DICOM")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count matters


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[OpenFolders]:
    root_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    before = open_files()
    with OpenFolders(root_fd) as opened:
        yield opened
    assert open_files() == before
    os.close(root_fd)


def inode(folders: OpenFolders, *parts: str) -> int:
    return os.fstat(folders.open(parts, Durability.NONE)).st_ino


def test_a_folder_that_is_where_it_was_is_opened_once(folders: OpenFolders, tmp_path: Path) -> None:
    first = folders.open(PARTS, Durability.NONE)
    before = open_files()
    assert [folders.open(PARTS, Durability.FULL) for _ in range(3)] == [first] * 3
    assert open_files() == before
    assert os.fstat(first).st_ino == tmp_path.joinpath(*PARTS).stat().st_ino


@pytest.mark.parametrize("level", range(1, len(PARTS) + 1))
def test_a_folder_that_was_moved_away_gets_nothing_more(
    folders: OpenFolders, tmp_path: Path, level: int
) -> None:
    before = inode(folders, *PARTS)
    tmp_path.joinpath(*PARTS[:level]).rename(tmp_path / "archived")
    assert inode(folders, *PARTS) != before
    assert tmp_path.joinpath(*PARTS).is_dir()


def test_a_folder_that_was_removed_is_made_anew(folders: OpenFolders, tmp_path: Path) -> None:
    folders.open(PARTS, Durability.NONE)
    shutil.rmtree(tmp_path / PARTS[0])
    folders.open(PARTS, Durability.NONE)
    assert tmp_path.joinpath(*PARTS).is_dir()


def test_a_link_to_elsewhere_in_place_of_a_kept_folder_is_not_followed(
    folders: OpenFolders, tmp_path: Path
) -> None:
    folders.open(("A", "B"), Durability.NONE)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "B").mkdir(parents=True)
    shutil.rmtree(tmp_path / "A")
    (tmp_path / "A").symlink_to(elsewhere)
    with pytest.raises(OSError, match="Not a directory"):
        folders.open(("A", "B"), Durability.NONE)


def test_only_some_folders_stay_open(folders: OpenFolders) -> None:
    before = open_files()
    for scan in range(3 * KEPT_OPEN):
        folders.open((*PARTS[:4], str(scan), "DICOM"), Durability.NONE)
    assert open_files() == before + KEPT_OPEN
