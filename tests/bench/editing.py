"""The 20 edits of the benchmark's script, file to file, beside pydicom and DCMTK's dcmodify."""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from engine.anonymize import Script, edit_file
from engine.dicom.uid_hash import hash_uid
from tests.bench.receivers import SCRIPT_OF_20_EDITS
from tests.bench.report import aligned
from tests.bench.workloads import WORKLOADS, make_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_HASHED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_REMOVED = (
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "StationName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PatientBirthDate",
    "OtherPatientIDs",
    "EthnicGroup",
    "AdditionalPatientHistory",
    "DeviceSerialNumber",
)
_SET = {
    "AccessionNumber": "0",
    "PatientName": "S-0001",
    "PatientID": "E-0001",
    "StudyDescription": "BENCH",
}
_VARIABLES = {"project": "BENCH", "subject": "S-0001", "session": "E-0001"}
_COPIES = 50
"""So many files for each start of dcmodify."""


def measure(folder: Path, rounds: int, *, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the report."""
    script = Script.parse(SCRIPT_OF_20_EDITS, "bench")
    rows = [["", "edited µs", "pydicom µs", "dcmodify µs"]]
    for name in names:
        source = folder / "source.dcm"
        make_object(WORKLOADS[name], 0, 1).save_as(source, enforce_file_format=True)
        times = [
            _best(partial(_edit, source, script), folder, rounds),
            _best(partial(_with_pydicom, source), folder, rounds),
            _dcmodify_seconds(source, folder, rounds),
        ]
        source.unlink()
        texts = ("absent" if seconds is None else f"{seconds * 1e6:.0f}" for seconds in times)
        rows.append([WORKLOADS[name].title, *texts])
    yield ""
    yield "20 edits, file to file; dcmodify changes a copy that is there already, without hashing"
    yield from aligned(rows)


def _edit(source: Path, script: Script, target: Path) -> None:
    edit_file(source, target, [script], _VARIABLES, script_ids=[1])


def _with_pydicom(source: Path, target: Path) -> None:
    ds = dcmread(source)
    for keyword in _HASHED:
        if keyword in ds:
            setattr(ds, keyword, hash_uid(ds[keyword].value))
    for keyword in _REMOVED:
        if keyword in ds:
            delattr(ds, keyword)
    for keyword, value in _SET.items():
        setattr(ds, keyword, value)
    ds.save_as(target)


def _best(work: Callable[[Path], None], folder: Path, rounds: int) -> float:
    target = folder / "target.dcm"
    found = []
    for _ in range(rounds * 10):
        started = time.perf_counter()
        work(target)
        found.append(time.perf_counter() - started)
        target.unlink()
    return min(found)


def _dcmodify_seconds(source: Path, folder: Path, rounds: int) -> float | None:
    """Return the time for one of many files; None if there is no dcmodify."""
    if shutil.which("dcmodify") is None:
        return None
    copies = [folder / f"copy-{number}.dcm" for number in range(_COPIES)]
    found = []
    for _ in range(rounds):
        for copy in copies:
            shutil.copyfile(source, copy)
        started = time.perf_counter()
        subprocess.run([*_dcmodify(), *map(str, copies)], check=True, capture_output=True)
        found.append((time.perf_counter() - started) / _COPIES)
    for copy in copies:
        copy.unlink()
    return min(found)


def _dcmodify() -> list[str]:
    changes = {**dict.fromkeys(_HASHED, "1.2.3"), **_SET}
    command = ["dcmodify", "--no-backup", "--ignore-missing-tags"]
    for keyword, value in changes.items():
        command += ["--modify", f"{_path(keyword)}={value}"]
    for keyword in _REMOVED:
        command += ["--erase", _path(keyword)]
    return command


def _path(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
