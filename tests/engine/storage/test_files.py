"""Files and folders of a session: moved in one step, never over others, and flushed in order."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from engine.dicom.part10 import FileMeta
from engine.model.site import DuplicatePolicy
from engine.settings import Durability
from engine.storage import folders as rename
from engine.storage.files import (
    flush_folder,
    is_object,
    make_folder,
    move_file,
    move_folder,
    object_files,
    remove_empty_folders,
    write_atomically,
)
from engine.storage.folders import OpenFolders
from engine.storage.incoming import IncomingArea, publish
from tests import dicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.engine.storage.disk_log import DiskLog

OBJECT = bytes(128) + b"DICM"
CALLS = ("link", "unlink", "rename", "replace")


@pytest.fixture(params=["in one call", "without the call", "without it in the C library"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a file is renamed: file systems and C libraries differ."""
    if request.param == "without the call":
        monkeypatch.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
    elif request.param != "in one call":
        monkeypatch.setattr(rename, "_renameat2", lambda: None)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_file_gets_another_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    move_file(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"content"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("is_link", [False, True])
def test_a_name_that_another_file_has_is_not_taken(tmp_path: Path, is_link: bool) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    if is_link:
        (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "b").write_bytes(b"another one's")
    with pytest.raises(FileExistsError):
        move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert is_link or (tmp_path / "b").read_bytes() == b"another one's"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("way")
def test_of_two_names_of_a_file_one_goes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    move_file(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.usefixtures("way")
def test_a_link_is_moved_itself(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"content")
    (tmp_path / "a").symlink_to(tmp_path / "outside")
    move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").is_symlink()
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "outside").read_bytes() == b"content"


@pytest.mark.usefixtures("way")
def test_what_is_gone_can_not_be_moved_and_reserves_no_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_file(tmp_path / "a", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_was_reserved_before_a_crash_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").touch()
    move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"content"


def test_what_is_no_file_is_no_name_that_was_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
    (tmp_path / "a").write_bytes(b"content")
    os.mkfifo(tmp_path / "b")
    with pytest.raises(FileExistsError):
        move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_rename_that_fails_gives_the_reserved_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as patched, pytest.raises(OSError, match="another device"):
        patched.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
        patched.setattr(os, "rename", _failing(OSError(errno.EXDEV, "another device")))
        move_file(tmp_path / "a", tmp_path / "elsewhere/b")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Return the folder that objects of one scan are published into."""
    folder = tmp_path / "SCANS" / "4"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Publish an object as a receiver does that replaces duplicates."""
    incoming = IncomingArea(tmp_path / "incoming", "boot-1")
    root = os.open(tmp_path, os.O_RDONLY)
    with OpenFolders(root) as folders:

        def publish_text(text: str) -> None:
            syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
            elements = {"SOPInstanceUID": "1.2.3", "SeriesDescription": text}
            preamble = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT", "XNAT").preamble("1.2.3")
            with incoming.create_part() as part:
                part.writev([preamble, dicom.image(syntax, None, **elements)])
                publish(
                    *(part, folders, ("SCANS", "4"), "a.dcm", Durability.FULL),
                    body_offset=len(preamble),
                    duplicates=DuplicatePolicy.REPLACE,
                )

        yield publish_text
    os.close(root)
    incoming.close()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_object_that_replaces_one_in_the_middle_of_its_move_is_kept(
    tmp_path: Path, scan: Path, receive: Callable[[str], None], when: str
) -> None:
    arrived, moved, step = scan / "a.dcm", tmp_path / "b.dcm", 0
    reached = True
    while reached:
        receive("old")
        with pytest.MonkeyPatch.context() as patched:
            steps = _held_at(patched, step, when, lambda: receive("new"))
            move_file(arrived, moved)
        contents = [path.read_bytes() for path in (arrived, moved) if path.exists()]
        reached = len(steps) > step
        assert any(b"new" in content for content in contents) is reached
        for path in (arrived, moved):
            path.unlink(missing_ok=True)
        step += 1
    assert step > 1


def _held_at(
    monkeypatch: pytest.MonkeyPatch, step: int, when: str, act: Callable[[], None]
) -> list[int]:
    """Act before or after the n-th call that changes names; return the numbers of the calls."""
    seen: list[int] = []
    acting = False

    def act_if_due(moment: str) -> None:
        nonlocal acting
        if moment == when and seen[-1] == step:
            acting = True
            act()
            acting = False

    def hold(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if acting:
            return real(*arguments, **options)
        seen.append(len(seen))
        act_if_due("before")
        result = real(*arguments, **options)
        act_if_due("after")
        return result

    for owner, name in [*((os, name) for name in CALLS), (rename, "_rename_at_once")]:
        real = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *a, _real=real, **options: hold(_real, *a, **options)
        )
    return seen


def _failing(error: OSError) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_new_content_is_flushed_before_it_has_its_name_and_the_name_after_that(
    tmp_path: Path, disk_log: DiskLog
) -> None:
    path = tmp_path / "a.xml"
    write_atomically(path, b"content")
    flushed = disk_log.index("flush", tmp_path / ".a.xml.part")
    assert flushed < disk_log.index("move", path) < disk_log.index("flush", tmp_path)


@pytest.mark.parametrize("name", [".a.xml.part", "a.xml"])
def test_new_content_never_goes_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / name).symlink_to(tmp_path / "outside")
    try:
        write_atomically(tmp_path / "a.xml", b"content")
    except OSError as error:
        assert error.errno == errno.ELOOP
    assert (tmp_path / "outside").read_bytes() == b"mine"


def test_all_new_folders_are_made_before_their_names_are_flushed_from_the_top(
    tmp_path: Path, disk_log: DiskLog
) -> None:
    make_folder(tmp_path / "a/b", roots=(tmp_path,))
    steps = [
        disk_log.index("mkdir", tmp_path / "a"),
        disk_log.index("mkdir", tmp_path / "a/b"),
        disk_log.index("flush", tmp_path),
        disk_log.index("flush", tmp_path / "a"),
    ]
    assert steps == sorted(steps)


def test_the_name_of_a_folder_that_is_there_is_flushed_too(
    tmp_path: Path, disk_log: DiskLog
) -> None:
    """Whoever made it may have been killed before its flush."""
    (tmp_path / "a/b").mkdir(parents=True)
    make_folder(tmp_path / "a/b", roots=(tmp_path,))
    assert disk_log.flushed() == [tmp_path, tmp_path / "a"]


def test_a_moved_folder_is_flushed_where_it_is_and_where_it_was(
    tmp_path: Path, disk_log: DiskLog
) -> None:
    (tmp_path / "from/a").mkdir(parents=True)
    (tmp_path / "to").mkdir()
    move_folder(tmp_path / "from/a", tmp_path / "to/a", roots=(tmp_path,))
    moved = disk_log.index("move", tmp_path / "to/a")
    assert moved < disk_log.index("flush", tmp_path / "to")
    assert moved < disk_log.index("flush", tmp_path / "from")


def test_a_folder_that_was_moved_before_a_crash_is_flushed_again(
    tmp_path: Path, disk_log: DiskLog
) -> None:
    (tmp_path / "to/a").mkdir(parents=True)
    move_folder(tmp_path / "from/a", tmp_path / "to/a", roots=(tmp_path,))
    assert disk_log.flushed() == [tmp_path, tmp_path / "to"]


@pytest.mark.usefixtures("way")
def test_a_folder_is_never_moved_over_another(tmp_path: Path) -> None:
    for name in ("from/a", "to/a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text(name)
    with pytest.raises(OSError, match=r"exist|not empty"):
        move_folder(tmp_path / "from/a", tmp_path / "to/a", roots=(tmp_path,))
    assert [(tmp_path / n / "x").read_text() for n in ("from/a", "to/a")] == ["from/a", "to/a"]


def test_a_folder_that_is_nowhere_can_not_be_moved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_folder(tmp_path / "from/a", tmp_path / "to/a", roots=(tmp_path,))


def test_a_folder_is_flushed_itself(tmp_path: Path, disk_log: DiskLog) -> None:
    flush_folder(tmp_path)
    assert disk_log.flushed() == [tmp_path]


def test_only_a_regular_file_with_a_header_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(OBJECT)
    (tmp_path / "link").symlink_to(tmp_path / "object")
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").write_bytes(b"x" * 200)
    found = [path.name for path in sorted(tmp_path.iterdir()) if is_object(path)]
    assert found == ["object"]


@pytest.mark.usefixtures("umask_of_nobody")
def test_files_and_folders_are_for_the_group_only(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b", roots=(tmp_path,))
    write_atomically(tmp_path / "a/b/c.xml", b"content")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c.xml")] == [0o750, 0o750, 0o640]


@pytest.mark.usefixtures("umask_of_nobody")
def test_new_content_is_for_the_group_only_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fchmod", lambda fd, _: modes.append(os.fstat(fd).st_mode & 0o777))
    write_atomically(tmp_path / "a.xml", b"content")
    assert modes == [0o640]


@pytest.mark.usefixtures("umask_of_nobody")
def test_a_folder_is_for_the_group_only_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    make_folder(tmp_path / "a", roots=(tmp_path,))
    assert mode(tmp_path / "a") == 0o750


@pytest.mark.usefixtures("umask_of_nobody")
def test_a_name_is_reserved_by_a_file_for_the_group_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    monkeypatch.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
    (tmp_path / "a").write_bytes(b"content")
    real = os.rename

    def note(source: str, target: str, **folders: int) -> None:
        modes.append(mode(tmp_path / target))
        real(source, target, **folders)

    monkeypatch.setattr(os, "rename", note)
    move_file(tmp_path / "a", tmp_path / "b")
    assert modes == [0o640]


def test_a_name_that_is_taken_while_it_is_reserved_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename, "_rename_at_once", lambda *_: errno.EINVAL)
    (tmp_path / "a").write_bytes(b"mine")

    def lose_the_race(name: rename._Name) -> bool:
        (tmp_path / name.name).write_bytes(b"another one's")
        return False

    monkeypatch.setattr(rename, "_is_reserved", lose_the_race)
    with pytest.raises(FileExistsError):
        move_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"mine"


@pytest.mark.timeout(10)
def test_only_a_folder_is_flushed_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        flush_folder(tmp_path / "a")


def test_a_new_file_that_is_swept_away_meanwhile_reports_the_first_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        (tmp_path / ".a.xml.part").unlink()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a.xml", b"content")


def test_a_folder_that_was_flushed_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    closed: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        closed.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", flushed.append)
    monkeypatch.setattr(os, "close", close)
    flush_folder(tmp_path)
    assert closed == flushed


def test_the_empty_folders_of_a_folder_go_and_itself_only_if_asked(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    remove_empty_folders(top)
    assert list(top.iterdir()) == []
    remove_empty_folders(top, itself=True)
    assert not top.exists()
    remove_empty_folders(top)


def test_a_file_that_has_gone_since_it_was_listed_is_no_object(tmp_path: Path) -> None:
    assert not is_object(tmp_path / "a.dcm")


def test_a_file_that_can_not_be_read_is_not_taken_for_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "SCANS/4/DICOM/a.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(OBJECT)
    path.with_name("b.dcm").write_bytes(OBJECT)
    real = os.open

    def refuse(path: Path | str, *arguments: Any) -> Any:
        if str(path).endswith("a.dcm"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr("engine.storage.files.os.open", refuse)
    with pytest.raises(PermissionError):
        is_object(path)
    unreadable: list[Path] = []
    assert [one.name for one in object_files(tmp_path, unreadable)] == ["b.dcm"]
    assert unreadable == [path]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask_of_nobody() -> Iterator[None]:
    """Let modes be what the code asks for."""
    umask = os.umask(0)
    yield
    os.umask(umask)


def test_what_can_not_be_opened_is_not_taken_for_no_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(OBJECT)
    assert is_object(path) is True

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("engine.storage.files.os.open", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        is_object(path)
