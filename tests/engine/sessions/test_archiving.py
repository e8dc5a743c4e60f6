"""Project scripts on the way into the archive: what is kept, dropped, refused and held back."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pydicom
import pytest

from engine.dicom.part10 import FileMeta
from engine.errors import ProcessingFailed
from engine.model.anonymization import Anonymization, ScriptScope
from engine.model.configuration import Configuration
from engine.model.project import Project, ProjectRegistry
from engine.sessions.folders.staging import Interrupted
from engine.sessions.service import ProjectScripts
from engine.workers.pool import Workers
from engine.workers.scripts import ScriptRunner, run_script
from tests import dicom
from tests.engine.workers.scripted import leave_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS = ("NEURO-01", "S1", "E1")
SYNTAX = dicom.EXPLICIT_VR_LITTLE_ENDIAN
RENAME = 'version "6.1"\n(0010,0010) := "P"\n'


def step(text: str) -> Anonymization:
    return Anonymization(ScriptScope.PROJECT, text, 3)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptRunner]:
    with closing(Workers(run_script, processes=1)) as workers:
        yield ScriptRunner(tmp_path_factory.mktemp("maps") / "state.sqlite", workers)


@pytest.fixture
def scripts(runner: ScriptRunner) -> ProjectScripts:
    return ProjectScripts(runner, Configuration)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An object, and the empty file that becomes its copy."""
    source, target = tmp_path / "source.dcm", tmp_path / "target.dcm"
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, SYNTAX, "CT", "XNAT").preamble("1.2.3")
    source.write_bytes(meta + dicom.image(SYNTAX, SOPInstanceUID="1.2.3"))
    target.touch()
    return source, target


def test_an_object_that_a_script_changes_is_kept(
    scripts: ProjectScripts, files: tuple[Path, Path]
) -> None:
    assert scripts.run(*files, step(RENAME), LABELS) is True
    assert pydicom.dcmread(files[1]).PatientName == "P"


def test_an_object_that_a_script_rejects_is_not_kept(
    scripts: ProjectScripts, files: tuple[Path, Path]
) -> None:
    assert scripts.run(*files, step('version "6.1"\nreject[]\n'), LABELS) is False


def test_while_scripts_are_held_back_none_begins(
    scripts: ProjectScripts, files: tuple[Path, Path]
) -> None:
    with scripts.held_back(), pytest.raises(Interrupted):
        scripts.run(*files, step(RENAME), LABELS)
    assert files[1].stat().st_size == 0
    assert scripts.run(*files, step(RENAME), LABELS)


def test_a_copy_that_is_no_dicom_file_is_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with closing(Workers(leave_nothing, processes=1)) as workers:
        scripts = ProjectScripts(ScriptRunner(tmp_path / "maps.sqlite", workers), Configuration)
        with pytest.raises(ProcessingFailed, match="it left no DICOM file"):
            scripts.run(*files, step(RENAME), LABELS)


def test_only_a_project_whose_script_is_on_does_anything(runner: ScriptRunner) -> None:
    projects = (
        Project(
            name,
            anonymization_script=RENAME,
            anonymization_script_revision=3,
            anonymization_script_enabled=enabled,
        )
        for name, enabled in (("NEURO-01", True), ("NEURO-02", False))
    )
    configuration = Configuration(projects=ProjectRegistry(tuple(projects)))
    scripts = ProjectScripts(runner, lambda: configuration)
    assert scripts.of("NEURO-01") == step(RENAME)
    assert scripts.of("NEURO-02") is None
    assert scripts.of("NEURO-03") is None
