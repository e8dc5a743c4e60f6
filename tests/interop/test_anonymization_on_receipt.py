"""The site script between a real sender and the disk: when it runs, and what is left if it can't.

The scenarios D1 to D4 are XNAT's (TestDicomSCPDisableAnon), as far as they are about receipt.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pydicom
import pytest

from engine.config.store import ConfigurationStore
from engine.dicom.part10 import FileMeta
from engine.events import (
    AnonymizationNotApplied,
    AnonymizationOutOfForce,
    ConfigurationRefused,
    ObjectsStored,
)
from engine.host.clock import SystemClock
from engine.model.anonymization import SiteScript
from engine.model.project import Project
from engine.settings import Durability, EngineSettings
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.engine.service.test_service import NotingEngine
from tests.peers.pdus import store_message
from tests.peers.peer import Peer
from tests.running import (
    LOOPBACK,
    LOOPBACK_SITE,
    configure,
    engine_process,
    free_port,
    leftovers,
    make_receiver,
    object_rows,
    run_dcmtk,
    sessions,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.running import EngineProcess

NAME = "QUINCE^ZEBEDEE"
UID = "1.2.826.0.1.3680043.8.498.1"
RELABEL = "(0010,0010) := subject\n(0010,0020) := session\n(0008,0018) := hashUID[(0008,0018)]"
FAILING = "(0010,0020) := session\n(0010,0010) := nobody"


@pytest.fixture
def port(tmp_path: Path) -> int:
    port = free_port()
    receivers = (
        make_receiver(name, port, anonymization=on, direct_archive=direct)
        for name, on, direct in (
            ("D1", True, False),
            ("D2", False, False),
            ("D3", True, True),
            ("D4", False, True),
        )
    )
    configure(tmp_path / "data", *receivers, projects=(Project("NEURO-01"),))
    return port


def set_script(data: Path, statements: str, *, enabled: bool = True) -> None:
    script = SiteScript(enabled, f'version "6.1"\n{statements}\n')
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    store.set_site(replace(LOOPBACK_SITE, script=script), "test")


@pytest.fixture
def send(tmp_path: Path, port: int) -> Callable[..., str]:
    """Send one image with storescu and return what that says."""

    def send(called: str, session: str = "", **tags: object) -> str:
        comments = f"Project:NEURO-01 Subject:S1 Session:{session}" if session else None
        meta = FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, "CT1", "ANY")
        file = tmp_path / "sent.dcm"
        data_set = image(PatientName=NAME, PatientComments=comments, **tags)  # type: ignore[arg-type]
        file.write_bytes(meta.preamble(UID) + data_set)
        answer = run_dcmtk("storescu", "-v", "-aec", called, LOOPBACK, str(port), str(file))
        file.unlink()
        return answer.stderr + answer.stdout

    return send


@pytest.fixture
def engine(tmp_path: Path, port: int) -> Iterator[NotingEngine]:
    set_script(tmp_path / "data", RELABEL)
    engine = NotingEngine(EngineSettings(tmp_path / "data", durability=Durability.NONE))
    engine.start()
    yield engine
    engine.stop(drain_seconds=5)


def traces(data: Path) -> list[Path]:
    marks = (NAME.encode(), b"QUINCE_ZEBEDEE")
    files = [path for path in data.rglob("*") if path.is_file()]
    return [f for f in files if any(m in f.read_bytes() + str(f).encode() for m in marks)]


def workers_of(running: EngineProcess) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def test_scripts_run_where_anonymization_is_on(
    engine: NotingEngine, tmp_path: Path, send: Callable[..., str]
) -> None:
    for called in ("D1", "D2", "D3", "D4"):
        assert "Received Store Response (Success)" in send(called, called)
    archived = (tmp_path / "data" / "archive").rglob("*.dcm")
    files = [*stored_files(tmp_path / "data"), *archived]
    found = {file.parts[-5]: pydicom.dcmread(file) for file in files}
    names = {session: str(ds.PatientName) for session, ds in found.items()}
    assert names == {"D1": "S1", "D2": NAME, "D3": "S1", "D4": NAME}
    changed = {session for session, ds in found.items() if ds.SOPInstanceUID != UID}
    assert changed == {"D1", "D3"}
    engine._index.flush()
    assert {row.sop_instance_uid for row in engine._index.objects()} == {UID}
    assert not engine.told(AnonymizationNotApplied)


def test_without_a_script_in_force_it_is_said_that_none_is(engine: NotingEngine) -> None:
    site = engine.site()
    engine.set_site(replace(site, script=replace(site.script, enabled=False)), "anna")
    (told,) = engine.told(AnonymizationOutOfForce)
    assert isinstance(told, AnonymizationOutOfForce)
    assert {label.partition(":")[0] for label in told.receivers} == {"D1", "D3"}


def test_a_script_broken_by_hand_is_refused_and_the_last_good_one_stays(
    engine: NotingEngine, tmp_path: Path, send: Callable[..., str]
) -> None:
    file = tmp_path / "data" / "config.json"
    tables = json.loads(file.read_text())
    tables["site"]["1"]["anonymization_script"] = 'version "6.1"\n- (0010,\n'
    file.write_text(json.dumps(tables))
    engine.wait_until("self.snapshot().configuration_problem")
    (refused,) = engine.told(ConfigurationRefused)
    assert "site.anonymization_script line 2 column" in refused.sentence()
    assert "Received Store Response (Success)" in send("D1", "E1")
    (stored,) = stored_files(tmp_path / "data")
    assert pydicom.dcmread(stored).PatientName == "S1"


def test_what_a_script_rejects_is_a_success_for_its_sender(
    engine: NotingEngine, tmp_path: Path, send: Callable[..., str]
) -> None:
    script = replace(engine.site().script, text='version "6.1"\nreject[]\n')
    engine.set_site(replace(engine.site(), script=script), "anna")
    assert "Received Store Response (Success)" in send("D1")
    totals = engine.snapshot().totals
    assert (totals.received, totals.stored, totals.filtered) == (1, 0, 1)
    assert engine._associations.wait_until_none(10)
    sentences = [event.sentence() for event in engine.told(ObjectsStored)]
    assert sentences == ["1 object filtered (0.0 MB)"]
    assert engine.snapshot().receivers[0].failed_today == 0
    assert (stored_files(tmp_path / "data"), traces(tmp_path / "data")) == ([], [])


def test_after_an_error_nothing_of_the_patient_is_anywhere(
    tmp_path: Path, send: Callable[..., str]
) -> None:
    data = tmp_path / "data"
    set_script(data, FAILING)
    with engine_process(data, 4) as running:
        for number in ("1", "2"):
            assert "0x110" in send("D1", InstanceNumber=number)
        assert "0x110" in send("D1", PatientBirthDate="19610218", StudyDescription=NAME)
        assert traces(data) == []
        workers = workers_of(running)
        assert workers
        assert running.terminate() == 0
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert (traces(data), leftovers(data), stored_files(data)) == ([], [], [])
    assert (sessions(data), {row.state for row in object_rows(data)}) == ((), {"failed"})
    log = (data / "logs" / "events.jsonl").read_text()
    assert "site script line 3" in log
    assert not list((data / "quarantine").rglob("*.dcm"))


def test_no_process_survives_a_kill_of_the_engine(tmp_path: Path, send: Callable[..., str]) -> None:
    data = tmp_path / "data"
    set_script(data, RELABEL)
    with engine_process(data, 4) as running:
        assert "Received Store Response (Success)" in send("D1", "E1")
        workers = workers_of(running)
        assert workers
        running.kill()
        assert psutil.wait_procs(workers, timeout=10)[1] == []


def open_files(running: EngineProcess, data: Path) -> list[Path]:
    """Return the files below the data directory that the engine has open, deleted ones as well."""
    opened = [fd for fd in Path(f"/proc/{running.process.pid}/fd").iterdir() if fd.is_file()]
    return [fd for fd in opened if str(fd.readlink()).startswith(f"{data}/")]


def test_what_identifies_a_patient_is_never_on_the_disk_not_even_after_a_kill(
    tmp_path: Path, port: int, send: Callable[..., str]
) -> None:
    data = tmp_path / "data"
    set_script(data, RELABEL)
    pixels = bytes(range(256)) * 16_000
    labels = "Project:NEURO-01 Subject:S1 Session:E0"
    arriving = store_message(
        image(PatientName=NAME, PatientID=NAME, PatientComments=labels, pixels=pixels)
    )
    with engine_process(data, 4) as running, Peer(port) as peer:
        peer.request("D1").expect_accept()
        peer.send(arriving[:-100_000])
        running.wait_until(lambda: sum(file.stat().st_size for file in leftovers(data)) > 3_500_000)
        deleted = [file for file in open_files(running, data) if NAME.encode() in file.read_bytes()]
        assert (traces(data), deleted) == ([], [])
        running.kill()
        assert traces(data) == []
    with engine_process(data, 4) as running:
        assert leftovers(data) == []
        with Peer(port) as peer:
            peer.request("D1").expect_accept().send(arriving).expect_status(0)
        assert "Received Store Response (Success)" in send("D1", "E1")
        assert running.terminate() == 0
    assert traces(data) == []
    large, _ = sorted(stored_files(data), key=lambda file: -file.stat().st_size)
    assert pydicom.dcmread(large).PixelData == pixels
