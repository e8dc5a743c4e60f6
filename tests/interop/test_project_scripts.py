"""Scripts of site and project over TCP, from the sender to the archive (XNAT 12.10)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from engine.api.objects import ObjectReference, RowChange
from engine.api.scripts import FindingKind, LeftText, ScriptTrial, TrialOutcome
from engine.errors import NotFound
from engine.events import IdentifyingValuesShown
from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.model.anonymization import ProfileSettings, Retain, ScriptScope, SiteScript
from engine.model.identity import MASK
from engine.model.session import SessionStatus
from engine.sessions.service import sessions_without_engine
from engine.settings import EngineSettings
from tests import dicom
from tests.engine.cli.outcome import spawn
from tests.interop.test_sessions import Hospital, make_object
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository

UNKNOWN_CLASS = "1.2.3.4.99999999999999999999999"
BY_SITE = '(0008,0080) := "SITE"'
BY_PROJECT = '(0008,1040) := "PROJECT"'
NAME = "QUINCE^ZEBEDEE"


class Clinic(Hospital):
    """A hospital with a receiver without anonymization, and scripts of site and project."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.raw_port = free_port()
        raw = make_receiver("RAW", self.raw_port, anonymization=False)
        self.engine.save_receiver(raw, "test")
        self._labels = 0

    def scripts(self, site: str, project: str) -> None:
        text = 'version "6.6"\n{}\n'.format
        self.engine.set_site(
            replace(self.engine.site(), script=SiteScript(bool(site), text(site))), "test"
        )
        manual = self.manual()
        changed = replace(
            manual, anonymization_script=text(project), anonymization_script_enabled=bool(project)
        )
        self.engine.save_project(changed, "test", replacing=manual)

    def manual(self) -> Any:
        return next(p for p in self.engine.projects() if p.id == "MANUAL")

    def new_session(self) -> str:
        self._labels += 1
        return f"E{self._labels}"

    def receive(self, label: str, *objects: Dataset, port: int = 0) -> None:
        classes = {str(ds.SOPClassUID) for ds in objects}
        destination = Destination(LOOPBACK, port or self.port, "XNAT", "CT")
        if port == self.raw_port:
            destination = Destination(LOOPBACK, port, "RAW", "CT")
        for ds in objects:
            ds.PatientID = label
            ds.StudyInstanceUID = f"1.2.{label[1:]}"
        with SendingAssociation(destination, classes) as peer:
            assert [peer.send(ds) for ds in objects] == [0] * len(objects)

    def session(self, label: str) -> Session:
        self.fall_silent()
        return next(s for s in self.engine._index.sessions() if s.label == label)

    def archived(self, label: str) -> Session:
        session = self.session(label)
        if session.status is SessionStatus.READY:
            self.engine._session_service.ledger.ask(
                session.id, Request(OperationKind.ARCHIVE, "test")
            )
            self.engine._session_service.run_requests()
        return self.session(label)

    def files(self, area: str, label: str) -> dict[str, Dataset]:
        """Return the objects of a session by series, resource and instance number."""
        found: dict[str, Dataset] = {}
        for path in (self.data_dir / area).rglob("*.dcm"):
            if label in path.parts:
                ds = pydicom.dcmread(path)
                found[f"{path.parts[-3]}/{path.parts[-2]}/{ds.get('InstanceNumber', '')}"] = ds
        return found


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path_factory.mktemp("clinic") / "data")
    clinic.scripts(BY_SITE, "")
    clinic.statuses(make_object("MANUAL"))  # starts a process, which takes a while
    yield clinic
    clinic.engine.stop()


def make(number: int = 1, series: str = "4", **values: Any) -> Dataset:
    elements = {
        "InstanceNumber": str(number),
        "SeriesNumber": series,
        "SeriesInstanceUID": f"1.5.{series}",
        "PatientName": NAME,
    } | values
    return make_object("MANUAL", **elements)


def with_late_elements() -> Dataset:
    ds = make(1, SOPClassUID=dicom.MR_IMAGE_STORAGE)
    for group in (0x0019, 0x9753, 0xFFFB):
        ds.private_block(group, "MAKER", create=True).add_new(0x01, "LO", NAME)
    ds.add_new(0xFFFCFFFC, "OB", b"padding.")
    return ds


