"""Revisions are kept, told field by field, and can be brought back; conflicts are never lost."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.config.history import REVISIONS_KEPT, History, flush_directory
from engine.config.reading import Content
from engine.config.revisions import BY_HAND
from engine.config.store import ConfigurationStore
from engine.errors import ChangedMeanwhile, ConfigurationError, NotFound
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.model.receiver import Receiver
from tests.fakes import FixedClock

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
NOTHING = Content.of({})
CT1 = Receiver(0, AETitle("CT1"), 8105)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: FixedClock) -> ConfigurationStore:
    return ConfigurationStore(tmp_path / "config.json", clock=clock)


def told(store: ConfigurationStore) -> list[tuple[int, str, list[str]]]:
    return [
        (r.configuration.revision, r.configuration.changed_by, [d.sentence() for d in r.made])
        for r in store.revisions()
    ]


def edit_by_hand(store: ConfigurationStore, path: Path, port: int) -> None:
    tables = json.loads(path.read_text())
    tables["receivers"]["1"]["port"] = port
    path.write_text(json.dumps(tables))


def test_every_change_is_a_revision_with_author_and_differences(
    store: ConfigurationStore,
) -> None:
    store.create_default("first start")
    _, ct1 = store.save_receiver(CT1, "anna")
    store.save_receiver(replace(ct1, port=8106, whitelist=("A",)), "berta")
    store.delete_receiver(ct1.id, "anna from 10.0.0.5")
    assert told(store) == [
        (4, "anna from 10.0.0.5", ["receiver CT1:8106 removed"]),
        (3, "berta", ["receiver CT1:8105 port: 8105 → 8106", "receiver CT1:8105 whitelist: +A"]),
        (2, "anna", ["receiver CT1:8105 added"]),
        (1, "first start", ["receiver XNAT:8104 added"]),
    ]


def test_a_call_that_changes_nothing_is_no_revision(store: ConfigurationStore) -> None:
    (receiver,) = store.create_default("first start").receivers
    store.save_receiver(receiver, "anna")
    assert [number for number, _, _ in told(store)] == [1]


def test_undo_takes_back_the_newest_change_as_a_new_revision(store: ConfigurationStore) -> None:
    before = store.create_default("first start")
    store.save_receiver(CT1, "anna")
    after = store.undo("berta")
    assert (after.revision, after.changed_by) == (3, "berta")
    assert after.receivers == before.receivers
    assert told(store)[0] == (3, "berta", ["receiver CT1:8105 removed"])


def test_an_undo_can_be_undone(store: ConfigurationStore) -> None:
    store.create_default("first start")
    changed, _ = store.save_receiver(CT1, "anna")
    store.undo("anna")
    assert store.undo("anna").receivers == changed.receivers


def test_undo_without_an_earlier_revision_says_so(store: ConfigurationStore) -> None:
    store.create_default("first start")
    with pytest.raises(NotFound, match="nothing to undo"):
        store.undo("anna")


def test_a_restored_receiver_keeps_its_id_and_new_ones_get_others(
    store: ConfigurationStore,
) -> None:
    store.create_default("first start")
    _, ct1 = store.save_receiver(CT1, "anna")
    store.delete_receiver(ct1.id, "anna")
    assert store.restore(2, "anna").receiver(ct1.id) == ct1
    _, other = store.save_receiver(replace(CT1, port=8200), "anna")
    assert other.id == ct1.id + 1


def test_a_revision_that_is_not_kept_is_not_found(store: ConfigurationStore) -> None:
    store.create_default("first start")
    with pytest.raises(NotFound, match="revision 7 is not kept"):
        store.restore(7, "anna")


def test_a_hand_edit_becomes_a_revision_of_its_own_before_the_next_change(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    edit_by_hand(store, tmp_path / "config.json", 8200)
    store.save_project(Project("NEURO-01"), "anna")
    assert told(store)[:2] == [
        (3, "anna", ["project NEURO-01 added"]),
        (2, BY_HAND, ["receiver XNAT:8104 port: 8104 → 8200"]),
    ]


def test_an_engine_adopts_a_hand_edit_once(store: ConfigurationStore, tmp_path: Path) -> None:
    store.create_default("first start")
    assert store.adopt().revision == 1
    edit_by_hand(store, tmp_path / "config.json", 8200)
    assert store.adopt().revision == 2
    assert store.adopt().revision == 2


def test_an_invalid_hand_edit_is_refused_and_not_kept(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    edit_by_hand(store, tmp_path / "config.json", 99999)
    with pytest.raises(ConfigurationError):
        store.adopt()
    assert store.history.numbers() == [1]


@pytest.mark.usefixtures("in_utc")
def test_a_receiver_changed_meanwhile_is_not_overwritten_and_the_author_is_named(
    store: ConfigurationStore, clock: FixedClock
) -> None:
    (seen,) = store.create_default("first start").receivers
    clock.advance(60)
    store.save_receiver(replace(seen, port=8200), "berta", replacing=seen)
    store.save_project(Project("NEURO-01"), "carla")
    with pytest.raises(ChangedMeanwhile) as refused:
        store.save_receiver(replace(seen, anonymization=False), "anna", replacing=seen)
    assert refused.value.detail == (
        "XNAT:8200 was changed by berta at 2026-08-24 14:04:22: "
        "receiver XNAT:8104 port: 8104 → 8200"
    )
    assert store.load().receivers[0].port == 8200


def test_a_receiver_edited_by_hand_meanwhile_is_not_overwritten(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    (seen,) = store.create_default("first start").receivers
    edit_by_hand(store, tmp_path / "config.json", 8200)
    with pytest.raises(ChangedMeanwhile, match=f"by {BY_HAND}"):
        store.save_receiver(replace(seen, enabled=False), "anna", replacing=seen)


def test_a_change_elsewhere_is_no_conflict(store: ConfigurationStore) -> None:
    (seen,) = store.create_default("first start").receivers
    store.save_receiver(CT1, "berta")
    _, saved = store.save_receiver(replace(seen, port=8200), "anna", replacing=seen)
    assert saved.port == 8200


def test_several_receivers_are_saved_in_one_revision(store: ConfigurationStore) -> None:
    seen = store.create_default("first start")
    receivers = (*seen.receivers, CT1, replace(CT1, port=8106))
    after = store.save_plan(replace(seen, receivers=receivers), seen, "import")
    assert after.revision == 2
    assert [receiver.label for receiver in after.receivers][1:] == ["CT1:8105", "CT1:8106"]


def test_of_several_receivers_with_a_conflict_none_is_saved(store: ConfigurationStore) -> None:
    seen = store.create_default("first start")
    with pytest.raises(ConfigurationError, match="AE title and port are record 2's already"):
        store.save_plan(replace(seen, receivers=(CT1, CT1)), seen, "import")
    assert store.load().revision == 1


def test_a_history_that_can_not_be_written_does_not_stop_a_change(
    store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_default("first start")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(History, "keep", fail)
    configuration, _ = store.save_receiver(CT1, "anna")
    assert configuration.revision == 2


def test_a_revision_that_could_not_be_kept_is_no_edit_of_somebody_else(
    store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.create_default("first start")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(History, "keep", fail)
        store.save_receiver(CT1, "anna")
    assert "revision 2 is not kept" in caplog.text
    adopted = store.adopt()
    assert (adopted.revision, adopted.changed_by) == (2, "anna")
    assert store.history.numbers() == [2, 1]


def test_an_unacceptable_newest_revision_in_the_history_holds_up_no_change(
    store: ConfigurationStore,
) -> None:
    store.create_default("first start")
    file = store.history.file(1)
    file.write_text(file.read_text().replace("8104", "99999"))
    assert store.save_receiver(CT1, "anna")[0].revision == 2


def test_a_kept_revision_whose_bookkeeping_is_no_record_holds_up_no_change(
    store: ConfigurationStore,
) -> None:
    store.create_default("first start")
    store.history.file(1).write_text('{"meta": {"1": 5}}')
    assert store.save_receiver(CT1, "anna")[0].revision == 2


def test_a_store_without_a_history_has_no_revisions(store: ConfigurationStore) -> None:
    assert list(store.revisions()) == []


def test_revisions_older_than_one_do_not_have_it(store: ConfigurationStore) -> None:
    for number in range(4):
        store.save_project(Project(f"NEURO-{number}"), "anna")
    assert [past.number for past in store.history.revisions(3)] == [2, 1]
    assert [r.configuration.revision for r in store.revisions(3)] == [2, 1]


def test_a_backup_that_is_copied_back_becomes_a_revision_and_later_ones_get_new_numbers(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    (xnat,) = store.create_default("first start").receivers
    store.set_enabled(xnat.id, False, "anna")
    shutil.copy(tmp_path / "config.json.bak.1", tmp_path / "config.json")
    store.save_receiver(CT1, "berta")
    assert told(store) == [
        (4, "berta", ["receiver CT1:8105 added"]),
        (3, BY_HAND, ["receiver XNAT:8104 enabled: off → on"]),
        (2, "anna", ["receiver XNAT:8104 enabled: on → off"]),
        (1, "first start", ["receiver XNAT:8104 added"]),
    ]
    assert (store.adopt().revision, store.adopt().changed_by) == (4, "berta")
    undone = store.undo("clara")
    assert [(r.label, r.enabled) for r in undone.receivers] == [("XNAT:8104", True)]


def test_an_id_is_not_given_again_after_a_backup_was_copied_back(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    _, ct1 = store.save_receiver(CT1, "anna")
    shutil.copy(tmp_path / "config.json.bak.1", tmp_path / "config.json")
    assert store.save_receiver(replace(CT1, port=8200), "berta")[1].id == ct1.id + 1
    (tmp_path / "config.json").unlink()
    first = [one for one in store.recoverable() if one.configuration.revision == 1]
    store.recover(first[0], "clara")
    assert store.save_receiver(CT1, "clara")[1].id == ct1.id + 2


def test_a_file_without_bookkeeping_gets_the_next_number(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    store.save_receiver(CT1, "anna")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"meta": {}}))
    assert store.adopt().revision == 3
    assert store.save_project(Project("NEURO-01"), "anna")[0].revision == 4


def test_a_number_whose_file_is_damaged_is_not_given_again(store: ConfigurationStore) -> None:
    store.create_default("first start")
    store.history.file(7).write_text("{")
    assert store.save_receiver(CT1, "anna")[0].revision > 7


@pytest.mark.parametrize("content", ["", '{"meta": {'])
def test_a_damaged_history_file_of_what_is_in_force_is_written_anew(
    store: ConfigurationStore, content: str
) -> None:
    before = store.create_default("first start")
    store.history.file(1).write_text(content)
    store.adopt()
    assert store.revision(1) == before
    store.save_receiver(CT1, "anna")
    assert store.undo("anna").receivers == before.receivers


def test_a_damaged_history_file_of_an_earlier_revision_is_written_anew_from_a_backup(
    store: ConfigurationStore,
) -> None:
    before = store.create_default("first start")
    store.save_receiver(CT1, "anna")
    store.history.file(1).write_text("")
    assert store.undo("anna").receivers == before.receivers
    assert store.revision(1) == before


def test_a_damaged_history_file_without_a_backup_is_named_and_nothing_else_is_undone(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    store.save_receiver(CT1, "anna")
    store.save_project(Project("NEURO-01"), "anna")
    store.history.file(2).write_text("")
    for backup in tmp_path.glob("*.bak.*"):
        backup.unlink()
    with pytest.raises(NotFound, match="the file of revision 2 is damaged") as damaged:
        store.undo("anna")
    assert damaged.value.remedy == "choose another revision; kept revisions: 1 to 3"
    assert store.load().revision == 3


def test_a_change_and_its_revision_are_on_the_disk_with_their_names_when_it_returns(
    store: ConfigurationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str, bool]] = []
    real_flush, real_replace = os.fsync, os.replace

    def flush(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        done.append(("flush", name, os.fstat(descriptor).st_size > 0))
        real_flush(descriptor)

    def rename(old: str, new: Path) -> None:
        done.append(("name", new.name, ("flush", Path(old).name, True) in done))
        real_replace(old, new)

    store.create_default("first start")
    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    store.save_receiver(CT1, "anna")
    names = ("config.json", "00000002.json")
    named = [at for at, (what, name, _) in enumerate(done) if what == "name" and name in names]
    assert [done[at] for at in named] == [("name", name, True) for name in names]
    assert [done[at + 1][:2] for at in named] == [
        ("flush", tmp_path.name),
        ("flush", "config.history"),
    ]


def test_the_folder_of_the_history_is_not_for_others_and_its_name_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", note)
    umask = os.umask(0)
    try:
        History(tmp_path / "history").keep(1, NOTHING)
    finally:
        os.umask(umask)
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o750
    assert flushed[0] == tmp_path
    assert flushed[-1] == tmp_path / "history"


@pytest.mark.timeout(10)
def test_only_a_directory_is_flushed_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        flush_directory(tmp_path / "file")


def test_a_revision_that_can_not_be_named_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    history = History(tmp_path / "history")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        history.keep(1, NOTHING)
    assert list(history.folder.iterdir()) == []


def test_a_revision_whose_new_file_is_swept_away_meanwhile_reports_the_first_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(old: str, _new: object) -> None:
        Path(old).unlink()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        History(tmp_path / "history").keep(1, NOTHING)


@pytest.mark.parametrize(
    "content", ["[]", "null", '"text"', "[" * 200_000], ids=["list", "null", "text", "deep"]
)
def test_a_history_file_that_is_no_object_of_tables_is_damaged(
    store: ConfigurationStore, tmp_path: Path, content: str
) -> None:
    store.create_default("first start")
    store.history.file(9).write_text(content)
    with pytest.raises(NotFound, match="the file of revision 9 is damaged"):
        store.restore(9, "anna")


def test_only_so_many_revisions_are_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    for number in range(1, 6):
        history.keep(number, NOTHING)
    history.keep(REVISIONS_KEPT + 3, NOTHING)
    assert history.numbers()[-1] == 1
    for number in range(6, REVISIONS_KEPT + 3):
        (tmp_path / "history" / f"{number:08d}.json").write_text("{}")
    history.keep(REVISIONS_KEPT + 4, NOTHING)
    assert len(history.numbers()) == REVISIONS_KEPT
    assert history.numbers()[0] == REVISIONS_KEPT + 4


def test_a_file_of_another_name_is_no_fault_when_the_oldest_revisions_go(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.keep(2, NOTHING)
    for name in ("1.json", *(f"{number:08d}.json" for number in range(3, REVISIONS_KEPT + 2))):
        (history.folder / name).write_text("{}")
    history.keep(REVISIONS_KEPT + 2, NOTHING)
    assert history.numbers()[-2:] == [4, 3]
    assert (history.folder / "1.json").exists()


def test_a_torn_history_file_is_passed_over(store: ConfigurationStore, tmp_path: Path) -> None:
    store.create_default("first start")
    store.save_receiver(CT1, "anna")
    (tmp_path / "config.history" / "00000002.json").write_text("{")
    assert [number for number, _, _ in told(store)] == [1]
    assert store.load().revision == 2


def test_site_settings_changed_meanwhile_are_not_overwritten(store: ConfigurationStore) -> None:
    seen = store.create_default("first start").site
    store.set_site(replace(seen, bind_address="10.0.0.1"), "berta", replacing=seen)
    with pytest.raises(ChangedMeanwhile, match="the site was changed by berta"):
        store.set_site(replace(seen, allow_low_ports=True), "anna", replacing=seen)
    assert store.load().site.bind_address == "10.0.0.1"


def test_undo_after_a_hand_edit_takes_back_that_edit_only(
    store: ConfigurationStore, tmp_path: Path
) -> None:
    store.create_default("first start")
    store.save_receiver(CT1, "anna")
    edit_by_hand(store, tmp_path / "config.json", 8200)
    assert [r.label for r in store.undo("anna").receivers] == ["XNAT:8104", "CT1:8105"]


def test_no_revision_is_kept_through_a_link(
    store: ConfigurationStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "config.history").symlink_to(outside)
    store.save_project(Project("NEURO-01"), "anna")
    assert list(outside.iterdir()) == []
    assert "revision 1 is not kept" in caplog.text
