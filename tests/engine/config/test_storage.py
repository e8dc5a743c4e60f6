"""The configuration file: broken content, full disks, symlinks, backups and the writers' lock."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.config.history import BACKUPS_KEPT
from engine.config.reading import LARGEST_FILE_BYTES, Content, Tables
from engine.config.storage import AtomicJSONStorage
from engine.errors import CorruptConfiguration, Problem, StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD: Tables = {"receivers": {"1": {"ae_title": "OLD"}}}
NEW: Tables = {"receivers": {"1": {"ae_title": "NEW"}}}


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "config.json"


@pytest.fixture
def storage(path: Path) -> AtomicJSONStorage:
    """A file with one good backup."""
    storage = AtomicJSONStorage(path)
    storage.write({"before": {}})
    storage.write(OLD)
    return storage


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fault(storage: AtomicJSONStorage) -> Problem:
    with pytest.raises(CorruptConfiguration) as caught:
        storage.read()
    (problem,) = caught.value.problems
    assert (problem.field, problem.value) == (storage.path.name, str(storage.path))
    return problem


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_an_absent_file_is_a_new_one(path: Path) -> None:
    assert AtomicJSONStorage(path).read() is None
    assert not path.parent.exists()


def test_a_first_file_that_another_process_makes_meanwhile_is_not_taken_for_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: Tables = {"projects": {"1": {"title": "Neuro"}}}

    def made_meanwhile(*_: object) -> str:
        AtomicJSONStorage(path).write(tables)
        return "config.history"

    monkeypatch.setattr("engine.config.storage.was_configured", made_meanwhile)
    assert AtomicJSONStorage(path).read() == tables


def test_what_was_written_is_read_back_by_another(path: Path) -> None:
    tables: Tables = {"projects": {"1": {"title": "Zürich – \ud800 \x1b"}}, "empty": {}}
    AtomicJSONStorage(path).write(tables)
    assert AtomicJSONStorage(path).read() == tables
    assert "Zürich" in path.read_text("utf-8")


def test_nobody_else_may_read_what_is_written(storage: AtomicJSONStorage) -> None:
    directory = storage.path.parent
    assert mode(directory) == 0o750
    assert names(directory) == {"config.json", "config.json.bak.1", "config.json.lock"}
    assert {mode(path) for path in directory.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "is empty (0 bytes)", None),
        (b" \n\n", "is empty (3 bytes)", None),
        (b'{"receivers": {\n "1": {', "is not JSON: Expecting property name", 2),
        (b'{\n "a": 1\n "b": 2}', "Expecting ',' delimiter", 3),
        (b"{} {}", "is not JSON: Extra data", 1),
        (b"\x00\x01\x02\x03", "Expecting value", 1),
        (b'{"a":\n "\xff"}', "is not UTF-8 text (byte 8)", 2),
        ('{"a": {}}'.encode("utf-16"), "is not UTF-8 text", 1),
        (b"[]", "is not a JSON object of tables", None),
        (b"null", "is not a JSON object of tables", None),
        (b'{"a": {"1": {}, "1": {}}}', "contains one name twice in one place", None),
        (b'{"a": {}, "a": {}}', "contains one name twice in one place", None),
        (b'{"a": NaN}', "contains a number that JSON does not know", None),
        (b'{"a": -Infinity}', "contains a number that JSON does not know", None),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not acceptable JSON", None),
        (b"[" * 200_000, "is not acceptable JSON", None),
        (b" " * (LARGEST_FILE_BYTES + 1), "is larger than 16,777,216 bytes", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_broken_file_is_refused_with_the_place_and_a_remedy(
    storage: AtomicJSONStorage, content: bytes, message: str, line: int | None
) -> None:
    storage.path.write_bytes(content)
    problem = fault(storage)
    assert message in problem.message
    assert problem.line == line
    assert problem.remedy.endswith(
        f"restore revision 0 (data/config.json.bak.1) with: "
        f"dicomdock --data {storage.path.parent} config recover"
    )
    assert storage.path.read_bytes() == content


def test_a_byte_order_mark_does_no_harm(storage: AtomicJSONStorage) -> None:
    storage.path.write_bytes(b"\xef\xbb\xbf" + b'{"a": {}}')
    assert storage.read() == {"a": {}}


def test_the_remedy_passes_over_broken_backups(storage: AtomicJSONStorage) -> None:
    storage.write(NEW)
    backups = [Path(f"{storage.path}.bak.{i}") for i in (1, 2)]
    for path in (storage.path, backups[0]):
        path.write_bytes(b"")
    assert f"/{backups[1].name})" in fault(storage).remedy
    backups[1].write_bytes(b"{")
    assert "no revision and no backup is readable" in fault(storage).remedy
    assert fault(storage).remedy.endswith("config recover --defaults")


def test_the_last_contents_are_kept_newest_first(path: Path) -> None:
    storage = AtomicJSONStorage(path)
    for number in range(9):
        storage.write({"t": {"1": {"n": number}}})
    backups = [AtomicJSONStorage(f"{path}.bak.{i}").read() for i in range(1, BACKUPS_KEPT + 1)]
    assert backups == [{"t": {"1": {"n": number}}} for number in (7, 6, 5, 4, 3)]
    assert not Path(f"{path}.bak.{BACKUPS_KEPT + 1}").exists()


def test_a_backup_does_not_follow_an_edit_in_place(storage: AtomicJSONStorage) -> None:
    with storage.path.open("r+") as file:
        file.write("edited by hand")
    assert AtomicJSONStorage(f"{storage.path}.bak.1").read() == {"before": {}}


@pytest.mark.parametrize("call", ["fsync", "replace", "link", "fdopen", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_or_failing_disk_leaves_the_old_content(
    storage: AtomicJSONStorage, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(code, os.strerror(code))

    before = storage.path.read_bytes()
    with monkeypatch.context() as injected, storage.locked():
        injected.setattr(os, call, fail)
        with pytest.raises(StorageUnusable, match=os.strerror(code)):
            storage.write(NEW)
    assert storage.path.read_bytes() == before
    assert storage.read() == OLD
    storage.write(NEW)
    assert storage.read() == NEW
    assert not [name for name in names(storage.path.parent) if name.startswith(".")]
    assert AtomicJSONStorage(f"{storage.path}.bak.1").read() == OLD
    assert AtomicJSONStorage(f"{storage.path}.bak.2").read() == {"before": {}}


def test_a_disk_that_fills_up_while_writing_leaves_the_old_content(
    storage: AtomicJSONStorage,
) -> None:
    """Linux's /dev/full fails as a full disk does: when the data is flushed."""
    usual = os.fdopen

    def full_disk(descriptor: int, mode: str) -> Any:
        os.close(descriptor)
        return usual(os.open("/dev/full", os.O_WRONLY), mode)

    with pytest.MonkeyPatch.context() as injected, storage.locked():
        injected.setattr(os, "fdopen", full_disk)
        with pytest.raises(StorageUnusable, match="No space left on device"):
            storage.write(NEW)
    assert storage.read() == OLD


