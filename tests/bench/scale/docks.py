"""Data directories with many sessions: rows go straight into the index, files are few and small."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.dicom.part10 import FileMeta
from engine.host.clock import SystemClock
from engine.index.store import SessionIndex
from engine.model.session import SessionStatus
from engine.settings import Durability, EngineSettings
from engine.state.database import stamp
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.running import configure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from engine.model.receiver import Receiver

RECEIVER = "BENCH:8104"
CALLER = "CT1"
PROJECT = "P1"
ROOT = "1.2.826.0.1.3680043.8.498.78"
LONG_AGO = timedelta(days=1)
_SESSION = (
    "INSERT INTO sessions (id, project, subject, label, study_instance_uid, folder, status,"
    " receiver, calling_ae_title, first_object_at, last_object_at, objects, bytes, modality, area)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'CT', ?)"
)
_OBJECT = (
    "INSERT INTO objects (at, receiver, calling_ae_title, address, association, sop_class_uid,"
    " sop_instance_uid, transfer_syntax_uid, state, status, reason, session, file, bytes)"
    " VALUES (?, ?, ?, '127.0.0.1:1', 'A-0001', ?, ?, ?, 'stored', 0, '', ?, ?, ?)"
)


class Dock:
    """One data directory, without an engine."""

    def __init__(self, folder: Path, *receivers: Receiver) -> None:
        """Make the directory with its configuration and an empty index."""
        self.settings = EngineSettings(data_dir=folder / "data", durability=Durability.NONE)
        configure(self.settings.data_dir, *receivers)
        self.settings.event_log.parent.mkdir(mode=0o750, exist_ok=True)
        SessionIndex(self.settings.index_file, durable=False).close()
        self._now = SystemClock().now()
        self._template = _template()

    def fill(
        self,
        sessions: int,
        objects: int = 1,
        *,
        status: SessionStatus = SessionStatus.RECEIVING,
        area: str = "prearchive",
        files: int | None = None,
    ) -> None:
        """Add sessions with so many objects each; the first `files` of them have their files too.

        Sessions of the trash are each an entry of their own, that is older than any limit.
        """
        with closing(sqlite3.connect(self.settings.index_file)) as index:
            first = 1 + index.execute("SELECT COALESCE(MAX(id), 0) FROM sessions").fetchone()[0]
            numbers = range(first, first + sessions)
            with index:
                index.executemany(_SESSION, (self._row(n, objects, status, area) for n in numbers))
            rows = (row for n in numbers for row in self._objects(n, objects))
            with index:
                index.executemany(_OBJECT, rows)
        for number in numbers[:files]:
            self._write(number, objects, area)

    def execute(self, statement: str, values: Iterable[tuple[object, ...]]) -> None:
        """Run a statement on the index for each of some values."""
        with closing(sqlite3.connect(self.settings.index_file)) as index, index:
            index.executemany(statement, values)

    def count(self, query: str) -> int:
        """Return the number that a query of the index returns."""
        return number_from(self.settings.index_file, query)

    def heard(self, number: int) -> datetime:
        """Return when a session got its last object: the first one is silent for longest."""
        return self._now - LONG_AGO + timedelta(milliseconds=number)

    def _row(
        self, number: int, objects: int, status: SessionStatus, area: str
    ) -> tuple[object, ...]:
        at = stamp(self.heard(number))
        label = f"S{number:07d}"
        return (
            *(number, PROJECT, "P-0001", label, _study(number)),
            *(self._folder(number, area), status, RECEIVER, CALLER, at, at, objects),
            *(len(self._template) * objects, area),
        )

    def _folder(self, number: int, area: str) -> str:
        label = f"S{number:07d}"
        if area == "trash":
            minute, second = divmod(number % 3600, 60)
            return f"20200101_12{minute:02d}{second:02d}000_{number}/{label}"
        return f"{PROJECT}/20260101_{number:09d}/{label}"

    def _objects(self, number: int, objects: int) -> Iterator[tuple[object, ...]]:
        at, size = stamp(self.heard(number)), len(self._template)
        for n in range(objects):
            yield (
                *(at, RECEIVER, CALLER, CT_IMAGE_STORAGE, _instance(number, n)),
                *(EXPLICIT_VR_LITTLE_ENDIAN, number, f"SCANS/4/DICOM/{n}.dcm", size),
            )

    def _write(self, number: int, objects: int, area: str) -> None:
        at = self.settings.trash_dir if area == "trash" else self.settings.prearchive_dir
        scan = at / self._folder(number, area) / "SCANS" / "4" / "DICOM"
        scan.mkdir(parents=True)
        study = self._template.replace(_study(0).encode(), _study(number).encode())
        for n in range(objects):
            instance = _instance(number, n).encode()
            (scan / f"{n}.dcm").write_bytes(study.replace(_instance(number, 0).encode(), instance))


def number_from(index_file: Path, query: str) -> int:
    """Return the number that a query of an index returns; an engine may be at work on it."""
    with closing(sqlite3.connect(index_file, timeout=30)) as index:
        return int(index.execute(query).fetchone()[0])


def _study(number: int) -> str:
    # All of one length, so that a file is made by putting its UIDs into another one.
    return f"{ROOT}.{10_000_000 + number}"


def _instance(number: int, n: int) -> str:
    return f"{_study(number)}.1.{10_000_000 + n}"


def _template() -> bytes:
    """Return the file of the first object of session 0."""
    uid, study = _instance(0, 0), _study(0)
    data = image(SOPInstanceUID=uid, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
    meta = FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, CALLER, "BENCH")
    return meta.preamble(uid) + data
