"""What an engine requires of its data directory before it writes there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.errors import StorageUnusable
from engine.host import data_directory
from engine.host.data_directory import access_faults, deep_faults, prepare, require_one_file_system
from engine.host.owner import owner_of, user
from engine.settings import Durability, EngineSettings
from tests.caller import Caller
from tests.running import LOOPBACK, configure, engine_process, free_port, held_below, make_receiver


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    made = EngineSettings(tmp_path / "data")
    prepare(made)
    return made


def test_a_directory_that_was_just_made_is_its_owners_alone(settings: EngineSettings) -> None:
    assert list(access_faults(settings)) == []
    assert list(deep_faults(settings)) == []
    assert {p.stat().st_mode & 0o777 for p in settings.data_dir.iterdir()} == {0o750}
    prepare(settings)


@pytest.mark.parametrize(
    "name", ["incoming", "prearchive", "trash", "quarantine", "logs", "config.history",
             "config.json", "format.json", "index.sqlite", "index.sqlite-wal", "control.token",
             "trace.key", "logs/events.jsonl", "control.sock", "sessions.bell", "config.json.lock",
             "config.json.bak.1", "logs/events.jsonl.1", "logs/metrics.prom", "logs/commands",
             "state.sqlite-wal", "study-routes.sqlite"],
)  # fmt: skip
def test_a_link_in_the_place_of_what_is_opened_by_name_is_refused(
    settings: EngineSettings, tmp_path: Path, name: str
) -> None:
    path = settings.data_dir / name
    if path.exists():
        path.rmdir()
    path.symlink_to(tmp_path)
    with pytest.raises(StorageUnusable, match=f"{name} is a symbolic link") as refused:
        prepare(settings)
    assert refused.value.remedy == "put what it leads to in its place"


@pytest.mark.parametrize(
    "name", ["archive.old", "archive.1", "lost+found", "config.json.old", ".config.json.swp"]
)
def test_what_people_put_into_the_directory_is_not_checked(
    settings: EngineSettings, tmp_path: Path, name: str
) -> None:
    (settings.data_dir / name).symlink_to(tmp_path)
    prepare(settings)


def test_all_that_an_engine_makes_in_its_directory_is_checked(tmp_path: Path) -> None:
    settings, port = EngineSettings(tmp_path / "data"), free_port()
    configure(settings.data_dir, make_receiver("XNAT", port))
    control = f"{LOOPBACK}:{free_port()}"
    with engine_process(settings.data_dir, 1, "--control-tcp", control) as engine:
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            caller.release()
        found = [settings.data_dir, *settings.data_dir.iterdir(), *settings.log_dir.iterdir()]
        assert {"control.sock", "control.token", "index.sqlite-wal"} <= {p.name for p in found}
        assert engine.terminate() == 0
    found += [*settings.data_dir.iterdir(), *settings.log_dir.iterdir()]
    for path in {*found} - {settings.data_dir}:
        if not path.exists():
            path.touch()
        path.chmod(path.stat().st_mode | stat.S_IWOTH)
    settings.data_dir.chmod(0o757)
    writable = {fault.path for fault in access_faults(settings) if "written" in fault.what}
    assert writable == {*found}


def test_the_data_directory_itself_may_be_reached_by_a_link(
    settings: EngineSettings, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(settings.data_dir)
    prepare(EngineSettings(tmp_path / "link"))


def test_what_belongs_to_another_user_is_named_with_the_remedy(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owner_of(settings.data_dir)
    other = user(owner.uid + 1, 7)
    settings.index_file.touch()
    monkeypatch.setattr(data_directory, "owner_of", lambda _: other)
    faults = {fault.path.name: fault for fault in access_faults(settings)}
    assert faults["index.sqlite"].what == f"belongs to {owner}, not to {other}"
    remedy = f"chown -hR {other.uid}:{other.gid} {settings.index_file}"
    assert faults["index.sqlite"].remedy == remedy
    with pytest.raises(StorageUnusable, match=f"data belongs to {other}, not to the user of this"):
        prepare(settings)


def test_a_configuration_that_root_keeps_is_read(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.config_file.touch()
    monkeypatch.setattr(data_directory, "ROOT", os.getuid())
    other = user(os.getuid() + 1)
    monkeypatch.setattr(data_directory, "owner_of", lambda _: other)
    assert "config.json" not in {fault.path.name for fault in access_faults(settings)}


def test_what_every_user_may_write_is_found_at_any_depth(settings: EngineSettings) -> None:
    session = settings.prearchive_dir / "NEURO" / "s1"
    session.mkdir(parents=True)
    (session / "link").symlink_to("/etc")
    (session / "object.dcm").touch()
    (session / "object.dcm").chmod(0o666)
    found = {fault.path.name: fault for fault in deep_faults(settings)}
    assert found["object.dcm"].remedy == f"chmod o-w {session}/object.dcm"
    assert found["link"].what == "is a symbolic link"
    assert len(found) == 2


def test_a_folder_that_its_owner_may_not_write_is_refused(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engine.host.data_directory.os.access", lambda path, _: path != settings.trash_dir
    )
    with pytest.raises(StorageUnusable, match="trash is not writable"):
        prepare(settings)


def test_the_names_of_a_new_directory_are_flushed_once_they_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: dict[Path, set[str]] = {}

    def fsync(descriptor: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed[folder] = {entry.name for entry in folder.iterdir()}

    monkeypatch.setattr(os, "fsync", fsync)
    data = tmp_path / "data"
    prepare(EngineSettings(data, durability=Durability.NONE))
    assert flushed == {}
    prepare(EngineSettings(data))
    assert flushed == {tmp_path: {"data"}, data: {entry.name for entry in data.iterdir()}}
    assert held_below(tmp_path) == 0


@pytest.mark.timeout(10)
def test_what_can_not_be_flushed_stops_the_engine_and_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageUnusable, match="pipe can't be flushed: Invalid argument"):
        data_directory._flush(tmp_path / "pipe")


def test_a_directory_above_that_may_not_be_listed_is_not_ours_to_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_it = os.open

    def deny(path: Path, *how: int) -> int:
        if path == tmp_path:
            raise PermissionError
        return open_it(path, *how)

    monkeypatch.setattr(os, "open", deny)
    prepare(EngineSettings(tmp_path / "data"))
    assert (tmp_path / "data" / "prearchive").is_dir()


def test_nothing_is_made_while_the_storage_is_not_mounted(tmp_path: Path) -> None:
    settings = EngineSettings(tmp_path / "data", marker="mounted")
    with pytest.raises(StorageUnusable, match="has no file mounted"):
        prepare(settings)
    assert list(tmp_path.iterdir()) == []
    settings.data_dir.mkdir()
    (settings.data_dir / "mounted").touch()
    prepare(settings)
    assert settings.prearchive_dir.is_dir()


def test_a_new_directory_is_ours_whoever_has_the_one_above(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    prepare(EngineSettings(tmp_path / "data"))
    assert (tmp_path / "data").stat().st_uid == os.getuid()


def test_nothing_is_made_in_a_directory_of_another_user(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(data_directory, "owner_of", lambda _: user(os.getuid() + 1))
    monkeypatch.setattr(data_directory, "_make", made.append)
    with pytest.raises(StorageUnusable, match="not to the user of this engine"):
        prepare(settings)
    assert made == []


def test_a_directory_that_can_not_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnusable, match="file/data can't be created: Not a directory"):
        prepare(EngineSettings(tmp_path / "file" / "data"))


def test_what_arrives_and_where_it_belongs_are_on_one_file_system(
    settings: EngineSettings,
) -> None:
    settings.incoming_dir.mkdir()
    require_one_file_system(settings)
    settings.archive_dir.rmdir()
    settings.archive_dir.symlink_to("/proc")
    with pytest.raises(StorageUnusable, match="incoming and archive are on different file systems"):
        require_one_file_system(settings)
