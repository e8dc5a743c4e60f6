"""DCMTK's tools as senders against an engine in a second process."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from engine.model.project import Project
from tests.recording import Relay
from tests.running import (
    LOOPBACK,
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
    from collections.abc import Iterator

    from tests.running import EngineProcess

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def port(tmp_path: Path) -> int:
    port = free_port()
    configure(
        tmp_path / "data",
        make_receiver("XNAT", port),
        make_receiver(
            "GUARDED", port, whitelist_enabled=True, whitelist=("CT1", f"MR1@{LOOPBACK}")
        ),
        make_receiver("OFF", port, enabled=False),
        projects=(Project("NEURO-01"),),
    )
    return port


@pytest.fixture
def running(tmp_path: Path, port: int) -> Iterator[EngineProcess]:
    with engine_process(tmp_path / "data", 2, "--durability", "none") as running:
        yield running


def data_set_of(file: Path) -> bytes:
    """Return the bytes behind the file meta."""
    meta = read_file_meta_info(file)
    return file.read_bytes()[144 + int(meta.FileMetaInformationGroupLength) :]


def test_echoscu_is_answered(running: EngineProcess, port: int) -> None:
    answer = run_dcmtk("echoscu", "-v", "-aec", "XNAT", LOOPBACK, str(port))
    assert answer.returncode == 0
    assert "Received Echo Response (Success)" in answer.stderr + answer.stdout


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [
        ("NOBODY", "CT1", "Called AE Title Not Recognized"),
        ("xnat", "CT1", "Called AE Title Not Recognized"),
        ("OFF", "CT1", "Called AE Title Not Recognized"),
        ("GUARDED", "STRANGER", "Calling AE Title Not Recognized"),
    ],
)
def test_who_may_not_call_gets_a_reject_that_arrives_even_for_an_echo(
    running: EngineProcess, port: int, called: str, calling: str, reason: str
) -> None:
    answer = run_dcmtk("echoscu", "-aet", calling, "-aec", called, LOOPBACK, str(port))
    assert answer.returncode != 0
    assert reason in answer.stderr + answer.stdout


@pytest.mark.parametrize("calling", ["CT1", "MR1"])
def test_callers_on_the_whitelist_are_let_in(
    running: EngineProcess, port: int, calling: str
) -> None:
    answer = run_dcmtk("echoscu", "-aet", calling, "-aec", "GUARDED", LOOPBACK, str(port))
    assert answer.returncode == 0


def test_a_study_is_filed_in_xnats_layout_and_the_index_agrees(
    running: EngineProcess, port: int
) -> None:
    files = [str(SHIPPED / name) for name in ("CT_small.dcm", "MR_small.dcm")]
    sent = run_dcmtk("storescu", "-aet", "CT1", "-aec", "XNAT", LOOPBACK, str(port), *files)
    assert sent.returncode == 0, sent.stderr
    assert running.terminate() == 0
    stored = stored_files(running.data_dir)
    assert len(stored) == 2
    assert leftovers(running.data_dir) == []
    for file in stored:
        ds = pydicom.dcmread(file)
        timestamp, session, scans, scan, dicom, name = file.parts[-6:]
        assert (len(timestamp), scans, dicom) == (18, "SCANS", "DICOM")
        assert session == str(ds.PatientID)
        assert scan == str(ds.SeriesNumber)
        assert name.startswith(f"{ds.StudyInstanceUID}-{ds.SeriesNumber}-{ds.InstanceNumber}-")
        assert ds.file_meta.SourceApplicationEntityTitle == "CT1"
    rows = object_rows(running.data_dir)
    assert {row.state for row in rows} == {"stored"}
    assert sum(session.objects for session in sessions(running.data_dir)) == 2


def test_sending_again_succeeds_without_a_second_file(running: EngineProcess, port: int) -> None:
    file = str(SHIPPED / "CT_small.dcm")
    for _ in range(3):
        assert run_dcmtk("storescu", "-aec", "XNAT", LOOPBACK, str(port), file).returncode == 0
    assert running.terminate() == 0
    assert len(stored_files(running.data_dir)) == 1
    states = sorted(row.state for row in object_rows(running.data_dir))
    assert states == ["duplicate", "duplicate", "stored"]
    assert sessions(running.data_dir)[0].objects == 1


def test_dcmsend_delivers_a_folder(running: EngineProcess, port: int, tmp_path: Path) -> None:
    folder = tmp_path / "send"
    folder.mkdir()
    names = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm"]
    for name in names:
        (folder / name).write_bytes((SHIPPED / name).read_bytes())
    report = tmp_path / "report.txt"
    options = ["--create-report-file", str(report), "--scan-directories"]
    sent = run_dcmtk("dcmsend", *options, "-aec", "XNAT", LOOPBACK, str(port), str(folder))
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert running.terminate() == 0
    assert len(stored_files(running.data_dir)) == len(names)


PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}
"""The storescu option that proposes a file's own transfer syntax."""


def shipped_files() -> list[Path]:
    """Return every file of the pydicom package that says in which transfer syntax it is."""
    found = []
    for file in sorted(SHIPPED.rglob("*")):
        if not file.is_file():
            continue
        try:
            meta = read_file_meta_info(file)
        except (InvalidDicomError, OSError, ValueError, KeyError):
            continue
        if meta.get("TransferSyntaxUID") in PROPOSE:
            found.append(file)
    return found


def test_every_file_that_storescu_can_send_is_stored_byte_for_byte(
    running: EngineProcess, port: int
) -> None:
    files = shipped_files()
    assert len(files) > 100
    with Relay((LOOPBACK, port)) as relay:
        for option, group in groupby(sorted(files, key=_option), key=_option):
            names = [str(file) for file in group]
            run_dcmtk(
                "storescu", "-nh", "-R", option, "-aec", "XNAT", LOOPBACK, str(relay.port), *names
            )
    sent = relay.data_sets()
    assert running.terminate() == 0
    stored = Counter(data_set_of(file) for file in stored_files(running.data_dir))
    assert len(sent) > 130
    assert set(stored) == set(sent)
    assert set(stored.values()) == {1}


def _option(file: Path) -> str:
    return PROPOSE[str(read_file_meta_info(file).TransferSyntaxUID)]
