"""A lost or broken configuration is never replaced by an empty one, and can be restored."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.config.history import newest_number
from engine.config.store import ConfigurationStore
from engine.errors import ConfigurationError, CorruptConfiguration, StorageUnusable
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
CT1 = Receiver(0, AETitle("CT1"), 8105)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def store(path: Path) -> ConfigurationStore:
    """Revision 1 is of the first start, 2 of anna, 3 of berta."""
    store = ConfigurationStore(path, clock=FixedClock(NOW))
    store.create_default("first start")
    _, ct1 = store.save_receiver(CT1, "anna")
    store.save_receiver(replace(ct1, whitelist=("A",)), "berta")
    return store


def lose(path: Path) -> None:
    path.unlink()


def tear(path: Path) -> None:
    path.write_text('{"meta": {')


def empty(path: Path) -> None:
    path.write_text("")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to(path.with_name("elsewhere.json"))


def break_a_value(path: Path) -> None:
    path.write_text(path.read_text().replace('"port": 8105', '"port": 99999'))


DAMAGES = (lose, tear, empty, link, break_a_value)


@pytest.mark.parametrize(
    "act",
    [
        ConfigurationStore.load,
        ConfigurationStore.adopt,
        lambda store: store.create_default("first start"),
        lambda store: store.save_receiver(CT1, "carla"),
        lambda store: store.undo("carla"),
        lambda store: store.restore(1, "carla"),
    ],
    ids=["load", "adopt", "start", "save", "undo", "restore"],
)
def test_a_missing_file_with_a_past_is_an_error_that_names_what_restores_it(
    store: ConfigurationStore, path: Path, act: Callable[[ConfigurationStore], object]
) -> None:
    lose(path)
    with pytest.raises(CorruptConfiguration) as lost:
        act(store)
    (problem,) = lost.value.problems
    signs = "config.json.bak.1, config.history"
    assert problem.message == f"is missing, but was there once: see {signs}"
    assert problem.remedy.startswith("restore revision 3 of 2026-08-24")
    assert problem.remedy.endswith(f"with: dicomdock --data {path.parent} config recover")
    assert not path.exists()


def _only_backups(path: Path) -> None:
    shutil.rmtree(path.with_name("config.history"))


def _only_history(path: Path) -> None:
    for backup in path.parent.glob("config.json.bak.*"):
        backup.unlink()


def _only_an_index(path: Path) -> None:
    _only_backups(path)
    _only_history(path)
    path.with_name("index.sqlite").touch()


@pytest.mark.parametrize("left", [_only_backups, _only_history, _only_an_index])
def test_backups_a_history_or_an_index_are_a_past(
    store: ConfigurationStore, path: Path, left: Callable[[Path], None]
) -> None:
    lose(path)
    left(path)
    index = path.with_name("index.sqlite")
    other = ConfigurationStore(path, clock=FixedClock(NOW), in_use=[index])
    with pytest.raises(CorruptConfiguration, match="is missing, but"):
        other.create_default("first start")
    assert not path.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_newest_revision_comes_back_with_its_number_and_author(
    store: ConfigurationStore, path: Path, damage: Callable[[Path], None]
) -> None:
    good = store.load()
    damage(path)
    with pytest.raises(ConfigurationError):
        store.load()
    recovered = store.recover(next(store.recoverable()), "carla")
    assert recovered == store.load() == store.adopt() == good
    assert (recovered.revision, recovered.changed_by) == (3, "berta")
    assert [r.whitelist for r in store.undo("carla").receivers] == [(), ()]


def test_a_broken_file_is_kept_under_another_name_and_no_backup_is_lost(
    store: ConfigurationStore, path: Path
) -> None:
    backups = {file.name: file.read_bytes() for file in path.parent.glob("*.bak.*")}
    tear(path)
    store.recover(next(store.recoverable()), "carla")
    assert path.with_name("config.json.damaged").read_text() == '{"meta": {'
    assert {file.name: file.read_bytes() for file in path.parent.glob("*.bak.*")} == backups


def test_a_broken_file_that_can_not_be_renamed_stays(store: ConfigurationStore, path: Path) -> None:
    tear(path)
    path.with_name("config.json.damaged").mkdir()
    with pytest.raises(StorageUnusable, match="can't be renamed"):
        store.recover(next(store.recoverable()), "carla")
    assert path.read_text() == '{"meta": {'


def test_an_earlier_revision_comes_back_as_a_new_one(store: ConfigurationStore, path: Path) -> None:
    lose(path)
    first = [one for one in store.recoverable() if one.configuration.revision == 1]
    recovered = store.recover(first[0], "carla")
    assert (recovered.revision, recovered.changed_by) == (4, "carla")
    assert [receiver.label for receiver in recovered.receivers] == ["XNAT:8104"]
    assert len(store.undo("carla").receivers) == 2


def test_the_defaults_are_a_new_revision_too(store: ConfigurationStore, path: Path) -> None:
    lose(path)
    recovered = store.recover(None, "carla")
    assert (recovered.revision, recovered.changed_by) == (4, "carla")
    assert [receiver.label for receiver in recovered.receivers] == ["XNAT:8104"]


def test_a_backup_helps_where_the_history_is_damaged(store: ConfigurationStore, path: Path) -> None:
    lose(path)
    for number in (1, 2, 3):
        store.history.file(number).write_text("{")
    found = [(one.configuration.revision, one.file.name) for one in store.recoverable()]
    assert found == [(2, "config.json.bak.1"), (1, "config.json.bak.2")]
    assert store.recover(next(store.recoverable()), "carla").revision == 4
    assert newest_number(path) == 4


def test_each_revision_is_offered_once_and_what_is_not_acceptable_is_not(
    store: ConfigurationStore, path: Path
) -> None:
    break_a_value(store.history.file(3))
    found = [(one.configuration.revision, one.file.name) for one in store.recoverable()]
    assert found == [(2, "00000002.json"), (1, "00000001.json")]


def test_a_revision_whose_script_can_not_run_any_more_is_not_offered(
    store: ConfigurationStore, path: Path
) -> None:
    tables = json.loads(path.read_text())
    script = {"anonymization_script": "no script", "anonymization_script_enabled": True}
    tables["projects"] = {"1": {"id": "NEURO-01", **script}}
    store.history.file(3).write_text(json.dumps(tables))
    lose(path)
    assert next(store.recoverable()).configuration.revision == 2


def test_where_nothing_is_left_the_defaults_are_the_first_revision(path: Path) -> None:
    store = ConfigurationStore(path, clock=FixedClock(NOW))
    tear(path)
    assert list(store.recoverable()) == []
    recovered = store.recover(None, "carla")
    assert (recovered.revision, recovered.changed_by) == (1, "carla")
    assert path.with_name("config.json.damaged").exists()


def test_a_recovery_of_the_newest_revision_mends_its_damaged_file_in_the_history(
    store: ConfigurationStore, path: Path
) -> None:
    shutil.copy(path, path.with_name("config.json.bak.1"))
    store.history.file(3).write_text("{")
    tear(path)
    newest = next(store.recoverable())
    assert newest.file.name == "config.json.bak.1"
    recovered = store.recover(newest, "carla")
    assert store.revision(3) == recovered == newest.configuration


@pytest.mark.usefixtures("in_utc")
def test_a_revision_without_a_time_is_named_without_it(
    store: ConfigurationStore, path: Path
) -> None:
    newest = next(store.recoverable())
    assert newest.words == "revision 3 of 2026-08-24 14:03:22 (config.history/00000003.json)"
    timeless = replace(newest, configuration=replace(newest.configuration, changed_at=None))
    assert timeless.words == "revision 3 (config.history/00000003.json)"
