"""What a change of the configuration costs, and what its history takes, with many projects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.config import history as history_module
from engine.config import storage as storage_module
from engine.config.history import CHANGES_FROM_BYTES, REVISIONS_OF_ONE_WHOLE
from engine.config.revisions import BY_HAND
from engine.config.store import ConfigurationStore
from engine.errors import ConfigurationError, NotFound
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.model.receiver import Receiver
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.config.reading import Tables
    from engine.model.configuration import Configuration


MANY = 200
"""Projects of which the file is larger than `CHANGES_FROM_BYTES`."""


def store_of(folder: Path) -> ConfigurationStore:
    return ConfigurationStore(folder / "config.json", clock=FixedClock())


def filled(folder: Path, projects: int = MANY) -> ConfigurationStore:
    """Return a store whose file has so many projects, by an edit that is revision 2."""
    store = store_of(folder)
    store.create_default("first start")
    edit(folder, lambda tables: tables.update(projects=records(projects)))
    store.adopt()
    return store


def records(projects: int) -> dict[str, object]:
    made = (Project(f"P{n:04d}", f"Project {n}", (f"alias {n}",)) for n in range(1, projects + 1))
    return {str(n): project.to_record() for n, project in enumerate(made, start=1)}


def edit(folder: Path, change: Callable[[Tables], object]) -> None:
    path = folder / "config.json"
    tables = json.loads(path.read_text())
    change(tables)
    path.write_text(json.dumps(tables, indent=1))


def names(store: ConfigurationStore) -> list[str]:
    return sorted(path.name for path in store.history.folder.iterdir())


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the files that are parsed from now on, and the ids of projects that are checked."""
    done: list[str] = []
    parse_project = Project.parse
    for module in (storage_module, history_module):
        parse_tables = module.parse_tables

        def parse(raw: bytes, parse_tables: Callable[[bytes], Tables] = parse_tables) -> Tables:
            done.append("a file")
            return parse_tables(raw)

        monkeypatch.setattr(module, "parse_tables", parse)

    def check(_: type[Project], raw: Mapping[str, object]) -> Project:
        done.append(str(raw["id"]))
        return parse_project(raw)

    monkeypatch.setattr(Project, "parse", classmethod(check))
    return done


def test_a_change_parses_and_checks_what_it_changes_with_however_many_projects(
    tmp_path: Path, work: list[str]
) -> None:
    costs = []
    for projects in (MANY, 2 * MANY):
        folder = tmp_path / str(projects)
        folder.mkdir()
        store = filled(folder, projects)
        work.clear()
        store.set_enabled(1, False, "anna")
        seen = store.load().projects.project("P0007")
        store.save_project(replace(seen, title="new"), "anna", replacing=seen)
        store.undo("anna")
        store.adopt()
        costs.append(work.copy())
    # Twice each: as it is given or was, and as it is in the file.
    assert costs == [["P0007"] * 4] * 2


def test_of_a_change_of_another_process_only_what_it_changed_is_checked(
    tmp_path: Path, work: list[str]
) -> None:
    store = filled(tmp_path)
    store_of(tmp_path).save_project(Project("NEW"), "berta")
    work.clear()
    assert store.adopt().projects.find("NEW") == "NEW"
    assert work == ["a file", "NEW"]


def test_revisions_of_many_projects_are_listed_without_checking_each_again(
    tmp_path: Path, work: list[str]
) -> None:
    store = filled(tmp_path)
    for title in ("a", "b", "c"):
        store.save_project(
            Project("P0007", title), "anna", replacing=store.load().projects.project("P0007")
        )
    work.clear()
    made = [[d.sentence() for d in revision.made] for revision in store.revisions()]
    assert made[:2] == [["project P0007 title: b → c"], ["project P0007 title: a → b"]]
    assert work.count("a file") == 0
    assert set(work) == {"P0007"}


