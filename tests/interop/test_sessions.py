"""Sessions end to end: sent over TCP, fallen silent, built, archived (XNAT 8.5, 12.6, 12.9)."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from engine.cli import main
from engine.config.store import ConfigurationStore
from engine.events.sessions import SessionConflicts
from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive, Project
from engine.model.site import DuplicatePolicy, SessionSettings, SiteSettings
from engine.model.study_route import StudyRoute
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from engine.state.routes import StudyRoutes, read_study_routes
from tests import dicom
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pydicom.dataset import Dataset

    from engine.model.session import Session

IDLE_SECONDS = 300


class JumpingClock(SystemClock):
    """The machine's clock, ahead of its time as far as it is told to be."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


class Hospital:
    """An engine that only looks after its sessions when told to, and a scanner."""

    def __init__(self, data_dir: Path, sessions: SessionSettings | None = None) -> None:
        self.data_dir = data_dir
        self.port, self.direct_port = free_port(), free_port()
        projects = (
            Project("AUTO"),
            Project("MANUAL", auto_archive=AutoArchive.MANUAL),
            Project("OVER", auto_archive=AutoArchive.OVERWRITE),
        )
        receivers = (
            make_receiver("XNAT", self.port),
            make_receiver("XNAT", self.direct_port, direct_archive=True),
        )
        configure(data_dir, *receivers, projects=projects)
        if sessions is not None:
            store = ConfigurationStore(data_dir / "config.json", clock=SystemClock())
            store.set_site(SiteSettings(bind_address=LOOPBACK, sessions=sessions), "test")
        self._clock = JumpingClock()
        self.engine = Engine(
            EngineSettings(data_dir, durability=Durability.NONE), clock=self._clock
        )
        self.engine.start()
        self.engine._session_service.stop()

    def send(self, *objects: Dataset, direct: bool = False) -> None:
        assert self.statuses(*objects, direct=direct) == [0] * len(objects)

    def statuses(self, *objects: Dataset, direct: bool = False) -> list[int | None]:
        port = self.direct_port if direct else self.port
        classes = {str(ds.SOPClassUID) for ds in objects}
        with SendingAssociation(Destination(LOOPBACK, port, "XNAT", "CT"), classes) as peer:
            return [peer.send(ds) for ds in objects]

    def states(self) -> list[str]:
        """Return the final states of all objects, oldest first."""
        self.engine._index.flush()
        return [row.state for row in reversed(self.engine._index.objects())]

    def fall_silent(self) -> list[Session]:
        self.engine._index.flush()
        self._clock.ahead += timedelta(seconds=IDLE_SECONDS)
        self.engine._session_service._lifecycle.run_due()
        return sorted(self.engine._index.sessions(), key=lambda session: session.id)

    def objects(self, area: str) -> list[str]:
        root = self.data_dir / area
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.dcm"))


