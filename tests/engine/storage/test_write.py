"""Parts and publishing: never overwritten, never outside, never half, nothing left behind."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.dicom.part10 import FileMeta
from engine.errors import (
    DuplicateInstance,
    OutOfResources,
    ProcessingFailed,
    StorageUnusable,
    UnreadableObject,
)
from engine.model.site import DuplicatePolicy
from engine.settings import Durability
from engine.storage.folders import FlushedFolders, OpenFolders
from engine.storage.incoming import (
    MAX_SUFFIX,
    IncomingArea,
    PartFile,
    Published,
    is_stored,
    out_of_resources,
    publish,
    sweep,
)
from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
)
from tests.running import held_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDERS = ("A", "20260102_030405006", "P-0001", "SCANS", "4", "DICOM")
NAME = "1.2-4-1-abc.dcm"
PREAMBLE, OTHER_PREAMBLE = (
    FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, sender, "XNAT").preamble("1.2.3")
    for sender in ("CT1", "B")
)
OTHER_INSTANCE = FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, "CT1", "XNAT").preamble(
    "1.2.4"
)


class Storage:
    """A data directory with an incoming area and a prearchive."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.prearchive = root / "prearchive"
        self.prearchive.mkdir()
        self.area = IncomingArea(root / "incoming", "boot-1")
        self.root_fd = os.open(self.prearchive, os.O_RDONLY | os.O_DIRECTORY)
        self.flushed = FlushedFolders()

    def part(self, body: bytes = b"body", preamble: bytes = PREAMBLE) -> PartFile:
        part = self.area.create_part()
        part.writev([preamble, body])
        return part

    def publish(
        self, body: bytes = b"body", *, preamble: bytes = PREAMBLE, **how: Any
    ) -> Published:
        return self.file(self.part(body, preamble), body_offset=len(preamble), **how)

    def file(
        self,
        part: PartFile,
        *,
        durability: Durability = Durability.FULL,
        name: str = NAME,
        parts: tuple[str, ...] = FOLDERS,
        body_offset: int = len(PREAMBLE),
        duplicates: DuplicatePolicy = DuplicatePolicy.KEEP,
    ) -> Published:
        how: dict[str, Any] = {"body_offset": body_offset, "duplicates": duplicates}
        with part, OpenFolders(self.root_fd, self.flushed) as folders:
            return publish(part, folders, parts, name, durability, **how)

    def path(self, part: PartFile) -> Path:
        return self.root / "incoming" / "boot-1" / part.name

    def parts(self) -> list[str]:
        return [path.name for path in (self.root / "incoming").rglob("*") if path.is_file()]

    def files(self) -> dict[str, bytes]:
        folder = self.prearchive.joinpath(*FOLDERS)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}

    def close(self) -> None:
        self.area.close()
        os.close(self.root_fd)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    made = Storage(tmp_path)
    before = held_below(tmp_path)
    yield made
    assert held_below(tmp_path) == before
    made.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- Parts ---


def test_a_part_takes_buffers_of_every_kind(storage: Storage) -> None:
    with storage.area.create_part() as part:
        part.writev([b"ab", bytearray(b"cd"), memoryview(b"ef")])
        part.writev([b"gh"])
        assert storage.path(part).read_bytes() == b"abcdefgh"
        assert part.size_bytes == 8
        assert mode(storage.path(part)) == 0o640
        assert storage.path(part).exists()


def test_a_part_takes_more_buffers_than_the_system_takes_at_once(storage: Storage) -> None:
    with storage.area.create_part() as part:
        part.writev([b"x%d;" % n for n in range(3_000)])
        assert storage.path(part).read_bytes() == b"".join(b"x%d;" % n for n in range(3_000))


def test_short_writes_are_completed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write, writev = os.write, os.writev
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    monkeypatch.setattr(os, "writev", lambda fd, buffers: writev(fd, [buffers[0][:4]]))
    with storage.area.create_part() as part:
        part.writev([b"0123456", b"", b"789abcdefg"])
        assert storage.path(part).read_bytes() == b"0123456789abcdefg"
        assert part.size_bytes == 17