@pytest.mark.parametrize(("wrong", "right"), [("false", "0"), ("4.0", "4")])
def test_a_value_of_another_kind_that_python_takes_for_equal_is_checked(
    tmp_path: Path, wrong: str, right: str
) -> None:
    store = filled(tmp_path, 1)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"auto_archive": 4', f'"auto_archive": {right}'))
    store.adopt()
    path.write_text(
        path.read_text().replace(f'"auto_archive": {right}', f'"auto_archive": {wrong}')
    )
    with pytest.raises(ConfigurationError, match="is not an auto-archive code"):
        store.adopt()


def test_a_change_that_fails_leaves_nothing_of_itself_in_the_memory_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    before = store.load()
    with monkeypatch.context() as patched:
        patched.setattr(storage_module.AtomicJSONStorage, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            new = Receiver(0, AETitle("CT1"), 8105)
            planned = replace(before, receivers=(*before.receivers, new))
            store.save_plan(planned, before, "anna")
    assert store.load() == before == store_of(tmp_path).load()
    after, _ = store.save_project(Project("NEW"), "anna")
    assert after == store_of(tmp_path).load()


def test_a_large_configuration_is_kept_as_differences_and_every_revision_is_exact(
    tmp_path: Path,
) -> None:
    store = filled(tmp_path)
    was: dict[int, Configuration] = {}
    for number in range(3, 3 + REVISIONS_OF_ONE_WHOLE):
        match number % 4:
            case 0:
                now, _ = store.save_project(Project(f"NEW{number}"), "anna")
            case 1:
                now = store.delete_project(f"NEW{number - 1}", "anna")
            case 2:
                now = store.undo("anna")
            case _:
                now, _ = store.set_enabled(1, not store.load().receivers[0].enabled, "anna")
        was[now.revision] = now
    size = (tmp_path / "config.json").stat().st_size
    whole = [name for name in names(store) if "changes" not in name]
    assert size > CHANGES_FROM_BYTES
    assert whole == ["00000001.json", "00000002.json", "00000052.json"]
    assert sum(path.stat().st_size for path in store.history.folder.iterdir()) < 4 * size
    fresh = store_of(tmp_path)
    assert {number: fresh.revision(number) for number in was} == was
    assert [r.configuration for r in fresh.revisions()][: len(was)] == list(was.values())[::-1]
    assert fresh.adopt() == was[max(was)]
    assert fresh.restore(10, "anna").has_settings_of(was[10])


def test_an_edit_of_the_order_of_records_is_kept_exactly(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.save_project(Project("NEW"), "anna")

    def move(tables: Tables) -> None:
        tables["projects"]["1"] = tables["projects"].pop("1")
        tables["projects"]["2"]["title"] = "moved"

    edit(tmp_path, move)
    moved = store.adopt()
    assert (moved.changed_by, moved.projects.projects[-1].id) == (BY_HAND, "P0001")
    assert store_of(tmp_path).revision(moved.revision) == moved
    assert names(store)[-1] == f"{moved.revision:08d}.json"


def test_tables_that_are_not_known_are_kept_with_whatever_they_are(tmp_path: Path) -> None:
    store = filled(tmp_path)
    odd: dict[str, Any] = {"number": 5, "empty": {}, "nothing": {"1": None}}
    edit(tmp_path, lambda tables: tables.update(odd))
    store.set_enabled(1, False, "anna")
    assert odd.items() <= store_of(tmp_path).history.revision(3).tables.items()
    assert names(store)[-1] == "00000003.json"
    edit(tmp_path, lambda tables: [tables.pop(name) for name in ("nothing", "empty")])
    store.set_enabled(1, True, "anna")
    assert names(store)[-1] == "00000004-changes-of-00000003.json"
    assert {"nothing", "empty"}.isdisjoint(store_of(tmp_path).history.revision(4).tables)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_text("{"), "the file of that revision is not JSON"),
        (lambda file: file.unlink(), "the file of that revision is gone"),
        (
            lambda file: file.write_text(file.read_text().replace("Project 9", "Another 9")),
            "the file of that revision was changed",
        ),
    ],
    ids=["torn", "gone", "changed"],
)
def test_a_damaged_revision_that_others_are_kept_as_changes_of_is_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
    words: str,
) -> None:
    store = filled(tmp_path)
    store.save_project(Project("A"), "anna")
    now, _ = store.save_project(Project("B"), "anna")
    for backup in tmp_path.glob("*.bak.*"):
        backup.unlink()
    damage(tmp_path / "config.history" / "00000002.json")
    fresh = store_of(tmp_path)
    with pytest.raises(NotFound, match=f"revision 3 is damaged.*changes of revision 2.*{words}"):
        fresh.restore(3, "anna")
    # What is in force is kept anew, so that it can be restored.
    assert fresh.adopt() == now
    after, _ = fresh.set_enabled(1, False, "anna")
    assert store_of(tmp_path).revision(5) == after
    assert fresh.undo("anna").has_settings_of(now)
    warned = "revision 2 of the configuration is damaged, and with it 1 that are" in caplog.text
    assert warned == ("JSON" in words)


