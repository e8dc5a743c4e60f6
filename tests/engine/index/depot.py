"""A data directory with an index and a lifecycle whose clock stands still, and objects to file."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.dicom.part10 import FileMeta
from engine.events.journal import Journal
from engine.index.store import SessionIndex, SessionKey, SessionOrigin
from engine.index.writer import REPLACES, ObjectRow
from engine.model.identity import scan_name, timestamp
from engine.model.project import AutoArchive, PetMr
from engine.model.session import ProjectScript, SessionArea
from engine.sessions.context import SessionContext, SessionPolicy
from engine.sessions.folders.staging import NoScripts
from engine.sessions.folders.stored_objects import read_stored
from engine.sessions.ledger import SessionRepository
from engine.sessions.worker import Lifecycle
from engine.state.database import stamp
from engine.storage.areas import Areas, archive_folder
from tests import dicom
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import Event
    from engine.model.receiver import DirectMerge
    from engine.model.session import Session
    from engine.sessions.folders.staging import ArchiveScripts

STUDY = "1.2.826.0.1.3680043.8.498.2"
IDLE_SECONDS = 300


@dataclass
class Depot:
    """What an engine has for its sessions, without the network."""

    root: Path
    clock: FixedClock
    index: SessionIndex
    ledger: SessionRepository
    journal: Journal
    areas: Areas
    codes: dict[str, AutoArchive] = field(default_factory=dict)
    scripts: ArchiveScripts = field(default_factory=NoScripts)
    pet_mr: PetMr = PetMr.PETMR
    direct_merge: DirectMerge | None = None
    lifecycle: Lifecycle = field(init=False)
    _received: int = 0

    def __post_init__(self) -> None:
        self.session_context = SessionContext(
            *(self.index, self.ledger, self.areas, read_stored),
            *(self.journal, self.clock, self.scripts),
            pet_mr=lambda _: self.pet_mr,
        )
        self.lifecycle = Lifecycle(self.session_context, self.policy)

    def policy(self) -> SessionPolicy:
        return SessionPolicy(
            idle_seconds=IDLE_SECONDS,
            trash_days=30,
            archive_code=lambda project: self.codes.get(project, AutoArchive.MANUAL),
            direct_merge=lambda _: self.direct_merge,
        )

    def receive(
        self,
        project: str | None = "NEURO-01",
        label: str = "E1",
        *,
        subject: str = "S1",
        auto_archive: bool | None = None,
        direct: bool = False,
        name: str = "",
        script: ProjectScript = ProjectScript.DUE,
        **values: object,
    ) -> int:
        """File one object as the pipeline does and return its session's number."""
        self._received += 1
        elements = {"SOPInstanceUID": f"1.2.3.{self._received}", "SeriesNumber": "4"} | values
        study = str(elements.get("StudyInstanceUID", STUDY))
        area = SessionArea.ARCHIVE if direct else SessionArea.PREARCHIVE
        place = self.index.session_for(
            SessionKey(project, study, label, area),
            SessionOrigin(subject, auto_archive, "XNAT:8104", "CT", self.clock.now()),
            lambda at: (
                archive_folder(project or "", label)
                if direct
                else (*filter(None, (project,)), timestamp(at), label)
            ),
        )
        try:
            scan = scan_name(str(elements["SeriesNumber"]), None)
            file = f"SCANS/{scan}/DICOM/{name or f'{self._received}.dcm'}"
            size = self._store(area, "/".join(place.folder), file, elements)
            self.index.record(
                self._row(place.id, file, size, elements)._replace(project_script=script)
            )
        finally:
            self.index.session_writers.release(place.id)
        return place.id

    def _store(self, area: SessionArea, folder: str, file: str, elements: dict[str, object]) -> int:
        path = self.areas.path(area, folder) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        sop_class = str(elements.get("SOPClassUID", dicom.CT_IMAGE_STORAGE))
        syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
        preamble = FileMeta(sop_class, syntax, "CT", "XNAT").preamble(
            str(elements["SOPInstanceUID"])
        )
        with path.open("xb") as stream:
            return stream.write(preamble + dicom.image(syntax, None, **elements))

    def _row(self, session: int, file: str, size: int, elements: dict[str, object]) -> ObjectRow:
        return ObjectRow(
            at=stamp(self.clock.now()),
            receiver="XNAT:8104",
            calling_ae_title="CT",
            address="",
            association="",
            sop_class_uid=str(elements.get("SOPClassUID", dicom.CT_IMAGE_STORAGE)),
            sop_instance_uid=str(elements["SOPInstanceUID"]),
            transfer_syntax_uid=dicom.EXPLICIT_VR_LITTLE_ENDIAN,
            state="stored",
            status=0,
            reason="",
            session=session,
            file=file,
            bytes=size,
        )

    def replace(self, session: Session, file: str, sop_instance_uid: str, **values: object) -> None:
        """Let an object take the place of a file, as the pipeline does for other content."""
        place = self.index.session_for(
            SessionKey(session.project, session.study_instance_uid, session.label, session.area),
            SessionOrigin("S1", None, "XNAT:8104", "CT", self.clock.now()),
            lambda _: (),
        )
        assert place.id == session.id
        (self.areas.folder(session) / file).unlink()
        elements = {"SOPInstanceUID": sop_instance_uid, "SeriesNumber": "4"} | values
        size = self._store(session.area, session.folder, file, elements)
        row = self._row(session.id, file, size, elements)
        self.index.record(row._replace(reason=REPLACES))
        self.index.session_writers.release(session.id)

    def fall_silent(self) -> float:
        """Let the idle time pass, and what is due happen."""
        self.index.flush()
        self.clock.advance(IDLE_SECONDS)
        return self.lifecycle.run_due()

    def session(self, session_id: int) -> Session:
        return self.ledger.session(session_id)

    def objects(self, area: SessionArea = SessionArea.ARCHIVE) -> list[str]:
        """Return the objects of an area, relative to it."""
        root = self.areas.path(area, ".")
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.dcm"))

    def all_objects(self) -> list[Path]:
        """Return every object file there is."""
        return sorted(self.root.rglob("*.dcm"))

    def told(self, kind: type[Event]) -> list[str]:
        page = self.journal.events_since(0, 1000)
        return [r.event.sentence() for r in page.events if isinstance(r.event, kind)]

    def restarted(self, clock: FixedClock | None = None) -> Depot:
        """Return the same directory as the next engine finds it, after this one has crashed."""
        self.index.close()
        return open_depot(self.root, clock or self.clock, self.codes, self.scripts)


def open_depot(
    root: Path,
    clock: FixedClock,
    codes: dict[str, AutoArchive] | None = None,
    scripts: ArchiveScripts | None = None,
) -> Depot:
    areas = Areas(root / "prearchive", root / "archive", root / "trash")
    for area in (areas.prearchive, areas.archive, areas.trash):
        area.mkdir(exist_ok=True)
    index = SessionIndex(root / "index.sqlite", durable=False)
    return Depot(
        *(root, clock, index, SessionRepository(index, clock), Journal(clock), areas, codes or {}),
        scripts or NoScripts(),
    )


@contextmanager
def depot_in(root: Path) -> Iterator[Depot]:
    """Open a new depot, which is configured as by default, and close it."""
    (root / "config.json").write_text("{}")
    depot = open_depot(root, FixedClock())
    try:
        yield depot
    finally:
        depot.index.close()
