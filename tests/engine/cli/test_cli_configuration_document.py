"""The configuration as a document on the command line: written, checked, compared and applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.model.alerts import AlertSettings, AlertTarget
from engine.model.project import Project
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run

ADDRESS = "https://hooks.example/T0KEN"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dock"


def test_an_exported_configuration_is_edited_and_applied_as_one_revision(
    run: Run, store: ConfigurationStore, folder: Path
) -> None:
    store.create_default("first start")
    alerts = AlertSettings((AlertTarget("ops", webhook=ADDRESS),))
    store.set_site(SiteSettings(alerts=alerts), "anna")
    store.save_project(Project("P1", anonymization_script='version "6.1"\n'), "anna")

    written = run("config", "export", "-o", str(folder), "--json").data
    assert written["files"] == ["dicomdock.toml", "scripts/project-P1.das"]
    assert written["secrets"] == ["secrets/alert-ops-webhook"]
    document = folder / "dicomdock.toml"
    assert "T0KEN" not in document.read_text()
    assert (folder / "scripts/project-P1.das").read_text() == 'version "6.1"\n'

    told = run("config", "validate", str(folder))
    assert told.code == 0
    assert "is valid: 1 receiver, 1 project, 0 processors, 0 peers" in told.err
    assert "not read: site.alerts.targets[ops].webhook" in told.err
    assert run("config", "apply", str(folder)).code == 2

    (folder / "secrets").mkdir()
    (folder / "secrets/alert-ops-webhook").write_text(f"{ADDRESS}\n")
    told = run("config", "apply", str(document), "--dry-run", "--prune", "--json")
    assert (told.code, told.data["changed"], told.data["revision"]) == (0, False, 3)

    document.write_text(document.read_text().replace("port = 8104", "port = 8105"))
    (folder / "secrets/alert-ops-webhook").write_text(f"{ADDRESS}2\n")
    told = run("config", "apply", str(document), "--dry-run")
    assert told.code == 10
    assert "receiver XNAT:8105 added" in told.out
    assert store.load().revision == 3

    applied = run("config", "apply", str(document), "--prune", "--exit-code", "--json")
    assert (applied.code, applied.data["changed"], applied.data["revision"]) == (10, True, 4)
    assert "T0KEN" not in applied.out
    again = run("config", "apply", str(document), "--prune", "--exit-code")
    assert (again.code, again.out) == (0, "")
    assert "nothing to change; revision 4" in again.err

    history = run("config", "history", "--limit", "1")
    assert "T0KEN" not in history.out
    assert "says: config apply dicomdock.toml" in history.out
    assert [one.label for one in store.load().receivers] == ["XNAT:8105"]
    assert store.load().site.alerts.targets[0].webhook == f"{ADDRESS}2"


def test_without_a_folder_the_document_is_one_text(run: Run, store: ConfigurationStore) -> None:
    store.save_project(Project("P1", anonymization_script='version "6.1"\n'), "anna")
    told = run("config", "export")
    assert "anonymization_script = '''\nversion" in told.out


def test_all_faults_of_a_document_are_told_and_nothing_is_changed(
    run: Run, store: ConfigurationStore, folder: Path
) -> None:
    folder.with_suffix(".toml").write_text(
        '[[receivers]]\nae_title = "A"\nport = 80\n[[processors]]\nlabel = "x"\n'
        'processor_class = "absent"\n[[projects]]\nid = "unassigned"\n'
    )
    for verb in ("validate", "apply"):
        told = run("config", verb, str(folder.with_suffix(".toml")))
        assert told.code == 2
        assert "receivers[A:80].port" in told.err
        assert "projects[unassigned].id" in told.err
    assert store.load().revision == 0


def test_a_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = run("config", "export", "-o", str(tmp_path / "file"))
    assert (told.code, "name another folder" in told.err) == (2, True)
