"""The configuration store: each change is one new revision, checked against the file as it is."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tinydb import TinyDB

from engine.config.history import PastRevision
from engine.config.revisions import Draft
from engine.config.storage import AtomicJSONStorage
from engine.config.store import ConfigurationStore
from engine.errors import (
    ChangedMeanwhile,
    ConfigurationError,
    CorruptConfiguration,
    InvalidProject,
    InvalidReceiver,
    InvalidSite,
    NotFound,
    StorageUnusable,
)
from engine.model.anonymization import SiteScript
from engine.model.configuration import Configuration
from engine.model.peer import AETitle
from engine.model.plugins import IdentifierInfo
from engine.model.project import AutoArchive, Project
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings
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
    return ConfigurationStore(path, clock=FixedClock(NOW))


def test_without_a_file_there_are_the_defaults_and_still_no_file(
    store: ConfigurationStore, path: Path
) -> None:
    assert store.load() == Configuration()
    assert not path.exists()


def test_a_fresh_installation_has_one_receiver(store: ConfigurationStore) -> None:
    configuration = store.create_default("anna")
    (receiver,) = configuration.receivers
    assert receiver == Receiver(1, AETitle("XNAT"), 8104)
    assert configuration == store.load()
    assert (configuration.revision, configuration.changed_by) == (1, "anna")
    assert configuration.changed_at == NOW


def test_the_default_is_never_added_where_receivers_were_deleted(
    store: ConfigurationStore,
) -> None:
    (receiver,) = store.create_default("first start").receivers
    store.delete_receiver(receiver.id, "anna")
    assert store.create_default("second start").receivers == ()


def test_the_default_joins_what_was_configured_before_the_first_start(
    store: ConfigurationStore,
) -> None:
    store.save_project(Project("NEURO-01"), "anna")
    configuration = store.create_default("first start")
    assert [receiver.label for receiver in configuration.receivers] == ["XNAT:8104"]
    assert len(configuration.projects.projects) == 1
    assert store.create_default("second start") == configuration


def test_the_default_never_touches_configured_receivers(
    store: ConfigurationStore, path: Path
) -> None:
    mine = '{"receivers": {"1": {"ae_title": "MINE", "port": 8200}}}'
    path.write_text(mine)
    assert [r.label for r in store.create_default("anna").receivers] == ["MINE:8200"]
    assert path.read_text() == mine


def test_a_receiver_is_inserted_and_gets_an_id(store: ConfigurationStore) -> None:
    store.create_default("anna")
    configuration, saved = store.save_receiver(CT1, "berta")
    assert saved == replace(CT1, id=2)
    assert [r.label for r in configuration.receivers] == ["XNAT:8104", "CT1:8105"]
    assert (configuration.revision, configuration.changed_by) == (2, "berta")
    assert configuration == store.load()


def test_a_receiver_is_replaced_as_a_whole(store: ConfigurationStore) -> None:
    _, saved = store.save_receiver(replace(CT1, whitelist=("A",), whitelist_enabled=True), "anna")
    changed = replace(saved, port=8200, whitelist=(), anonymization=False)
    configuration, again = store.save_receiver(changed, "anna")
    assert again == changed
    assert store.load() == configuration
    assert configuration.receivers == (changed,)


def test_an_id_is_not_given_again_after_a_deletion(store: ConfigurationStore) -> None:
    """A dialog that was opened before must not overwrite a receiver that came after."""
    _, first = store.save_receiver(CT1, "anna")
    store.delete_receiver(first.id, "anna")
    _, second = store.save_receiver(CT1, "anna")
    assert (first.id, second.id) == (1, 2)
    with pytest.raises(NotFound):
        store.save_receiver(first, "anna")


def test_a_conflict_with_the_file_as_it_is_now_is_refused(
    store: ConfigurationStore, path: Path
) -> None:
    ConfigurationStore(path, clock=FixedClock(NOW)).save_receiver(CT1, "berta")
    with pytest.raises(InvalidReceiver, match="receiver CT1:8105 exists already"):
        store.save_receiver(CT1, "anna")
    assert store.load().revision == 1


@pytest.mark.parametrize(
    "receiver",
    [
        replace(CT1, port=80),
        replace(CT1, identifier="nope"),
        replace(CT1, ae_title=AETitle("A\\B")),
    ],
)
def test_a_receiver_that_was_not_checked_before_is_checked_here(
    store: ConfigurationStore, path: Path, receiver: Receiver
) -> None:
    with pytest.raises(InvalidReceiver):
        store.save_receiver(receiver, "anna")
    assert not path.exists()


def test_other_identifiers_may_be_installed(path: Path) -> None:
    identifiers = (IdentifierInfo("plugin", "A plug-in", can_route=False),)
    store = ConfigurationStore(path, clock=FixedClock(NOW), identifiers=identifiers)
    _, saved = store.save_receiver(replace(CT1, identifier="plugin"), "anna")
    assert saved.identifier == "plugin"


def test_a_receiver_is_disabled_and_enabled(store: ConfigurationStore) -> None:
    _, saved = store.save_receiver(CT1, "anna")
    configuration, off = store.set_enabled(saved.id, False, "anna")
    assert off == replace(saved, enabled=False) == configuration.receiver(saved.id)
    assert store.set_enabled(saved.id, True, "anna")[1] == saved
    assert store.load().revision == 3


def test_projects_are_added_and_removed(store: ConfigurationStore) -> None:
    brain = Project("BRAIN", "Brain", ("b",))
    assert store.save_project(brain, "anna")[0].projects.projects == (brain,)
    assert store.load().projects.find("b") == "BRAIN"
    assert store.delete_project("BRAIN", "anna").projects.projects == ()
    assert store.load().revision == 2


@pytest.mark.parametrize(
    ("project", "field"),
    [
        (Project("BRAIN"), "id"),
        (Project("b"), "id"),
        (Project("HEART", aliases=("BRAIN",)), "aliases"),
        (Project("HEART", aliases=("b",)), "aliases"),
        (Project("not an id"), "id"),
    ],
)
def test_a_project_name_belongs_to_one_project(
    store: ConfigurationStore, project: Project, field: str
) -> None:
    store.save_project(Project("BRAIN", aliases=("b",)), "anna")
    with pytest.raises(InvalidProject) as caught:
        store.save_project(project, "anna")
    assert [problem.field for problem in caught.value.problems] == [field]
    assert store.load().revision == 1


def test_a_project_is_replaced_as_its_editor_saw_it(store: ConfigurationStore) -> None:
    _, seen = store.save_project(Project("BRAIN", aliases=("b",)), "anna")
    changed = replace(seen, title="Brain", aliases=("c",), auto_archive=AutoArchive.MANUAL)
    configuration, saved = store.save_project(changed, "berta", replacing=seen)
    assert saved == changed == configuration.projects.project("BRAIN")
    assert (store.load(), configuration.revision) == (configuration, 2)
    with pytest.raises(ChangedMeanwhile, match="project BRAIN was changed by berta"):
        store.save_project(replace(seen, title="Head"), "anna", replacing=seen)
    store.delete_project("BRAIN", "anna")
    with pytest.raises(NotFound):
        store.save_project(changed, "berta", replacing=saved)


def test_a_project_keeps_its_id_and_takes_nobody_elses_names(store: ConfigurationStore) -> None:
    _, brain = store.save_project(Project("BRAIN", aliases=("b",)), "anna")
    store.save_project(Project("HEART", aliases=("h",)), "anna")
    for changed in (replace(brain, id="HEAD"), replace(brain, aliases=("b", "h"))):
        with pytest.raises(InvalidProject):
            store.save_project(changed, "anna", replacing=brain)
    assert store.load().revision == 2


def test_a_script_names_the_revision_that_brought_it(store: ConfigurationStore, path: Path) -> None:
    def script() -> tuple[str, int]:
        project = store.load().projects.project("BRAIN")
        return project.anonymization_script, project.anonymization_script_revision

    one, two = (f'version "6.1"\n(0010,0010) := "{name}"\n' for name in ("one", "two"))
    store.save_project(Project("OTHER"), "anna")
    _, bare = store.save_project(Project("BRAIN"), "anna")
    first = replace(bare, anonymization_script=one, anonymization_script_revision=99)
    _, saved = store.save_project(first, "anna", replacing=bare)
    assert script() == (one, 3)
    _, titled = store.save_project(replace(saved, title="Brain"), "anna", replacing=saved)
    assert script() == (one, 3)
    store.save_project(replace(titled, anonymization_script=two), "anna", replacing=titled)
    assert script() == (two, 5)
    store.undo("anna")
    assert script() == (one, 6)
    path.write_text(path.read_text().replace("one", "by hand"))
    store.adopt()
    assert script() == (one.replace("one", "by hand"), 7)


def test_the_history_tells_of_projects(store: ConfigurationStore) -> None:
    _, seen = store.save_project(Project("BRAIN"), "anna")
    changed = replace(
        seen, anonymization_script='version "6.1"\n-(0010,0010)', auto_archive=AutoArchive.MANUAL
    )
    store.save_project(changed, "anna", replacing=seen)
    store.delete_project("BRAIN", "anna")
    told = [[d.sentence() for d in revision.made] for revision in store.revisions()]
    assert told == [
        ["project BRAIN removed"],
        [
            "project BRAIN auto_archive: 4 → 0",
            'project BRAIN anonymization_script: +version "6.1", +-(0010,0010)',
        ],
        ["project BRAIN added"],
    ]


def test_site_settings_are_replaced(store: ConfigurationStore) -> None:
    site = SiteSettings(allow_low_ports=True, bind_address="127.0.0.1")
    assert store.set_site(site, "anna").site == site == store.load().site
    _, saved = store.save_receiver(replace(CT1, port=104), "anna")
    assert saved.port == 104


def test_the_sites_script_names_the_revision_that_brought_it(store: ConfigurationStore) -> None:
    site = SiteSettings(bind_address="127.0.0.1")
    assert store.set_site(site, "anna").site.script.revision == 0
    text = 'version "6.1"\n(0010,0010) := "P"\n'
    scripted = replace(site, script=SiteScript(True, text, 99))
    assert store.set_site(scripted, "anna").site.script == SiteScript(True, text, 2)
    store.save_project(Project("NEURO-01"), "anna")
    assert store.load().site.script.revision == 2


def test_a_site_that_was_written_without_a_script_has_one_of_no_revision(
    store: ConfigurationStore, path: Path
) -> None:
    path.write_text('{"site": {"1": {"allow_low_ports": true}}}')
    store.save_project(Project("NEURO-01"), "anna")
    assert store.load().site.script == SiteScript()


def test_site_settings_are_refused_while_a_receiver_needs_the_old_ones(
    store: ConfigurationStore,
) -> None:
    store.set_site(SiteSettings(allow_low_ports=True), "anna")
    before, _ = store.save_receiver(replace(CT1, port=104), "anna")
    with pytest.raises(ConfigurationError, match=r"receivers\[CT1:104\].port"):
        store.set_site(SiteSettings(), "anna")
    assert store.load() == before


def test_a_site_setting_is_checked(store: ConfigurationStore) -> None:
    with pytest.raises(InvalidSite):
        store.set_site(SiteSettings(bind_address="here"), "anna")


MISSING: list[Callable[[ConfigurationStore], object]] = [
    lambda store: store.save_receiver(replace(CT1, id=9), "anna"),
    lambda store: store.set_enabled(9, True, "anna"),
    lambda store: store.delete_receiver(9, "anna"),
    lambda store: store.delete_project("NOPE", "anna"),
]
UNCHANGED: list[Callable[[ConfigurationStore], object]] = [
    lambda store: store.create_default("berta"),
    lambda store: store.save_receiver(store.load().receivers[0], "berta"),
    lambda store: store.set_enabled(1, True, "berta"),
    lambda store: store.set_site(SiteSettings(), "berta"),
]


@pytest.mark.parametrize("change", MISSING)
def test_what_does_not_exist_can_not_be_changed(
    store: ConfigurationStore, path: Path, change: Callable[[ConfigurationStore], object]
) -> None:
    store.create_default("anna")
    before = path.read_bytes()
    with pytest.raises(NotFound):
        change(store)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", UNCHANGED)
def test_a_change_that_changes_nothing_writes_nothing(
    store: ConfigurationStore, path: Path, change: Callable[[ConfigurationStore], object]
) -> None:
    store.create_default("anna")
    before = path.stat()
    change(store)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"receivers": {',
        '{"receivers": {"1": {"ae_title": "A"}}}',
        '{"meta": {"1": {"schema": 2}}}',
    ],
)
def test_a_file_that_is_not_acceptable_is_neither_loaded_nor_changed(
    store: ConfigurationStore, path: Path, content: str
) -> None:
    path.write_text(content)
    for action in (store.load, lambda: store.save_receiver(CT1, "anna")):
        with pytest.raises(ConfigurationError):
            action()
    assert path.read_text() == content


def test_a_newer_schema_names_the_file(store: ConfigurationStore, path: Path) -> None:
    path.write_text('{"meta": {"1": {"schema": 2}}}')
    with pytest.raises(CorruptConfiguration, match=str(path)):
        store.load()


def test_a_change_keeps_what_this_version_does_not_know(
    store: ConfigurationStore, path: Path
) -> None:
    unknown: dict[str, Any] = {
        "schedules": {"1": {"later": [1, {"x": None}]}},
        "note": "by hand",
        "meta": {"1": {"revision": 5, "origin": "ansible"}},
    }
    path.write_text(json.dumps(unknown))
    store.save_receiver(CT1, "anna")
    written = json.loads(path.read_text())
    assert written["schedules"] == unknown["schedules"]
    assert written["note"] == "by hand"
    assert written["meta"]["1"]["origin"] == "ansible"
    assert written["meta"]["1"]["revision"] == 6
    assert store.load().revision == 6


def test_a_file_written_by_hand_needs_no_bookkeeping(store: ConfigurationStore, path: Path) -> None:
    path.write_text('{"receivers": {"7": {"ae_title": "CT1", "port": "8105"}}}')
    assert store.load().receivers == (replace(CT1, id=7),)
    assert store.save_receiver(replace(CT1, port=8106), "anna")[1].id == 8


def test_the_order_of_the_file_is_kept(store: ConfigurationStore) -> None:
    for number in range(12):
        store.save_receiver(replace(CT1, port=8200 + number), "anna")
    configuration = store.load()
    assert [receiver.id for receiver in configuration.receivers] == list(range(1, 13))


def test_a_data_directory_that_can_not_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ConfigurationStore(tmp_path / "file" / "config.json", clock=FixedClock(NOW))
    assert store.load() == Configuration()
    with pytest.raises(StorageUnusable):
        store.create_default("anna")


@pytest.mark.parametrize("same", [True, False], ids=["one store", "two stores"])
def test_a_change_waits_for_another_and_is_made_on_top_of_it(
    store: ConfigurationStore, path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    has_read, may_write, waits = threading.Event(), threading.Event(), threading.Event()
    store.create_default("anna")

    class HeldDraft(Draft):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if not has_read.is_set():
                has_read.set()
                assert may_write.wait(20)

    def pause(_: float) -> None:
        waits.set()
        may_write.wait(20)

    monkeypatch.setattr("engine.config.revisions.Draft", HeldDraft)
    monkeypatch.setattr("engine.config.storage.time.sleep", pause)
    other = store if same else ConfigurationStore(path, clock=FixedClock(NOW))
    first = threading.Thread(target=store.save_receiver, args=(CT1, "anna"))
    second = threading.Thread(target=other.save_project, args=(Project("NEURO-01"), "berta"))
    first.start()
    assert has_read.wait(20)
    second.start()
    second_waits = waits.wait(20)
    may_write.set()
    first.join()
    second.join()
    assert second_waits
    now = store.load()
    assert (len(now.receivers), len(now.projects.projects)) == (2, 1)


def test_a_change_of_any_number_of_steps_is_one_write_of_the_database(path: Path) -> None:
    storage = AtomicJSONStorage(path)
    draft = Draft(storage, PastRevision(0, {}), lambda _: Configuration())
    for number in range(1100):
        draft.put_single("site", {"name": f"Site {number}"})
    assert not path.exists()
    draft.save(draft.configuration)
    with TinyDB(path, access_mode="r") as database:
        assert database.table("site").all() == [{"name": "Site 1099"}]


def test_of_a_file_with_other_faults_the_fields_are_named_and_not_the_file(
    store: ConfigurationStore, path: Path
) -> None:
    path.write_text('{"site": {"1": {"limits": {"associations": 0}}}}')
    with pytest.raises(ConfigurationError) as refused:
        store.load()
    assert [problem.field for problem in refused.value.problems] == ["site.limits.associations"]


@pytest.mark.parametrize(
    "tables",
    [
        {"site": {"1": {"api_token": "s3cret"}}},
        {"projects": {"1": {"id": "P1", "api_token": "s3cret"}}},
        {"receivers": {"1": {"ae_title": "A", "port": 8104, "tls_key_password": "s3cret"}}},
        {"processors": {"1": {"label": "A", "processor_class": "b", "password": "s3cret"}}},
    ],
    ids=lambda tables: next(iter(tables)),
)
def test_an_error_about_an_unknown_member_shows_no_secret(
    store: ConfigurationStore, path: Path, tables: dict[str, Any]
) -> None:
    path.write_text(json.dumps(tables))
    with pytest.raises(ConfigurationError, match="remove it") as caught:
        store.load()
    assert "s3cret" not in f"{caught.value}{caught.value.problems}"