def test_a_part_is_gone_when_something_goes_wrong(storage: Storage) -> None:
    def receive() -> None:
        with storage.part():
            raise UnreadableObject("no data set")

    with pytest.raises(UnreadableObject):
        receive()
    assert storage.parts() == []


def test_a_part_can_be_discarded_again(storage: Storage) -> None:
    part = storage.part()
    part.discard()
    part.discard()
    assert storage.parts() == []


def test_a_part_that_someone_removed_can_be_discarded(storage: Storage) -> None:
    part = storage.part()
    storage.path(part).unlink()
    part.discard()


def test_names_of_parts_differ_even_if_one_is_taken(storage: Storage) -> None:
    planted = storage.root / "incoming" / "boot-1" / "00000001.part"
    planted.symlink_to(storage.root / "foreign")
    with storage.part(), storage.part():
        assert len(storage.parts()) == 2
    assert not (storage.root / "foreign").exists()


def test_the_incoming_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        storage = Storage(tmp_path)
    finally:
        os.umask(before)
    assert mode(tmp_path / "incoming") == 0o750
    assert mode(tmp_path / "incoming" / "boot-1") == 0o700
    storage.close()
    assert not (tmp_path / "incoming" / "boot-1").exists()


def test_where_nothing_was_ever_received_nothing_is_swept(tmp_path: Path) -> None:
    assert sweep(tmp_path / "incoming") == 0


def test_what_other_runs_left_is_swept_and_links_are_not_followed(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "kept").write_text("kept")
    incoming = tmp_path / "incoming"
    (incoming / "boot-0" / "deeper").mkdir(parents=True)
    (incoming / "boot-0" / "00000001.part").write_bytes(b"half")
    (incoming / "boot-0" / "deeper" / "x").write_bytes(b"half")
    (incoming / "boot-0" / "link").symlink_to(foreign)
    (incoming / "link").symlink_to(foreign)
    (incoming / "stray").write_bytes(b"")
    area = IncomingArea(incoming, "boot-1")
    with area.create_part() as part:
        assert area.sweep() == 5
        assert (incoming / "boot-1" / part.name).exists()
        assert [path.name for path in incoming.iterdir()] == ["boot-1"]
    assert area.sweep() == 0
    assert (foreign / "kept").read_text() == "kept"
    area.close()


@pytest.mark.parametrize("planted", ["link", "file"])
def test_an_incoming_area_refuses_what_is_no_folder(tmp_path: Path, planted: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    if planted == "link":
        (incoming / "boot-1").symlink_to(foreign)
    else:
        (incoming / "boot-1").write_text("")
    with pytest.raises(StorageUnusable) as caught:
        IncomingArea(incoming, "boot-1")
    assert caught.value.remedy
    assert list(foreign.iterdir()) == []


@pytest.mark.timeout(10)
@pytest.mark.parametrize("planted", ["link", "FIFO"])
def test_an_incoming_area_is_not_opened_through_what_has_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    if planted == "link":
        (tmp_path / "incoming").symlink_to(foreign)
    else:
        os.mkfifo(tmp_path / "incoming")
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # it was a folder then
    with pytest.raises(StorageUnusable):
        IncomingArea(tmp_path / "incoming", "boot-1")
    assert list(foreign.iterdir()) == []


# --- Publishing ---


@pytest.mark.parametrize("durability", Durability)
def test_a_part_gets_its_final_name(storage: Storage, durability: Durability) -> None:
    published = storage.publish(durability=durability)
    assert published == Published((*FOLDERS, NAME))
    assert storage.files() == {NAME: PREAMBLE + b"body"}
    assert storage.parts() == []


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_folders_and_files_are_readable_for_the_group_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        storage = Storage(tmp_path)
        assert os.umask(umask) == umask
        storage.publish()
    finally:
        os.umask(before)
    path = storage.prearchive
    for name in FOLDERS:
        path /= name
        assert mode(path) == 0o750
    assert mode(path / NAME) == 0o640
    storage.close()


@pytest.mark.parametrize(
    ("durability", "flushes"),
    [
        (Durability.FULL, ["part", *("folder" for _ in FOLDERS), "folder"]),
        (Durability.FILE, ["part"]),
        (Durability.NONE, []),
    ],
)
def test_what_is_flushed_is_what_the_setting_says(
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    durability: Durability,
    flushes: list[str],
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: seen.append("part"))
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append("folder"))
    storage.publish(durability=durability)
    assert seen == flushes
    seen.clear()
    storage.publish(b"second", durability=durability, name="2.dcm")
    assert seen == [flush for flush in flushes if flush == "part"] + flushes[-1:] * (
        durability is Durability.FULL
    )