@pytest.mark.parametrize(
    ("statement", "left"),
    [("removeAllPrivateTags", set()), ("- (9753,{MAKER}01)", {0x0019, 0xFFFB})],
    ids=["C1", "C2"],
)
def test_private_elements_are_removed_beyond_the_pixel_data_too(
    clinic: Clinic, statement: str, left: set[int]
) -> None:
    clinic.scripts(statement, "")
    label = clinic.new_session()
    clinic.receive(label, with_late_elements())
    clinic.session(label)
    (ds,) = clinic.files("prearchive", label).values()
    values = {e.tag.group for e in ds if e.tag.is_private and e.tag.element > 0xFF}
    assert values == left
    assert ds[0xFFFCFFFC].value == b"padding."


def test_pixels_are_edited(clinic: Clinic) -> None:
    """C4."""
    clinic.scripts('alterPixels["rectangle", "l=0, t=0, r=1, b=1", "solid", "v=0"]', "")
    label = clinic.new_session()
    form: dict[str, Any] = {
        "SamplesPerPixel": 1,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
    }
    ds = make(1, PhotometricInterpretation="MONOCHROME2", **form)
    ds.PixelData = b"\xff" * len(ds.PixelData)
    clinic.receive(label, ds)
    clinic.session(label)
    (stored,) = clinic.files("prearchive", label).values()
    assert stored.PixelData != ds.PixelData
    assert 0 in stored.PixelData


def test_the_profile_of_a_project_is_applied_before_its_script(clinic: Clinic) -> None:
    clinic.scripts("", '(0010,0010) := "LAST"')
    manual = clinic.manual()
    profile = ProfileSettings(enabled=True, retain=(Retain.UIDS,))
    clinic.engine.save_project(replace(manual, profile=profile), "test", replacing=manual)
    label = clinic.new_session()
    clinic.receive(label, make(1, AccessionNumber="ACC-9"), port=clinic.direct_port)
    clinic.session(label)
    clinic.engine.save_project(manual, "test", replacing=clinic.manual())
    (ds,) = clinic.files("archive", label).values()
    assert (str(ds.PatientName), ds.get("AccessionNumber")) == ("LAST", "")
    assert (ds.PatientIdentityRemoved, ds.StudyInstanceUID) == ("YES", f"1.2.{label[1:]}")


def test_a_script_is_tried_on_what_arrived_and_on_what_is_stored(clinic: Clinic) -> None:
    clinic.scripts("", "")
    label = clinic.new_session()
    sent = make(1, AccessionNumber="ACC-9")
    clinic.receive(label, sent)
    session = clinic.session(label)
    (file,) = clinic.engine._session_service.ledger.stored_files(session.id)
    scripts = clinic.engine.scripts
    copies = '(0018,1030) := (0010,0010)\n(0008,1030) := concatenate["of ", (0010,0010)]\n'
    text = f'version "6.1"\n{copies}(0010,0010) := session\n- (0008,0050)\n(0008,1040) := project\n'
    trial = ScriptTrial(ScriptScope.SITE, text=text)
    recent = ObjectReference(sop_instance_uid=str(sent.SOPInstanceUID))
    stored = ObjectReference(session.id, file)
    seen = len(_seen_by(clinic))
    for reference in (recent, stored):
        hidden = scripts.preview(trial, reference)
        assert len(_seen_by(clinic)) == seen
        assert (hidden.outcome, hidden.labels[2]) == (TrialOutcome.EDITED, label)
        assert not any(NAME in str(row) for row in hidden.rows)
        found = {row.keyword: (row.after, row.masked, row.identifying) for row in hidden.rows}
        assert found["ProtocolName"] == found["StudyDescription"] == (MASK, True, False)
        shown = scripts.shown_preview(trial, reference, "anna")
        rows = {row.keyword: (row.change, row.before, row.after) for row in shown.rows}
        seen += 1
        assert _seen_by(clinic)[seen - 1 :] == ["anna"]
        assert rows["PatientName"] == (RowChange.CHANGED, NAME, label)
        assert rows["ProtocolName"][2] == NAME
        assert rows["AccessionNumber"] == (RowChange.REMOVED, "ACC-9", None)
        assert rows["InstitutionalDepartmentName"][0] is RowChange.ADDED
    assert str(pydicom.dcmread(clinic.engine.objects.path(stored)).PatientName) == NAME  # type: ignore[attr-defined]
    _assert_verdicts(clinic, stored)