def make_object(project: str = "AUTO", **values: Any) -> Dataset:
    """Return a small object that belongs to a project, with a SOP instance of its own."""
    _numbers.append(len(_numbers))
    elements = {
        "StudyDescription": project,
        "SOPInstanceUID": f"1.2.826.0.1.{len(_numbers)}",
        "InstanceNumber": str(len(_numbers)),
        "PatientID": "MR 7",
    } | values
    encoded = dicom.image(dicom.IMPLICIT_VR_LITTLE_ENDIAN, None, **elements)
    ds = pydicom.dcmread(BytesIO(encoded), force=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(dicom.IMPLICIT_VR_LITTLE_ENDIAN)
    return ds


_numbers: list[int] = []


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    hospital = Hospital(tmp_path / "data")
    yield hospital
    hospital.engine.stop()


def where(session: Session) -> tuple[str | None, str, str, str]:
    return session.project, session.label, str(session.area), str(session.status)


def test_a_known_project_archives_its_study_with_xnat_s_names(hospital: Hospital) -> None:
    """8.5 row 1, F1: names in prearchive and unchanged in archive."""
    hospital.send(make_object(InstanceNumber="1"), make_object(InstanceNumber="2"))
    before = [name.split("/", 2)[2] for name in hospital.objects("prearchive")]
    (session,) = hospital.fall_silent()
    assert where(session) == ("AUTO", "MR_7", "archive", "ARCHIVED")
    assert session.subject == "Doe_Jane"
    after = hospital.objects("archive")
    assert after == [f"AUTO/arc001/{name}" for name in before]
    assert after[0].startswith("AUTO/arc001/MR_7/SCANS/4/DICOM/1.2.826.0.1.3680043.8.498.2-4-1-")
    assert hospital.objects("prearchive") == []


@pytest.mark.parametrize("direct", [False, True])
def test_what_has_no_project_waits_unassigned_and_is_never_archived(
    hospital: Hospital, direct: bool
) -> None:
    """8.5 rows 2 and 5."""
    hospital.send(make_object("UNKNOWN", PatientComments="Project:NONE AA:true"), direct=direct)
    (session,) = hospital.fall_silent()
    assert where(session) == (None, "MR_7", "prearchive", "READY")


def test_studies_without_patient_id_are_sessions_of_their_own(hospital: Hospital) -> None:
    """8.5 row 3."""
    studies = [
        make_object("MANUAL", PatientID="", StudyInstanceUID=f"1.2.{study}") for study in (1, 2)
    ]
    hospital.send(*studies)
    sessions = hospital.fall_silent()
    assert [where(s)[:2] for s in sessions] == [("MANUAL", "dicom_upload")] * 2


@pytest.mark.parametrize(
    ("project", "asks", "status"),
    [
        ("AUTO", "AA:false", "READY"),
        ("MANUAL", "", "READY"),
        ("MANUAL", "AA:true", "ARCHIVED"),
        ("OVER", "", "ARCHIVED"),
    ],
)
def test_what_the_header_asks_for_wins_over_the_project_s_code(
    hospital: Hospital, project: str, asks: str, status: str
) -> None:
    """8.5 row 4, D1."""
    hospital.send(make_object(PatientComments=f"Project:{project} Subject:S Session:E {asks}"))
    (session,) = hospital.fall_silent()
    assert where(session)[:2] == (project, "E")
    assert session.status == status


def test_direct_archive_leaves_nothing_in_the_prearchive(hospital: Hospital) -> None:
    """A3."""
    hospital.send(make_object(), make_object(), direct=True)
    assert hospital.objects("prearchive") == []
    (session,) = hospital.fall_silent()
    assert where(session) == ("AUTO", "MR_7", "archive", "ARCHIVED")
    assert len(hospital.objects("archive")) == session.objects == 2


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_the_same_study_again_is_a_duplicate_of_the_archived_one(
    hospital: Hospital, first: bool, again: bool
) -> None:
    objects = [make_object(), make_object()]
    hospital.send(*objects, direct=first)
    hospital.fall_silent()
    hospital.send(*objects, direct=again)
    (archived,) = hospital.fall_silent()
    assert (archived.status, archived.objects) == ("ARCHIVED", 2)
    assert hospital.states() == ["stored", "stored", "duplicate", "duplicate"]
    assert len(hospital.objects("archive")) == 2
    assert hospital.objects("prearchive") == []


def test_other_content_of_the_same_study_directly_is_one_conflict_in_the_prearchive(
    hospital: Hospital,
) -> None:
    """A4."""
    objects = [make_object(), make_object()]
    hospital.send(*objects, direct=True)
    hospital.fall_silent()
    for ds in objects:
        ds.ImageComments = "other"
    hospital.send(*objects, direct=True)
    archived, second = hospital.fall_silent()
    assert archived.status == "ARCHIVED"
    assert where(second) == ("AUTO", "MR_7", "prearchive", "CONFLICT")


def test_one_study_to_two_projects_is_two_direct_sessions(hospital: Hospital) -> None:
    """A6."""
    hospital.send(make_object("AUTO"), make_object("MANUAL"), direct=True)
    assert [where(session)[0] for session in hospital.fall_silent()] == ["AUTO", "MANUAL"]


def test_more_series_are_merged_into_the_archived_session(hospital: Hospital) -> None:
    """P13."""
    for number in ("4", "5", "6"):
        series = {"SeriesNumber": number, "SeriesInstanceUID": f"1.2.{number}"}
        hospital.send(make_object(**series), make_object(**series))
        if number != "5":
            hospital.fall_silent()
    (session,) = hospital.fall_silent()
    assert (session.status, session.objects) == ("ARCHIVED", 6)
    scans = {name.split("/")[4] for name in hospital.objects("archive")}
    assert scans == {"4", "5", "6"}


def test_one_series_number_for_two_series_makes_two_scans(hospital: Hospital) -> None:
    """P12."""
    for uid in ("1.2.7", "1.2.1"):
        hospital.send(make_object(SeriesInstanceUID=uid, SeriesNumber="1"))
        hospital.fall_silent()
    hospital.send(make_object(SeriesInstanceUID="1.2.1", SeriesNumber="1"))
    (session,) = hospital.fall_silent()
    scans = sorted(name.split("/")[4] for name in hospital.objects("archive"))
    assert (session.objects, scans) == (3, ["1", "1-CT1", "1-CT1"])


def test_overwriting_leaves_the_new_objects_only(hospital: Hospital) -> None:
    """F7, F20: the same SOP instances under other file names."""
    first = make_object("OVER", InstanceNumber="1", SeriesDescription="old")
    hospital.send(first)
    hospital.fall_silent()
    second = make_object(
        "OVER", InstanceNumber="2", SeriesDescription="new", SOPInstanceUID=first.SOPInstanceUID
    )
    hospital.send(second)
    hospital.fall_silent()
    (file,) = hospital.objects("archive")
    stored = pydicom.dcmread(hospital.data_dir / "archive" / file)
    assert (stored.SeriesDescription, "-4-2-" in file) == ("new", True)


def test_one_instance_in_two_classes_needs_leave_to_overwrite(hospital: Hospital) -> None:
    """F14."""
    enhanced = "1.2.840.10008.5.1.4.1.1.2.1"
    one = make_object()
    other = make_object(SOPClassUID=enhanced, SOPInstanceUID=one.SOPInstanceUID)
    hospital.send(one, other)
    (session,) = hospital.fall_silent()
    assert session.status == "CONFLICT"
    assert len(hospital.objects("prearchive")) == 2


def test_an_archived_study_is_found_by_its_patient_id(hospital: Hospital) -> None:
    hospital.send(make_object(PatientID="P-77", AccessionNumber="A-77"))
    (session,) = hospital.fall_silent()
    for text in ("P-77", "a-77"):
        (found,) = hospital.engine.sessions.find(text).sessions
        assert found.session == session


@contextmanager
def hospital_with(data_dir: Path, **sessions: Any) -> Iterator[Hospital]:
    hospital = Hospital(data_dir, SessionSettings(**sessions))
    try:
        yield hospital
    finally:
        hospital.engine.stop()


def test_unwanted_objects_are_taken_for_success_and_have_a_row(tmp_path: Path) -> None:
    """I1, I2, I4: keys as numbers and as keywords."""
    wanted = "whitelist\n[0020,0013]\n^1$\n[SeriesDescription]\nflair"
    with hospital_with(tmp_path / "data", series_filter=wanted) as hospital:
        hospital.send(
            make_object(InstanceNumber="1"),
            make_object(InstanceNumber="2"),
            make_object(InstanceNumber="3", SeriesDescription="t2 FLAIR"),
        )
        assert hospital.states() == ["stored", "filtered", "stored"]
        assert len(hospital.objects("prearchive")) == 2


def test_files_are_named_by_the_site_s_template(tmp_path: Path) -> None:
    """F1, F2, F11: also if it names them all alike."""
    with hospital_with(tmp_path / "data", file_name_template="${SeriesNumber}.img") as hospital:
        hospital.send(make_object(), make_object(), make_object())
        names = [path.name for path in (tmp_path / "data/prearchive").rglob("*.img")]
        assert len(names) == 3
        assert "4.img" in names


def test_other_content_of_a_sop_instance_is_rejected_if_the_site_wants_that(
    tmp_path: Path,
) -> None:
    first = make_object()
    second = make_object(
        SOPInstanceUID=first.SOPInstanceUID, InstanceNumber=str(first.InstanceNumber)
    )
    second.StationName = "ELSEWHERE"
    with hospital_with(tmp_path / "data", duplicates=DuplicatePolicy.REJECT) as hospital:
        assert hospital.statuses(first, first, second) == [0, 0, 0x0111]
        assert hospital.states() == ["stored", "duplicate", "rejected"]


@contextmanager
def conflicting(data_dir: Path, idle_seconds: int) -> Iterator[threading.Event]:
    """Run an engine that receives one session, which is in conflict once it is archived."""
    port, ds = free_port(), make_object()
    configure(data_dir, make_receiver("XNAT", port), projects=(Project("AUTO"),))
    store = ConfigurationStore(data_dir / "config.json", clock=SystemClock())
    sessions = SessionSettings(idle_seconds=idle_seconds)
    store.set_site(SiteSettings(bind_address=LOOPBACK, sessions=sessions), "test")
    (data_dir / "archive/AUTO/arc001/MR_7").mkdir(parents=True)
    engine = Engine(EngineSettings(data_dir, durability=Durability.NONE))
    engine.start()
    try:
        told = threading.Event()
        engine.subscribe(lambda recorded: told.set() if _is_conflict(recorded.event) else None)
        where = Destination(LOOPBACK, port, "XNAT", "CT")
        with SendingAssociation(where, [ds.SOPClassUID]) as peer:
            assert peer.send(ds) == 0
        engine._index.flush()
        yield told
    finally:
        engine.stop()


def test_the_engine_notices_by_itself_that_a_session_has_fallen_silent(tmp_path: Path) -> None:
    with conflicting(tmp_path / "data", idle_seconds=1) as told:
        assert told.wait(20)


def test_the_engine_does_what_a_command_asks_for_at_once(tmp_path: Path) -> None:
    with conflicting(tmp_path / "data", idle_seconds=3600) as told:
        assert not told.is_set()
        assert main(["--data", str(tmp_path / "data"), "sessions", "rebuild", "1"]) == 0
        assert told.wait(20)


def _is_conflict(event: object) -> bool:
    return isinstance(event, SessionConflicts)


def test_the_route_of_a_study_is_gone_once_its_last_session_is_archived(hospital: Hospital) -> None:
    study, now = "1.2.77", hospital._clock.now()
    path = hospital.data_dir / "state.sqlite"
    with StudyRoutes(path) as routes:
        routes.add([StudyRoute(study, "MANUAL")], "anna", now)
    first = make_object("MANUAL", StudyInstanceUID=study, PatientID="E1")
    hospital.send(first, make_object("MANUAL", StudyInstanceUID=study, PatientID="E2"))
    for session, left in zip(hospital.fall_silent(), (1, 0), strict=True):
        hospital.engine._session_service.ledger.ask(
            session.id, Request(OperationKind.ARCHIVE, "test")
        )
        hospital.engine._session_service.run_requests()
        assert len(read_study_routes(path)) == left