def test_the_part_and_the_folder_that_it_goes_to_are_what_is_flushed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.publish(b"first", name="first.dcm")
    flushed: list[str] = []

    def note(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        flushed.append(path.relative_to(storage.root).as_posix())

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    with storage.part() as part:
        name = storage.path(part).relative_to(storage.root).as_posix()
        storage.file(part)
    folder = "/".join(("prearchive", *FOLDERS))
    assert flushed == [name, folder]
    flushed.clear()
    with storage.part() as again:
        name = storage.path(again).relative_to(storage.root).as_posix()
        assert storage.file(again).duplicate
    assert flushed == [name, f"{folder}/{NAME}", folder]


@pytest.mark.parametrize("durability", Durability)
def test_what_is_stored_already_and_its_name_are_flushed_as_the_setting_says(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    storage.publish()
    flushed: list[str] = []

    def note(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink().name)

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    with storage.part() as part, OpenFolders(storage.root_fd, storage.flushed) as folders:
        body_offset = len(PREAMBLE)
        assert is_stored(part, folders, FOLDERS, NAME, durability, body_offset=body_offset)
    file = [] if durability is Durability.NONE else [NAME]
    assert flushed == [*file, *([FOLDERS[-1]] if durability is Durability.FULL else [])]


@pytest.mark.parametrize(
    ("body", "parts", "name", "is_there"),
    [
        (b"body", FOLDERS, NAME, True),
        (b"else", FOLDERS, NAME, False),
        (b"body", FOLDERS, "2.dcm", False),
        (b"body", (*FOLDERS[:-1], "secondary"), NAME, False),
        (b"body", (*FOLDERS, NAME), NAME, False),
    ],
)
def test_a_data_set_is_stored_where_a_file_holds_it_and_nothing_is_made_to_find_out(
    storage: Storage, body: bytes, parts: tuple[str, ...], name: str, is_there: bool
) -> None:
    storage.publish()
    before = sorted(storage.prearchive.rglob("*"))
    with storage.part(body) as part, OpenFolders(storage.root_fd, storage.flushed) as folders:
        how: dict[str, Any] = {"body_offset": len(PREAMBLE)}
        assert is_stored(part, folders, parts, name, Durability.FULL, **how) is is_there
    assert sorted(storage.prearchive.rglob("*")) == before


def test_the_file_is_flushed_before_it_has_its_name(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_at_flush = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: files_at_flush.append(storage.files()))
    storage.publish()
    assert files_at_flush == [{}]


def test_the_same_data_set_again_is_a_duplicate(storage: Storage) -> None:
    storage.publish()
    again = storage.publish(preamble=OTHER_PREAMBLE)
    assert again == Published((*FOLDERS, NAME), duplicate=True)
    assert storage.files() == {NAME: PREAMBLE + b"body"}
    assert storage.parts() == []


@pytest.mark.parametrize("body", [b"BODY", b"body ", b"bod", b""])
def test_another_data_set_under_the_same_name_is_kept_beside_it(
    storage: Storage, body: bytes
) -> None:
    storage.publish()
    other = storage.publish(body)
    assert other == Published((*FOLDERS, "1.2-4-1-abc_1.dcm"), renamed=True, same_instance=True)
    assert storage.files() == {
        NAME: PREAMBLE + b"body",
        "1.2-4-1-abc_1.dcm": PREAMBLE + body,
    }
    again = storage.publish(body)
    assert again == Published((*FOLDERS, "1.2-4-1-abc_1.dcm"), duplicate=True, renamed=True)
    assert len(storage.files()) == 2


def test_large_data_sets_are_compared_to_the_last_byte(storage: Storage) -> None:
    body = bytes(700_000)
    storage.publish(body)
    assert storage.publish(body).duplicate
    assert storage.publish(body[:-1] + b"x").renamed


def test_only_so_many_different_objects_of_one_name_are_kept(storage: Storage) -> None:
    for number in range(MAX_SUFFIX + 1):
        storage.publish(b"%d" % number, durability=Durability.NONE)
    with pytest.raises(OutOfResources, match="more than 99 different objects of one name"):
        storage.publish(b"one more", durability=Durability.NONE)
    assert storage.parts() == []


@pytest.mark.parametrize(
    "foreign", [b"", b"short", bytes(200), bytes(128) + b"DICM" + bytes(100), PREAMBLE]
)
def test_a_file_that_is_not_ours_is_another_object(storage: Storage, foreign: bytes) -> None:
    folder = storage.prearchive.joinpath(*FOLDERS)
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(foreign)
    assert storage.publish().renamed
    assert storage.files()[NAME] == foreign


def plant_folder(path: Path, _: Path) -> None:
    path.mkdir()


def plant_link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def plant_dangling_link(path: Path, target: Path) -> None:
    path.symlink_to(target.with_name("nothing"))


def plant_fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def test_another_instance_under_the_same_name_is_told_apart(storage: Storage) -> None:
    storage.publish()
    other = storage.publish(b"other", preamble=OTHER_INSTANCE)
    assert (other.renamed, other.same_instance) == (True, False)


def test_other_content_of_an_instance_takes_its_place_if_the_policy_says_so(
    storage: Storage,
) -> None:
    storage.publish()
    other = storage.publish(b"other", preamble=OTHER_PREAMBLE, duplicates=DuplicatePolicy.REPLACE)
    assert other == Published((*FOLDERS, NAME), same_instance=True, replaced=True)
    assert storage.files() == {NAME: OTHER_PREAMBLE + b"other"}
    assert storage.parts() == []


def test_other_content_of_an_instance_is_refused_if_the_policy_says_so(storage: Storage) -> None:
    storage.publish()
    with pytest.raises(DuplicateInstance) as caught:
        storage.publish(b"other", duplicates=DuplicatePolicy.REJECT)
    assert caught.value.status == 0x0111
    assert storage.files() == {NAME: PREAMBLE + b"body"}
    assert storage.parts() == []


@pytest.mark.parametrize("policy", DuplicatePolicy)
def test_no_policy_touches_the_same_data_set_or_another_instance(
    storage: Storage, policy: DuplicatePolicy
) -> None:
    storage.publish()
    assert storage.publish(preamble=OTHER_PREAMBLE, duplicates=policy).duplicate
    assert storage.publish(b"x", preamble=OTHER_INSTANCE, duplicates=policy).renamed
    assert len(storage.files()) == 2


@pytest.mark.parametrize("plant", [plant_folder, plant_link, plant_dangling_link, plant_fifo])
def test_a_name_that_is_no_file_is_never_followed(
    storage: Storage, plant: Callable[[Path, Path], None]
) -> None:
    foreign = storage.root / "foreign"
    foreign.write_bytes(PREAMBLE + b"body")
    folder = storage.prearchive.joinpath(*FOLDERS)
    folder.mkdir(parents=True)
    plant(folder / NAME, foreign)
    assert storage.publish() == Published((*FOLDERS, "1.2-4-1-abc_1.dcm"), renamed=True)
    assert foreign.read_bytes() == PREAMBLE + b"body"
    assert not foreign.with_name("nothing").exists()


def plant_socket(path: Path, _: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


@pytest.mark.parametrize(
    "plant", [plant_folder, plant_link, plant_dangling_link, plant_fifo, plant_socket]
)
def test_a_file_that_turns_into_something_else_while_compared_is_not_followed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path, Path], None]
) -> None:
    storage.publish()
    path = storage.prearchive.joinpath(*FOLDERS, NAME)
    foreign = storage.root / "foreign"
    foreign.write_bytes(path.read_bytes())
    look = os.stat

    def swap(name: Any, **options: Any) -> os.stat_result:
        seen = look(name, **options)
        if name == NAME:
            path.unlink()
            plant(path, foreign)
        return seen

    monkeypatch.setattr(os, "stat", swap)
    assert storage.publish() == Published((*FOLDERS, "1.2-4-1-abc_1.dcm"), renamed=True)