def test_a_damaged_revision_comes_back_from_a_backup_with_those_that_are_changes_of_it(
    tmp_path: Path,
) -> None:
    store = filled(tmp_path)
    was = [store.load(), *(store.save_project(Project(one), "anna")[0] for one in ("A", "B"))]
    store.history.file(2).write_text("{")
    fresh = store_of(tmp_path)
    assert fresh.restore(2, "anna").has_settings_of(was[0])
    assert [fresh.revision(number) for number in (2, 3, 4)] == was


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"whole": 1, "file": "", "changes": {}}', '{"changes": {"a": 1}}']
)
def test_a_damaged_file_of_changes_takes_no_other_revision(tmp_path: Path, content: str) -> None:
    store = filled(tmp_path)
    was = [store.save_project(Project(project), "anna")[0] for project in ("A", "B", "C")]
    store.history.file(4).write_text(content)
    fresh = store_of(tmp_path)
    with pytest.raises(NotFound, match="the file of revision 4 is damaged"):
        fresh.history.revision(4)
    assert [fresh.revision(3), fresh.revision(5)] == [was[0], was[2]]


def test_the_oldest_revisions_go_but_not_one_that_others_are_changes_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "REVISIONS_KEPT", 3)
    monkeypatch.setattr(history_module, "REVISIONS_OF_ONE_WHOLE", 4)
    store = filled(tmp_path)
    was = {}
    for number in range(3, 10):
        now, _ = store.save_project(Project(f"NEW{number}"), "anna")
        was[number] = now
        kept = store.history.numbers()
        assert kept == list(range(number, max(0, number - 3), -1))
        assert all(store_of(tmp_path).revision(one) == was[one] for one in kept if one in was)
    assert names(store) == [
        "00000006.json",
        "00000007-changes-of-00000006.json",
        "00000008-changes-of-00000006.json",
        "00000009-changes-of-00000006.json",
    ]


def test_a_history_of_whole_files_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    store = filled(tmp_path)
    was = [store.save_project(Project(project), "anna")[0] for project in ("A", "B")]
    tables = {past.number: past.tables for past in store.history.revisions()}
    for file in store.history.folder.iterdir():
        file.unlink()
    for number, kept in tables.items():
        # As it was written until then: ASCII, and no line break at the end.
        text = json.dumps(kept, indent=1)
        (store.history.folder / f"{number:08d}.json").write_text(text)
    fresh = store_of(tmp_path)
    assert fresh.adopt() == was[-1]
    after, _ = fresh.save_project(Project("C"), "anna")
    assert names(fresh)[-1] == "00000005-changes-of-00000004.json"
    assert [r.configuration for r in fresh.revisions()][:3] == [after, *was[::-1]]
    assert fresh.undo("anna").has_settings_of(was[-1])


def test_of_two_files_of_one_revision_which_a_crash_may_leave_the_whole_one_counts(
    tmp_path: Path,
) -> None:
    store = filled(tmp_path)
    now, _ = store.save_project(Project("A"), "anna")
    other = tmp_path / "config.history" / "00000003.json"
    other.write_bytes((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.history" / "00000003-changes-of-00000002.json").write_text("{")
    assert store_of(tmp_path).revision(3) == now
    assert store_of(tmp_path).history.numbers() == [3, 2, 1]