def _seen_by(clinic: Clinic) -> list[str]:
    page = clinic.engine.events_since(0, 10_000)
    return [r.event.by for r in page.events if isinstance(r.event, IdentifyingValuesShown)]


def _assert_verdicts(clinic: Clinic, stored: ObjectReference) -> None:
    def outcome(text: str) -> tuple[TrialOutcome, int]:
        trial = ScriptTrial(ScriptScope.PROJECT, "MANUAL", f'version "6.1"\n{text}\n')
        made = clinic.engine.scripts.preview(trial, stored)
        return made.outcome, made.line

    assert outcome("reject[]") == (TrialOutcome.REJECTED, 0)
    assert outcome("(0010,0010) := nobody") == (TrialOutcome.FAILED, 2)
    assert outcome("(0010,,") == (TrialOutcome.INVALID, 2)
    with pytest.raises(NotFound):
        clinic.engine.scripts.preview(ScriptTrial(ScriptScope.PROJECT, "GONE"), stored)
    assert clinic.engine.scripts.check(" \n") == ()
    (error,) = clinic.engine.scripts.check('version "6.1"\n- (0010,\n')
    assert (error.kind, error.line) == (FindingKind.ERROR, 2)
    left = clinic.engine.scripts.left
    assert LeftText("(0042,0010)", "Document Title") in left('version "6.1"\n- (0010,0020)\n')
    assert "Document Title" not in {one.name for one in left('version "6.1"\n- (0042,0010)\n')}
    assert left(" \n") == left("- (0010,\n") == ()
    (trap,) = clinic.engine.scripts.check('version "6.1"\n- (0010,0020)\n')
    assert (trap.kind, trap.trap, trap.line) == (FindingKind.TRAP, "nested-copies", 2)


def test_a_new_index_knows_of_every_object_what_has_been_done_to_it(tmp_path: Path) -> None:
    """A script that ran on each object once does so no second time, and on raw ones never."""
    clinic = Clinic(tmp_path / "data")
    try:
        clinic.scripts(BY_SITE, '(0008,1030) := concatenate[(0008,1030), "+"]')
        done, direct, raw, due = (clinic.new_session() for _ in range(4))
        clinic.receive(done, make())
        clinic.receive(direct, make(), port=clinic.direct_port)
        clinic.receive(raw, make(), port=clinic.raw_port)
        for label in (done, direct):
            assert clinic.archived(label).status == "ARCHIVED"
        clinic.receive(due, make())
        clinic.session(due)
        known = due_of(clinic.engine._session_service.ledger)
    finally:
        clinic.engine.stop()
    assert known == {done: 0, direct: 0, raw: 0, due: 1}
    outcome = spawn("engine", "--data", str(tmp_path / "data"), "check", "--rebuild-index")
    assert outcome.returncode == 0, outcome.stderr
    settings = EngineSettings(tmp_path / "data")
    with sessions_without_engine(settings, SystemClock()) as session_service:
        assert due_of(session_service.ledger) == known


def due_of(ledger: SessionRepository) -> dict[str, int]:
    """Return how many objects of each session wait for their project's script."""
    sessions = ledger.in_status(*SessionStatus)
    return {session.label: len(ledger.due_files(session.id)) for session in sessions}


@pytest.mark.parametrize("first", [False, True], ids=["then archived", "directly"])
@pytest.mark.parametrize("again", [False, True], ids=["to be archived", "directly"])
def test_a_resend_is_compared_with_what_the_script_has_made_of_it(
    clinic: Clinic, first: bool, again: bool
) -> None:
    clinic.scripts(BY_SITE, BY_PROJECT)
    label, ports = clinic.new_session(), (clinic.port, clinic.direct_port)
    objects = [make(1), make(2, SOPClassUID=UNKNOWN_CLASS)]
    clinic.receive(label, *objects, port=ports[first])
    archived = clinic.archived(label)
    assert archived.status is SessionStatus.ARCHIVED
    files = clinic.files("archive", label)
    clinic.receive(label, *objects, port=ports[again])
    assert clinic.states()[-2:] == ["duplicate", "duplicate"]
    assert clinic.session(label).id == archived.id
    assert clinic.files("archive", label).keys() == files.keys()
    assert clinic.files("prearchive", label) == {}
    clinic.scripts(BY_SITE, '(0008,1040) := "OTHER"')
    clinic.receive(label, *objects, port=ports[again])
    assert clinic.states()[-2:] == ["stored", "stored"]  # a person decides on the difference