@pytest.mark.parametrize("level", range(len(FOLDERS)))
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_planted_folder_is_refused_at_every_level(
    storage: Storage, level: int, kind: str
) -> None:
    foreign = storage.root / "foreign"
    foreign.mkdir()
    parent = storage.prearchive.joinpath(*FOLDERS[:level])
    parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        (parent / FOLDERS[level]).symlink_to(foreign)
    else:
        (parent / FOLDERS[level]).write_text("")
    with pytest.raises(OutOfResources, match="where a folder belongs") as caught:
        storage.publish()
    assert str(storage.root) not in caught.value.detail
    assert list(foreign.iterdir()) == []
    assert storage.parts() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/abs", "a\0b"])
def test_unsafe_names_are_refused_even_if_nobody_should_ask_for_them(
    storage: Storage, name: str
) -> None:
    for parts, file in (((name,), NAME), (FOLDERS, name)):
        with pytest.raises(ProcessingFailed):
            storage.publish(name=file, parts=parts)
    assert storage.parts() == []
    assert list(storage.prearchive.iterdir()) == []


def in_eight_threads(task: Callable[[int], Published]) -> list[Published]:
    barrier = threading.Barrier(8)

    def run(number: int) -> Published:
        barrier.wait()
        return task(number)

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(run, range(8)))