def test_what_json_can_not_say_is_not_written(storage: AtomicJSONStorage) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write({"a": {"1": float("nan")}})
    assert storage.read() == OLD


@pytest.mark.parametrize("target", ["elsewhere.json", "missing.json"])
def test_a_symlink_is_neither_read_nor_replaced(
    storage: AtomicJSONStorage, tmp_path: Path, target: str
) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    storage.path.unlink()
    storage.path.symlink_to(tmp_path / target)
    assert "it is a symbolic link" in fault(storage).message
    with pytest.raises(StorageUnusable, match="it is a symbolic link"):
        storage.write(NEW)
    assert storage.path.is_symlink()
    assert (tmp_path / "elsewhere.json").read_text() == "{}"


def test_a_symlinked_lock_file_is_not_opened(storage: AtomicJSONStorage, tmp_path: Path) -> None:
    lock = Path(f"{storage.path}.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "victim")
    with pytest.raises(StorageUnusable, match="is a symbolic link"):
        storage.write(NEW)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_not_a_regular_file_is_refused_without_waiting(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "config.json"
    make(path)
    assert fault(AtomicJSONStorage(path)).message in {
        "is not a regular file",
        "can't be opened: Is a directory",
    }


def test_a_file_that_may_not_be_read_is_refused(
    storage: AtomicJSONStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    assert fault(storage).message == "can't be opened: Permission denied"


def test_what_a_killed_writer_left_is_swept_by_the_next(storage: AtomicJSONStorage) -> None:
    left_over = storage.path.with_name(".config.json.new-abc")
    left_over.write_bytes(b"{")
    storage.write(NEW)
    assert not left_over.exists()


def test_a_writer_waits_for_another_process_and_says_so_when_that_takes_too_long(
    storage: AtomicJSONStorage,
) -> None:
    program = (
        "import sys; from engine.config.storage import AtomicJSONStorage\n"
        "with AtomicJSONStorage(sys.argv[1]).locked(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(storage.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(StorageUnusable, match="is being changed by another process") as caught,
            AtomicJSONStorage(storage.path, lock_seconds=0.1).locked(),
        ):
            pass
        assert f"{storage.path}.lock" in caught.value.remedy
        other.kill()
    with AtomicJSONStorage(storage.path, lock_seconds=0.1).locked():
        storage.read()


def test_a_write_that_fails_leaves_no_new_file_behind(
    storage: AtomicJSONStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = names(storage.path.parent)
    with monkeypatch.context() as injected:
        injected.setattr(os, "fsync", fail)
        with pytest.raises(StorageUnusable):
            storage.write(NEW)
    assert names(storage.path.parent) == before


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("the disk is odd"), "the disk is odd"),
    ],
)
def test_a_failed_write_says_the_reason_and_nothing_else(
    storage: AtomicJSONStorage, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageUnusable) as failed:
        storage.write(NEW)
    assert failed.value.detail == f"{storage.path} can't be written: {reason}"


def test_a_file_may_be_as_large_as_can_be_read_again_and_no_larger(path: Path) -> None:
    storage = AtomicJSONStorage(path)
    storage.write({"t": {"1": ""}})
    text = "x" * (LARGEST_FILE_BYTES - path.stat().st_size)
    storage.write({"t": {"1": text}})
    assert storage.read() == {"t": {"1": text}}
    with pytest.raises(StorageUnusable, match="would have 16,777,217 bytes"):
        storage.write({"t": {"1": f"{text}x"}})
    assert storage.read() == {"t": {"1": text}}


def test_nobody_else_may_read_the_backup_of_a_file_that_others_could_read(
    storage: AtomicJSONStorage,
) -> None:
    storage.path.chmod(0o644)
    storage.write(NEW)
    assert mode(Path(f"{storage.path}.bak.1")) == 0o600


def test_a_write_that_was_stopped_behind_the_backup_makes_no_second_one(path: Path) -> None:
    storage = AtomicJSONStorage(path)
    storage.write(OLD)
    Path(f"{path}.bak.1").hardlink_to(path)
    storage.write(NEW)
    assert AtomicJSONStorage(f"{path}.bak.1").read() == OLD
    assert not Path(f"{path}.bak.2").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(errno.EIO, "Input/output error"), "Input/output error"), (OSError("odd"), "odd")],
)
def test_a_file_that_can_not_be_set_aside_says_why(
    storage: AtomicJSONStorage, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageUnusable) as failed:
        storage.set_aside()
    assert failed.value.detail == f"{storage.path} can't be renamed: {reason}"
    assert failed.value.remedy == "move it away, and config.json.damaged too"


def test_a_file_that_is_gone_is_set_aside_already(path: Path) -> None:
    AtomicJSONStorage(path).set_aside()
    assert names(path.parent) == {"config.json.lock"}


def test_a_content_is_plain_json_whether_or_not_another_one_has_the_same_records() -> None:
    records = {
        "1": {"id": 1, "text": 'a "quoted"\nline ü\u2028', "list": [], "nested": {"a": [1, {}]}},
        'odd "\n key': {"none": None, "number": 1.5, "list": [True, "\n"]},
        "3": {},
    }
    all_tables: tuple[dict[str, Any], ...] = (
        {},
        {"a": {}},
        {"a": records, "b": 5, "c": [1, [2]], "d": None},
        {"c": {"1": records["1"]}, "a": {**records, "3": {"x": 0}}, "b": {"1": [[]]}},
    )
    known = None
    for tables in (*all_tables, *reversed(all_tables)):
        known = Content.of(tables, known)
        assert known.raw.decode() == json.dumps(tables, indent=1, ensure_ascii=False) + "\n"
        assert known.tables == tables
