"""Receivers with other identifiers, of ours and of another distribution, and a real sender."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from engine.api import ReceiverState
from engine.app.demo.sender import CT_SCANNER, study
from engine.cli import main
from engine.events import ObjectRefused, ReceiverFailed
from engine.model.project import Project
from engine.model.study_route import StudyRoute
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from engine.state.routes import StudyRoutes
from tests.engine.cli.outcome import Outcome
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    configure,
    engine_process,
    free_port,
    make_receiver,
    object_rows,
    sessions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from engine.index.writer import ObjectRow

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
PLUGIN = Path(__file__).parents[1] / "plugin_distribution"
PROJECTS = (Project("NEURO-01", aliases=("neuro",)), Project("CARDIO"))
FIXED = {
    "identifier": "fixedProjectSubject",
    "identifier_settings": (("project", "neuro"), ("subject", "S1")),
}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(tmp_path / "data", durability=Durability.NONE)


@pytest.fixture
def engine(settings: EngineSettings, port: int) -> Iterator[Engine]:
    receivers = (
        make_receiver("FIXED", port, **FIXED),
        make_receiver("ROUTED", port, identifier="studyRouting"),
    )
    configure(settings.data_dir, *receivers, projects=PROJECTS)
    engine = Engine(settings)
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


def images(number: int, count: int = 1, **values: Any) -> list[Dataset]:
    """Return the first images of a study with this number, with other values."""
    values |= {"StudyInstanceUID": f"1.2.3.{number}"}
    found = [ds for ds, _ in zip(study(CT_SCANNER, number, "CARDIO", NOW), range(count))]  # noqa: B905
    for ds in found:
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return found


def send(port: int, called: str, *objects: Dataset) -> list[int | None]:
    to = Destination(LOOPBACK, port, called, "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        return [peer.send(ds) for ds in objects]


def filed(settings: EngineSettings) -> set[tuple[str | None, str | None, str]]:
    return {(s.project, s.subject, s.label) for s in sessions(settings.data_dir)}


def rows(engine: Engine, settings: EngineSettings) -> tuple[ObjectRow, ...]:
    engine._index.flush()
    return object_rows(settings.data_dir)


def test_each_study_to_a_fixed_subject_is_a_session_of_its_own(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    for number in (1, 2, 1):
        assert send(port, "FIXED", *images(number, 2)) == [0, 0]
    assert send(port, "FIXED", *images(3, Modality="MR")) == [0]
    assert filed(settings) == {
        ("NEURO-01", "S1", "S1_CT1"),
        ("NEURO-01", "S1", "S1_CT2"),
        ("NEURO-01", "S1", "S1_MR1"),
    }


def test_objects_of_one_study_on_many_associations_at_once_get_one_label(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    together = threading.Barrier(6)

    def deliver(number: int) -> list[int | None]:
        (ds,) = images(number % 3)
        together.wait(20)
        return send(port, "FIXED", ds)

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(deliver, range(6))) == [[0]] * 6
    assert {label for _, _, label in filed(settings)} == {"S1_CT1", "S1_CT2", "S1_CT3"}
    rows(engine, settings)
    assert {s.objects for s in sessions(settings.data_dir)} == {2}


def test_an_announced_study_is_relabelled_and_others_wait_as_unassigned(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    (announced,), (stranger,) = images(1), images(2, PatientName="Doe^Jane", StudyID="V7")
    with StudyRoutes(settings.state_file) as routes:
        route = StudyRoute(announced.StudyInstanceUID, "neuro", "S042", "S042_v01")
        routes.add([route], "anna", NOW)
    assert send(port, "ROUTED", announced, stranger) == [0, 0]
    assert filed(settings) == {("NEURO-01", "S042", "S042_v01"), (None, "Doe_Jane", "V7")}
    reasons = {row.reason for row in rows(engine, settings)}
    assert reasons == {"", "no route was announced for the study"}


def test_a_route_that_is_announced_between_two_objects_counts_from_then(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    first, second = images(1, 2, PatientName="Doe^Jane", StudyID="V7")
    assert send(port, "ROUTED", first) == [0]
    with StudyRoutes(settings.state_file) as routes:
        routes.add([StudyRoute(first.StudyInstanceUID, "CARDIO")], "anna", NOW)
    assert send(port, "ROUTED", second) == [0]
    assert filed(settings) == {(None, "Doe_Jane", "V7"), ("CARDIO", "Doe_Jane", "V7")}


def test_a_project_that_is_deleted_while_running_leaves_its_objects_unassigned(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    engine.delete_project("NEURO-01", "anna")
    assert send(port, "FIXED", *images(1)) == [0]
    assert filed(settings) == {(None, "S1", "S1_CT1")}
    (row,) = rows(engine, settings)
    assert row.reason == "the receiver's project 'neuro' does not exist"


def test_projects_are_saved_and_deleted_while_running(engine: Engine) -> None:
    saved = engine.save_project(Project("HEART"), "anna")
    changed = engine.save_project(Project("HEART", "Heart"), "berta", replacing=saved)
    assert changed in engine.projects()
    engine.delete_project("HEART", "anna")
    assert changed not in engine.projects()


def test_a_receiver_whose_identifier_is_gone_says_so_and_disturbs_no_other(
    settings: EngineSettings, port: int
) -> None:
    configure(settings.data_dir, make_receiver("FIXED", port, **FIXED), make_receiver("X", port),
              projects=PROJECTS)  # fmt: skip
    file = settings.config_file
    file.write_text(file.read_text().replace("dicomObjectIdentifier", "goneIdentifier"))
    engine = Engine(settings)
    engine.start()
    try:
        good, bad = engine.snapshot().receivers
        assert (good.state, bad.state) == (ReceiverState.LISTENING, ReceiverState.FAILED)
        assert bad.failure is not None
        assert "unknown DICOM Object Identifier 'goneIdentifier'" in bad.failure.reason
        assert send(port, "FIXED", *images(1)) == [0]
        told = [r.event for r in engine.events_since(0, 100).events]
        assert [e.receiver for e in told if isinstance(e, ReceiverFailed)] == [f"X:{port}"]
        mended = replace(bad.receiver, identifier="dicomObjectIdentifier")
        saved = engine.save_receiver(mended, "anna", replacing=bad.receiver)
        assert saved.identifier == "dicomObjectIdentifier"
        assert engine.snapshot().receivers[1].state is ReceiverState.LISTENING
    finally:
        engine.stop(drain_seconds=0)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the other distribution into a folder of its own, without any network."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
               "--no-build-isolation", "--disable-pip-version-check", "--target", str(target),
               str(PLUGIN)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


@pytest.fixture
def with_plugins(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and further ones have the other distribution, too."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.syspath_prepend(str(installed))


def run(settings: EngineSettings, *arguments: str) -> Outcome:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["--data", str(settings.data_dir), *arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.mark.usefixtures("with_plugins")
def test_a_plugin_is_one_more_choice_and_a_broken_one_says_why(
    settings: EngineSettings, port: int
) -> None:
    plugins = run(settings, "plugins", "--json")
    assert plugins.code == 1
    errors = {plugin["id"]: plugin["said"] or plugin["error"] for plugin in plugins.data["plugins"]}
    assert errors.pop("brokenIdentifier").startswith("ModuleNotFoundError: No module named")
    assert errors.pop("brokenProcessor").startswith("ModuleNotFoundError: No module named")
    assert errors.pop("nameless").startswith("its template: has no ${…}")
    assert set(errors.values()) == {""}
    assert {"stationIdentifier", "stationProcessor", "stationNamer"} < set(errors)
    line = next(s for s in run(settings, "plugins").out.splitlines() if "broken" in s).split()
    assert line[:4] == ["brokenIdentifier", "identifiers", "dicomdock-example", "2.5"]
    configure(settings.data_dir, projects=PROJECTS)
    add = ("receivers", "add", "--ae-title", "X", "--port", str(port), "--identifier")
    refused = run(settings, *add, "brokenIdentifier", "--json")
    assert "can't be used: ModuleNotFoundError" in refused.error["problems"][0]["message"]
    station = (*add, "stationIdentifier", "--identifier-setting")
    assert run(settings, *station, "project=NOPE").code == 2
    assert run(settings, *station, "project=neuro").code == 0
    with engine_process(settings.data_dir, 1, "--durability", "none") as running:
        sent = send(port, "X", *images(1, StationName="CT 7"), *images(2))
        assert running.terminate() == 0
    assert sent == [0, 0x0110]
    assert filed(settings) == {("NEURO-01", "CT_7", "S0001_CT_01")}
    reasons = [row.reason for row in object_rows(settings.data_dir)]
    assert reasons[0].startswith("identifier stationIdentifier failed: LookupError in station.py")


@pytest.mark.usefixtures("with_plugins")
def test_a_processor_and_a_file_namer_of_another_distribution_are_used(
    settings: EngineSettings, port: int
) -> None:
    receiver = replace(make_receiver("X", port), custom_processing=True, file_namer="stationNamer")
    configure(settings.data_dir, receiver, projects=PROJECTS)
    add = ("processors", "add", "--label", "Stations", "--class", "stationProcessor", "--set")
    assert "is longer than a station name" in run(settings, *add, f"station={'S' * 17}").err
    assert run(settings, *add, "station=CT 7").code == 0
    seen, unwanted = images(1, StationName="CT 8")[0], images(2, StationName="CT 7")[0]
    with engine_process(settings.data_dir, 1, "--durability", "none") as running:
        assert send(port, "X", seen, unwanted) == [0, 0]
        assert running.terminate() == 0
    (file,) = (settings.data_dir / "prearchive").rglob("*.dcm")
    assert file.name == f"CT_8-{seen.SOPInstanceUID}.dcm"
    assert dcmread(file).PatientComments == "seen for CARDIO"
    rows = {row.reason for row in object_rows(settings.data_dir)}
    assert "rejected by processor Stations: made by a station that is not wanted" in rows


@pytest.mark.usefixtures("with_plugins")
def test_an_engine_with_a_broken_plugin_runs_and_names_it(
    settings: EngineSettings, port: int
) -> None:
    configure(settings.data_dir, make_receiver("X", port), make_receiver("Y", port),
              projects=PROJECTS)  # fmt: skip
    file = settings.config_file
    content = file.read_text().replace("dicomObjectIdentifier", "brokenIdentifier", 1)
    file.write_text(content)
    with engine_process(settings.data_dir, 2, "--durability", "none") as running:
        assert any("X:" in s and "brokenIdentifier can't be used: ModuleNotFoundError" in s
                   for s in running.started_with)  # fmt: skip
        assert send(port, "Y", *images(1)) == [0]
        status = run(settings, "status", "--json").data["receivers"]
        assert [r["state"] for r in status] == ["failed", "listening"]
        assert "can't be used" in status[0]["reason"]
        assert running.terminate() == 0
    log = (settings.log_dir / "events.jsonl").read_text()
    assert "plugin brokenIdentifier of dicomdock-example 2.5 can't be used" in log
    assert ObjectRefused.__name__ not in log