def test_eight_threads_with_the_same_object_leave_one_file(storage: Storage) -> None:
    for round_ in range(20):
        name = f"{round_}.dcm"
        outcomes = in_eight_threads(
            lambda _, name=name: storage.publish(bytes(50_000), name=name)  # type: ignore[misc]
        )
        assert sum(not outcome.duplicate for outcome in outcomes) == 1
        assert {outcome.path_parts[-1] for outcome in outcomes} == {name}
    assert len(storage.files()) == 20
    assert storage.parts() == []


def test_eight_threads_with_different_objects_of_one_name_leave_eight_files(
    storage: Storage,
) -> None:
    outcomes = in_eight_threads(lambda number: storage.publish(b"%d" % number * 50_000))
    assert sum(outcome.renamed for outcome in outcomes) == 7
    bodies = {content[len(PREAMBLE) :] for content in storage.files().values()}
    assert bodies == {b"%d" % number * 50_000 for number in range(8)}
    assert storage.parts() == []


# --- Failing storage ---

WORDS = [
    (errno.ENOSPC, "no space"),
    (errno.EDQUOT, "quota"),
    (errno.EROFS, "read-only"),
    (errno.EACCES, "permission"),
    (errno.EIO, "input/output"),
    (errno.EMFILE, "too many open files"),
    (errno.ENFILE, "too many open files"),
    (errno.EFBIG, "larger"),
    (errno.EBUSY, "EBUSY"),
]


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(code, os.strerror(code), "/secret/Doe^Jane")

    return fail


