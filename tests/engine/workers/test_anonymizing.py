"""The site script on receipt: what is stored is anonymized, and what can't be is not stored."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pydicom
import pytest

from engine.anonymize import recorded
from engine.dicom.part10 import FileMeta
from engine.events import AnonymizationFailed
from engine.model.anonymization import Anonymization, ScriptScope, SiteScript
from engine.model.project import Project
from engine.model.session import ObjectState, ProjectScript
from engine.model.site import SiteSettings
from engine.workers.pool import Workers
from engine.workers.resources import uid_maps_in
from engine.workers.scripts import ScriptJob, ScriptResult, ScriptVerdict, run_script
from tests import dicom
from tests.engine.intake.test_pipeline import RECEIVER, REQUESTED, Bench, open_bench
from tests.engine.workers.scripted import (
    OUT_OF_SPACE,
    die_half_way,
    die_half_way_once,
    find_no_space,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ScriptWorkers = Workers[ScriptJob, ScriptResult]
    Scripted = Callable[..., Bench]

NAME = "QUINCE^ZEBEDEE"
RELABEL = "(0010,0010) := subject\n(0010,0020) := session\n(0008,1030) := project"
REVISION = 12
EXPLICIT = dicom.EXPLICIT_VR_LITTLE_ENDIAN


@pytest.fixture(scope="module")
def workers() -> Iterator[ScriptWorkers]:
    with closing(Workers(run_script, processes=1)) as workers:
        yield workers


@pytest.fixture
def scripted(tmp_path: Path, workers: ScriptWorkers) -> Iterator[Scripted]:
    with ExitStack() as opened:

        def scripted(statements: str, workers: ScriptWorkers = workers) -> Bench:
            script = SiteScript(True, f'version "6.1"\n{statements}\n', REVISION)
            return opened.enter_context(open_bench(tmp_path, SiteSettings(script=script), workers))

        yield scripted


def image(syntax: str = EXPLICIT, **tags: object) -> bytes:
    labels = "Project:NEURO-01 Subject:S1 Session:E1"
    values: dict[str, Any] = {"PatientComments": labels, "PatientName": NAME} | tags
    return dicom.image(syntax, **values)


def traces(root: Path) -> list[Path]:
    """Return the files anywhere below a folder that hold, or are named after, the patient."""
    marks = (NAME.encode(), b"QUINCE_ZEBEDEE")
    files = [path for path in root.rglob("*") if path.is_file()]
    return [f for f in files if any(m in f.read_bytes() + str(f).encode() for m in marks)]


def failures(bench: Bench) -> list[str]:
    events = [r.event for r in bench.journal.events_since(0, 100).events]
    return [event.sentence() for event in events if isinstance(event, AnonymizationFailed)]


def test_what_is_stored_is_edited_by_labels_from_before(scripted: Scripted) -> None:
    bench = scripted(RELABEL + "\n- (0010,4000)")
    outcome = bench.receive(image())
    assert outcome.state is ObjectState.STORED
    (session,) = bench.index.sessions()
    assert (session.project, session.subject, session.label) == ("NEURO-01", "S1", "E1")
    (file,) = bench.files()
    ds = pydicom.dcmread(file)
    assert (ds.PatientName, ds.PatientID, ds.StudyDescription) == ("S1", "E1", "NEURO-01")
    assert "PatientComments" not in ds
    assert ds.file_meta.SourceApplicationEntityTitle == "CT_SCANNER_1"
    assert recorded(ds) == (str(REVISION),)
    assert bench.parts() == []
    assert traces(bench.root) == []


def test_pixel_data_and_what_comes_behind_stay_as_they_are(scripted: Scripted) -> None:
    bench = scripted(RELABEL)
    pixels = bytes(range(256)) * 1024
    behind = dicom.encode([dicom.Element(0xFFFCFFFC, "OB", b"padding.")], EXPLICIT)
    assert bench.receive(image(pixels=pixels) + behind).state is ObjectState.STORED
    ds = pydicom.dcmread(bench.files()[0])
    assert ds.PixelData == pixels
    assert ds[0xFFFCFFFC].value == b"padding."
    assert ds.PatientName == "S1"


@pytest.mark.parametrize("syntax", [*dicom.UNCOMPRESSED, dicom.JPEG_BASELINE])
def test_every_encoding_is_edited_and_kept(scripted: Scripted, syntax: str) -> None:
    bench = scripted(RELABEL)
    assert bench.receive(image(syntax), transfer_syntax_uid=syntax).state is ObjectState.STORED
    ds = pydicom.dcmread(bench.files()[0])
    assert (ds.PatientName, ds.file_meta.TransferSyntaxUID) == ("S1", syntax)


def test_the_name_is_that_of_the_object_as_it_came(scripted: Scripted, bench_names: str) -> None:
    bench = scripted('(0020,0011) := "77"\n(0008,0018) := hashUID[(0008,0018)]')
    bench.receive(image())
    (file,) = bench.files()
    assert file.name == bench_names
    assert file.parent.parent.name == "4"
    ds = pydicom.dcmread(file)
    assert ds.SeriesNumber == 77
    assert ds.SOPInstanceUID != REQUESTED["sop_instance_uid"]
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    (row,) = bench.rows()
    assert row.sop_instance_uid == REQUESTED["sop_instance_uid"]


@pytest.fixture
def bench_names(tmp_path: Path) -> str:
    """The file name without any script."""
    with open_bench(tmp_path / "unscripted") as bench:
        bench.receive(image())
        return bench.files()[0].name


def test_the_same_object_again_is_a_duplicate_of_the_anonymized_one(scripted: Scripted) -> None:
    bench = scripted(RELABEL)
    first, again = bench.receive(image()), bench.receive(image())
    assert (again.state, again.file) == (ObjectState.DUPLICATE, first.file)
    hidden = bench.receive(image(PatientName="OTHER^NAME"))
    assert hidden.state is ObjectState.DUPLICATE  # what differed is gone
    other = bench.receive(image(AccessionNumber="ACC-2"))
    assert other.reason == "other content of the same SOP instance is here, kept beside it"
    assert len(bench.files()) == 2


def test_a_rejected_object_is_success_for_its_sender_and_nowhere(scripted: Scripted) -> None:
    bench = scripted('(0008,0060) = "CT" ? reject[]')
    outcome = bench.receive(image(PatientComments=None))
    assert (outcome.state, outcome.status) == (ObjectState.FILTERED, 0)
    assert outcome.comment == ""
    (row,) = bench.rows()
    assert (row.state, row.reason, row.session) == ("filtered", "rejected by the site script", None)
    totals = bench.metrics.totals()
    assert (totals.received, totals.filtered, totals.failed) == (1, 1, 0)
    assert bench.metrics.today(RECEIVER.label).failed == 0
    assert (bench.files(), bench.parts(), bench.index.sessions()) == ([], [], ())
    assert traces(bench.root) == []
    assert failures(bench) == []


def test_an_error_stores_nothing_anywhere_and_is_told(scripted: Scripted) -> None:
    bench = scripted("(0010,0020) := session\n(0010,0010) := nobody")
    *_, outcome = [bench.receive(image(PatientComments=None)) for _ in range(11)]
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0x0110)
    assert outcome.reason.startswith("site script line 3: ")
    assert failures(bench) == [
        f"an object is not stored{times}: {outcome.reason} (script of revision {REVISION})"
        for times in ("", ", 10 times by now")
    ]
    assert {row.state for row in bench.rows()} == {"failed"}
    assert (bench.files(), bench.parts(), bench.index.sessions()) == ([], [], ())
    assert traces(bench.root) == []


def test_what_can_not_be_read_is_not_kept_either(scripted: Scripted) -> None:
    bench = scripted(RELABEL)
    for broken in (image()[:-9], image(SOPInstanceUID="1.2.3")):
        outcome = bench.receive(broken)
        assert outcome.state is ObjectState.FAILED
        assert outcome.status in {0xC000, 0xA900}
    assert traces(bench.root) == []
    assert bench.parts() == []


def test_an_object_that_only_the_interpreter_can_not_read_is_refused(scripted: Scripted) -> None:
    bench = scripted(RELABEL)
    outside = dicom.encode([dicom.Element(0xFFFEE00D, "", b"")], EXPLICIT)
    outcome = bench.receive(image() + outside)
    assert outcome.status in {0x0110, 0xC000}
    assert (bench.files(), bench.parts(), traces(bench.root)) == ([], [], [])


def test_a_script_that_runs_too_long_is_killed_with_its_object_only(scripted: Scripted) -> None:
    with closing(Workers(run_script, processes=1, cpu_seconds=0.001)) as hasty:
        bench = scripted(RELABEL, hasty)
        outcome = bench.receive(image(PatientComments=None))
        assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0x0110)
        assert outcome.reason == "site script: it took too long and was killed"
        assert (bench.files(), bench.parts(), traces(bench.root)) == ([], [], [])


def test_a_worker_that_dies_in_the_middle_is_replaced_and_the_object_stored(
    scripted: Scripted,
) -> None:
    with closing(Workers(die_half_way_once, processes=1)) as mortal:
        bench = scripted(RELABEL, mortal)
        assert bench.receive(image()).state is ObjectState.STORED
        assert pydicom.dcmread(bench.files()[0]).PatientName == "S1"
    assert (bench.parts(), traces(bench.root)) == ([], [])


def test_a_worker_that_dies_each_time_leaves_nothing(scripted: Scripted) -> None:
    with closing(Workers(die_half_way, processes=1)) as mortal:
        bench = scripted(RELABEL, mortal)
        outcome = bench.receive(image(PatientComments=None))
    assert outcome.status == 0x0110
    assert outcome.reason == "site script: its process died twice"
    assert (bench.files(), bench.parts(), traces(bench.root)) == ([], [], [])


def test_a_full_storage_is_the_storages_fault(scripted: Scripted) -> None:
    with closing(Workers(find_no_space, processes=1)) as full:
        outcome = scripted(RELABEL, full).receive(image())
    assert (outcome.status, outcome.reason) == (0xA700, OUT_OF_SPACE)


def test_a_receiver_without_anonymization_stores_as_received(scripted: Scripted) -> None:
    bench = scripted("reject[]")
    plain = replace(RECEIVER, anonymization=False)
    assert bench.receive(image(), receiver=plain).state is ObjectState.STORED
    assert bench.files()[0].read_bytes().endswith(image())


@pytest.mark.parametrize("target", ["link", "nothing"])
def test_a_job_writes_only_into_the_file_that_its_engine_has_made(
    tmp_path: Path, target: str
) -> None:
    source, foreign, place = (tmp_path / name for name in ("source", "foreign", "target"))
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, EXPLICIT, "CT", "XNAT").preamble("1.2.3")
    source.write_bytes(meta + image())
    foreign.write_bytes(b"kept")
    if target == "link":
        place.symlink_to(foreign)
    script = f'version "6.1"\n{RELABEL}\n'
    steps = (Anonymization(ScriptScope.SITE, script, REVISION),)
    job = ScriptJob(str(source), str(place), steps, ("", "", ""), str(tmp_path / "uids"))
    with closing(uid_maps_in(job.uid_maps)):
        assert run_script(job).verdict is ScriptVerdict.NO_RESOURCES
    uid_maps_in.cache_clear()  # this process works for no engine
    assert foreign.read_bytes() == b"kept"
    assert place.is_symlink() == (target == "link")


PLAIN = {"anonymization": False}


@pytest.mark.parametrize(
    ("has_script", "receiver", "states"),
    [
        (True, {}, [ProjectScript.DUE, ProjectScript.DUE]),
        (True, {"direct_archive": True}, [ProjectScript.DONE, ProjectScript.DONE]),
        (True, PLAIN, [ProjectScript.EXEMPT, ProjectScript.EXEMPT]),
        (True, PLAIN | {"direct_archive": True}, [ProjectScript.EXEMPT, ProjectScript.EXEMPT]),
        (False, {"direct_archive": True}, [ProjectScript.DUE, ProjectScript.DUE]),
    ],
)
def test_the_row_of_an_object_says_whether_its_projects_script_is_yet_to_come(
    scripted: Scripted,
    has_script: bool,
    receiver: dict[str, Any],
    states: list[ProjectScript],
) -> None:
    bench = scripted("")
    project = Project(
        "NEURO-01",
        anonymization_script='version "6.1"\n(0010,0010) := "P"\n',
        anonymization_script_revision=3,
        anonymization_script_enabled=has_script,
    )
    bench.configure(project)
    for number in ("1", "2"):
        arriving = replace(RECEIVER, **receiver)
        assert bench.receive(image(InstanceNumber=number), receiver=arriving).status == 0
    assert [row.project_script for row in bench.rows()] == states
    is_direct = "direct_archive" in receiver
    stored = list((bench.root / ("archive" if is_direct else "prearchive")).rglob("*.dcm"))
    assert len(stored) == 2
    name = "P" if ProjectScript.DONE in states else NAME
    assert {str(pydicom.dcmread(file).PatientName) for file in stored} == {name}


def test_mapped_uids_are_remembered_from_process_to_process(scripted: Scripted) -> None:
    bench = scripted('(0020,000D) := mapUID[(0020,000D), "1.2.3"]')
    bench.receive(image())
    with closing(Workers(run_script, processes=1)) as later:
        bench = scripted('(0020,000D) := mapUID[(0020,000D), "1.2.3"]', later)
        bench.receive(image(InstanceNumber="2"))
    first, second = (pydicom.dcmread(file).StudyInstanceUID for file in bench.files())
    assert first == second
    assert first.startswith("1.2.3.")


def test_no_process_is_started_while_no_script_is_in_force(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with open_bench(tmp_path) as bench:
        assert bench.receive(image()).state is ObjectState.STORED
    assert set(psutil.Process().children()) <= before
