"""Folders that stay open: the same while it is there, a new one when it was moved or removed."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.settings import Durability
from engine.storage.folders import KEPT_OPEN, FlushedFolders, OpenFolders
from tests.running import held_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("NEURO-01", "20260102_030405006", "E1", "SCANS", "4", "DICOM")


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[OpenFolders]:
    root_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with OpenFolders(root_fd) as opened:
        yield opened
    assert held_below(tmp_path) == 1  # the root's
    os.close(root_fd)


def inode(folders: OpenFolders, *parts: str) -> int:
    return os.fstat(folders.open(parts, Durability.NONE)).st_ino


def test_a_folder_that_is_where_it_was_is_opened_once(folders: OpenFolders, tmp_path: Path) -> None:
    first = folders.open(PARTS, Durability.NONE)
    before = held_below(tmp_path)
    assert [folders.open(PARTS, Durability.FULL) for _ in range(3)] == [first] * 3
    assert held_below(tmp_path) == before
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


def test_a_link_to_a_kept_folder_itself_is_not_taken_for_it(
    folders: OpenFolders, tmp_path: Path
) -> None:
    folders.open(("A", "B"), Durability.NONE)
    (tmp_path / "A" / "B").rename(tmp_path / "elsewhere")
    (tmp_path / "A" / "B").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Not a directory"):
        folders.open(("A", "B"), Durability.NONE)


def test_a_folder_of_another_device_with_the_same_inode_is_another_one(
    folders: OpenFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.open(("A",), Durability.NONE)
    look, open_it, opened = os.stat, os.open, []

    def elsewhere(name: str, **options: Any) -> os.stat_result:
        values = list(look(name, **options))
        values[2] += 1  # st_dev
        return os.stat_result(values)

    def note(name: str, *flags: int, **options: Any) -> int:
        opened.append(name)
        return open_it(name, *flags, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", elsewhere)
        patch.setattr(os, "open", note)
        folders.open(("A",), Durability.NONE)
    assert opened == ["A"]


def test_only_some_folders_stay_open(folders: OpenFolders, tmp_path: Path) -> None:
    before = held_below(tmp_path)
    for scan in range(3 * KEPT_OPEN):
        folders.open((*PARTS[:4], str(scan), "DICOM"), Durability.NONE)
    assert held_below(tmp_path) == before + KEPT_OPEN


class Tree:
    """A root whose flushes are noted, and the folders that each association opens below it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.flushed = FlushedFolders()
        self.flushes: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        """Called with each folder, relative to the root, before it is flushed."""
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink().relative_to(self.root).as_posix()
        self.before(path)
        self._fsync(fd)
        self.flushes.append(path)

    def open(self, *parts: str, durability: Durability = Durability.FULL) -> list[str]:
        """Open a folder for a new association and return what was flushed by all meanwhile."""
        self.flushes.clear()
        with OpenFolders(self.root_fd, self.flushed) as folders:
            folders.open(parts or PARTS, durability)
        return list(self.flushes)


ALL_PARENTS = ["/".join(PARTS[:depth]) or "." for depth in range(len(PARTS))]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    tree = Tree(tmp_path, monkeypatch)
    yield tree
    os.close(tree.root_fd)


def fail(_: str) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_the_parent_of_each_new_folder_is_flushed_and_not_again(tree: Tree) -> None:
    assert tree.open() == ALL_PARENTS
    assert tree.open() == []
    assert tree.open(*PARTS[:4], "5", "DICOM") == ["/".join(PARTS[:4]), "/".join((*PARTS[:4], "5"))]


@pytest.mark.parametrize("durability", [Durability.FILE, Durability.NONE])
def test_without_full_durability_no_folder_is_flushed(tree: Tree, durability: Durability) -> None:
    assert tree.open(durability=durability) == []


def test_folders_that_an_earlier_run_made_are_flushed_once(tree: Tree) -> None:
    (tree.root / "/".join(PARTS)).mkdir(parents=True)  # and was killed before it flushed them
    assert tree.open() == ALL_PARENTS
    assert tree.open() == []


@pytest.mark.parametrize("failing", ALL_PARENTS)
def test_a_flush_that_failed_is_made_up_for_by_the_next_one(tree: Tree, failing: str) -> None:
    tree.before = lambda path: fail(path) if path == failing else None
    with pytest.raises(OSError, match="Input/output"):
        tree.open()
    tree.before = lambda _: None
    assert failing in tree.open()


def test_nobody_relies_on_a_flush_that_goes_on_and_may_fail(tree: Tree) -> None:
    scans = "/".join(PARTS[:4])
    flushing, others_are_done = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        if path == scans and threading.current_thread() is maker:
            flushing.set()
            others_are_done.wait(20)
            fail(path)

    def make() -> None:
        with suppress(OSError):
            tree.open()

    tree.before = hold
    maker = threading.Thread(target=make)
    maker.start()
    assert flushing.wait(20)
    assert scans in tree.open()  # the folder is there, and its maker has not flushed it
    others_are_done.set()
    maker.join()
    assert tree.open() == []


def test_a_folder_made_anew_is_flushed_even_if_it_has_the_same_inode(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.stat_result((0o40750, 7, 7, 2, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    assert tree.open("A", "B") == [".", "A"]
    (tree.root / "A" / "B").rmdir()
    assert tree.open("A", "B") == ["A"]


def test_a_late_flush_says_nothing_of_a_folder_that_was_made_anew(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.stat_result((0o40750, 7, 7, 2, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    (tree.root / "A").mkdir()

    def made_anew(_: str) -> None:
        tree.before = fail
        (tree.root / "A").rmdir()
        with (
            pytest.raises(OSError, match="Input/output"),
            OpenFolders(tree.root_fd, tree.flushed) as folders,
        ):
            folders.open(("A",), Durability.FULL)
        tree.before = lambda _: None

    tree.before = made_anew
    tree.open("A")
    assert tree.open("A") == ["."]


def test_what_is_known_of_folders_is_bounded(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.storage.folders._KNOWN_FOLDERS", 3)
    for number in range(10):
        assert tree.open(str(number)) == ["."]
    assert tree.open("9") == []
    assert tree.open("0") == ["."]
    assert len(tree.flushed._inodes) <= 4


def test_a_new_folder_is_for_the_group_only(folders: OpenFolders, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        folders.open(("a", "b"), Durability.NONE)
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b")} == {0o750}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("place", [os.mkfifo, Path.touch])
def test_what_is_no_folder_is_not_opened_as_one(
    folders: OpenFolders, tmp_path: Path, place: Callable[[Path], object]
) -> None:
    place(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        folders.open(("a",), Durability.NONE)


def test_a_link_is_not_opened_as_a_folder(folders: OpenFolders, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/")
    with pytest.raises(OSError, match=r"directory|symbolic"):
        folders.open(("a",), Durability.NONE)