@pytest.mark.parametrize(("code", "words"), WORDS)
@pytest.mark.parametrize(
    "call", ["open", "writev", "fchmod", "fdatasync", "mkdir", "link", "fsync"]
)
def test_a_failing_storage_is_out_of_resources_and_leaves_no_part(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, call: str, code: int, words: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        with pytest.raises(OutOfResources) as caught, storage.area.create_part() as part:
            part.writev([PREAMBLE, b"body"])
            storage.file(part)
    assert words in caught.value.detail
    assert "secret" not in caught.value.detail
    assert len(caught.value.detail) <= 64
    assert caught.value.status == 0xA700
    assert storage.parts() == []
    assert storage.files() == {}


def test_a_part_whose_mode_can_not_be_set_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o077)
    try:
        storage = Storage(tmp_path)
    finally:
        os.umask(before)
    before = held_below(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchmod", failing(errno.EPERM))
        with pytest.raises(OutOfResources, match="permission"):
            storage.area.create_part()
    assert storage.parts() == []
    assert held_below(tmp_path) == before
    storage.close()


@pytest.mark.parametrize("call", ["dup", "stat", "pread", "fstat", "fdatasync", "open"])
def test_a_storage_that_fails_while_comparing_leaves_no_part(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    storage.publish()
    part = storage.part()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        with pytest.raises(OutOfResources):
            storage.file(part, durability=Durability.FILE)
    assert storage.parts() == []
    assert storage.files() == {NAME: PREAMBLE + b"body"}


def test_a_file_that_can_not_be_read_is_not_taken_for_another_instance(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.publish()
    part, opens, opened = storage.part(b"other", preamble=OTHER_PREAMBLE), os.open, []

    def unreadable_at_second(path: str, *how: Any, **where: Any) -> int:
        opened.append(path)
        if opened.count(NAME) == 2:  # once its data set was compared
            raise OSError(errno.EIO, "open")
        return opens(path, *how, **where)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", unreadable_at_second)
        with pytest.raises(OutOfResources):
            storage.file(part)
    assert storage.files() == {NAME: PREAMBLE + b"body"}


def test_the_rest_of_a_short_write_may_fail(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", lambda fd, buffers: writev(fd, [buffers[0][:1]]))
        patch.setattr(os, "write", failing(errno.ENOSPC))
        with pytest.raises(OutOfResources), storage.area.create_part() as part:
            part.writev([b"abc"])
    assert storage.parts() == []


def test_a_failed_flush_is_never_repeated(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def fail(fd: int) -> None:
        flushed.append(fd)
        raise OSError(errno.EIO, "flush")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OutOfResources):
        storage.publish()
    assert len(flushed) == 1
    assert storage.files() == {}


def test_when_only_the_last_flush_fails_the_complete_file_stays(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.publish(b"first", name="first.dcm")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(OutOfResources):
            storage.publish()
    assert storage.files()[NAME] == PREAMBLE + b"body"
    assert storage.parts() == []
    assert storage.publish().duplicate


def test_a_part_that_cannot_be_removed_is_published_all_the_same(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EIO))
        storage.publish()
    assert storage.files() == {NAME: PREAMBLE + b"body"}
    assert len(storage.parts()) == 1
    later = IncomingArea(storage.root / "incoming", "boot-2")
    assert later.sweep() == 1
    later.close()


def test_a_folder_that_vanishes_is_out_of_resources(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", failing(errno.EEXIST))
    with pytest.raises(OutOfResources, match="is gone"):
        storage.publish()


FILE_TOO_LARGE = """
import os, resource, sys
from pathlib import Path
from engine.errors import OutOfResources
from engine.storage.incoming import IncomingArea

area = IncomingArea(Path(sys.argv[1]), "boot-1")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    with area.create_part() as part:
        part.writev([bytes(6_000), bytes(6_000)])
except OutOfResources as error:
    print(error.detail)
print(os.listdir(Path(sys.argv[1]) / "boot-1"))
"""


def test_a_real_limit_on_file_size_is_out_of_resources(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", FILE_TOO_LARGE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == "the object is larger than the storage admits\n[]\n"


def test_what_can_not_be_removed_is_not_counted_as_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.part", "b.part"):
        (tmp_path / "incoming/boot-0").mkdir(parents=True, exist_ok=True)
        (tmp_path / "incoming/boot-0" / name).touch()
    area, unlink = IncomingArea(tmp_path / "incoming", "boot-1"), os.unlink

    def refuse(name: str, **options: Any) -> None:
        if name == "a.part":
            raise OSError(errno.EBUSY, "Device or resource busy")
        unlink(name, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert area.sweep() == 1
    assert area.sweep() == 1
    area.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "any"), "no space or no inodes left on the storage"),
        (OSError(errno.EPIPE, "any"), "the storage failed with EPIPE"),
        (OSError(12345, "any"), "the storage failed with 12345"),
        (OSError("any"), "the storage failed with 0"),
    ],
)
def test_an_error_of_the_storage_is_put_into_words_without_its_text(
    error: OSError, words: str
) -> None:
    assert out_of_resources(error).detail == words
