"""A running engine answers a console: real objects, a real index, and the process for headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.api.objects import HeaderBasis, ObjectReference, RowChange, Window
from engine.api.scripts import ScriptTrial
from engine.app.demo.sender import CT_SCANNER, study
from engine.errors import InvalidStudyRoute, NotFound, SessionError, UnreadableObject
from engine.events import IdentifyingValuesShown
from engine.identification.caches import RecentHeaders
from engine.model.anonymization import ScriptScope
from engine.model.file_sample import FileSample
from engine.model.identity import Attribute, masked
from engine.model.project import Project
from engine.model.queries import SessionQuery
from engine.model.session import SessionAction, SessionArea, SessionStatus
from engine.model.study_route import StudyRoute
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from engine.workers.pool import WorkerLost, WorkerTimeout
from tests.fakes import NOW
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import EngineView
    from engine.model.session import Session

OBJECTS = 3
RENAME = 'version "6.1"\n(0010,0010) := project\n'


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that a CT scanner has sent three objects to, and a stranger none."""
    folder, port = tmp_path_factory.mktemp("data"), free_port()
    receiver = make_receiver("XNAT", port, whitelist_enabled=True, whitelist=("CT_SCANNER_1",))
    projects = (Project("NEURO-01"), Project("OTHER"))
    configure(folder, receiver, projects=projects)
    engine = Engine(EngineSettings(folder, durability=Durability.NONE))
    engine.start()
    try:
        _send(port)
        yield engine
    finally:
        engine.stop(0)


def _send(port: int) -> None:
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        images = list(zip(study(CT_SCANNER, 1, "NEURO-01", NOW), range(OBJECTS), strict=False))
        for ds, _ in images:
            ds.PatientComments = f"{ds.PatientComments} AA:false"
        assert [peer.send(ds) for ds, _ in [*images, images[0]]] == [0] * (OBJECTS + 1)


@pytest.fixture
def view(engine: Engine) -> EngineView:
    assert engine._index.flush(10)
    return engine


@pytest.fixture
def session(view: EngineView) -> Session:
    (session,) = view.sessions.list(SessionQuery(), limit=1).sessions
    return session


@pytest.fixture
def reference(view: EngineView) -> ObjectReference:
    newest = next(one for one in view.objects.recent() if one.state == "stored")
    return newest.reference


def test_a_session_is_told_in_detail(view: EngineView, session: Session) -> None:
    detail = view.sessions.detail(session.id)
    assert [scan.description for scan in detail.scans][:2] == ["Topogram", "Thorax 5.0 B40f"]
    assert sum(scan.objects for scan in detail.scans) == session.objects == OBJECTS
    assert detail.duplicates == 1
    assert [source.address for source in detail.sources] == [LOOPBACK]
    assert detail.history[0].text == "first object received"
    assert any("opened in NEURO-01" in moment.text for moment in detail.history)
    assert detail.anonymized_by == ()
    assert detail.folder.is_dir()
    is_open = detail.session.status is SessionStatus.RECEIVING
    assert detail.ready_at == (session.last_object_at + timedelta(minutes=5) if is_open else None)
    page = view.sessions.objects(session.id, detail.scans[1].id)
    assert (page.total, page.objects[0].sop_class) == (2, "CT Image Storage")
    with pytest.raises(NotFound):
        view.sessions.detail(999)
    with pytest.raises(NotFound):
        view.sessions.objects(999, "1")


def test_why_an_object_is_where_it_is_says_each_rule_and_what_would_happen_now(
    engine: Engine,
    view: EngineView,
    reference: ObjectReference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, (status,) = Project("NEURO-01"), engine.snapshot().receivers
    why = view.objects.why(reference)
    assert (why.basis, why.agrees, why.unknown_project) == (HeaderBasis.RECEIVED, True, "")
    assert why.session is not None
    assert (why.session.project, why.receiver_id) == (project.id, status.receiver.id)
    assert why.found is not None
    step = why.found.trace.deciding(Attribute.PROJECT)
    assert step is not None
    # The comment that names the project is masked, the name of the project is not.
    assert (step.result, step.value) == (project.id, masked(step.value))
    header = engine._intake.router.recent()[0].header
    name, patient_id = header.text(0x00100010), header.text(0x00100020)
    assert name is not None
    assert patient_id is not None
    ruled = replace(
        status.receiver, routing_enabled=True, project_routing="(0010,0010):(.*)\n(0010,0020):(.*)"
    )
    view.delete_project(project.id, "anna")
    view.save_receiver(ruled, "anna")
    try:
        why = view.objects.why(reference)
        assert (why.agrees, why.unknown_project) == (False, project.id)
        assert f"project {project.id!r} does not exist" in repr(why)
        assert name not in repr(why)
        assert patient_id not in repr(why.found)
        before = engine.events_since(0, 10_000).next_sequence
        assert name in repr(view.objects.shown_why(reference, "bert"))
        events = [r.event for r in engine.events_since(before, 10_000).events]
        assert [e.by for e in events if isinstance(e, IdentifyingValuesShown)] == ["bert"]
    finally:
        view.save_project(project, "anna")
        view.save_receiver(status.receiver, "anna")
    monkeypatch.setattr(engine._intake.router, "_recent", RecentHeaders())
    stored = view.objects.why(ObjectReference(reference.session, _file(view, reference)))
    assert (stored.basis, stored.agrees) == (HeaderBasis.STORED, True)
    with pytest.raises(NotFound, match="no such object"):
        view.objects.why(ObjectReference(sop_instance_uid="1.2.3"))


def test_a_session_goes_all_the_ways_that_a_person_may_ask_for(
    view: EngineView, session: Session
) -> None:
    sessions, number = view.sessions, session.id
    assert not sessions.rebuild(number, "anna").settled
    assert sessions.settled(number).text == "ready"
    assert sessions.preview_archive(number).added == OBJECTS
    with pytest.raises(NotFound, match="no project 'NOWHERE'"):
        sessions.move(number, "NOWHERE", "anna")
    sessions.move(number, "OTHER", "anna")
    moved = sessions.settled(number).session
    assert moved is not None
    assert (moved.project, moved.status) == ("OTHER", SessionStatus.READY)
    sessions.delete(number, "anna")
    assert sessions.settled(number).text == "deleted"
    detail = sessions.detail(number)
    assert detail.actions == (SessionAction.RESTORE,)
    assert detail.purged_at is not None
    sessions.restore(number, "anna")
    assert sessions.settled(number).text == "ready"
    assert SessionAction.ARCHIVE in sessions.detail(number).actions
    with pytest.raises(SessionError, match="waits for nothing"):
        sessions.cancel(number, "anna")
    sessions.archive(number, "anna")
    archived = sessions.settled(number).session
    assert archived is not None
    assert archived.area is SessionArea.ARCHIVE
    assert sessions.list(SessionQuery()).areas.archive == 1
    assert sessions.settled(999).text == "merged into another session, or removed"


def test_a_header_is_masked_until_somebody_wants_to_see_it_and_that_is_noted(
    engine: Engine, reference: ObjectReference
) -> None:
    header = engine.objects.header(reference)
    name = next(row for row in header.elements if row.keyword == "PatientName")
    assert (name.masked, header.sop_class, header.frames) == (True, "CT Image Storage", 1)
    before = engine.events_since(0, 10_000).next_sequence
    shown = engine.objects.shown(reference, "anna")
    assert "^" in next(row.value for row in shown.elements if row.keyword == "PatientName")
    received = engine.objects.shown(reference, "anna", as_received=True)
    assert {row.keyword for row in received.elements} < {row.keyword for row in shown.elements}
    events = [r.event for r in engine.events_since(before, 10_000).events]
    (first, second) = (e for e in events if isinstance(e, IdentifyingValuesShown))
    assert (first.by, first.session, first.object) == ("anna", reference.session, second.object)
    assert reference.sop_instance_uid not in first.sentence()


def test_rules_are_tried_with_values_masked_until_somebody_wants_to_see_them(
    engine: Engine, view: EngineView
) -> None:
    receiver = replace(
        engine.snapshot().receivers[0].receiver,
        routing_enabled=True,
        project_routing="(0010,0010):(.*)",
        subject_routing="(0010,0010):([^^]+).*",
    )
    before = engine.events_since(0, 10_000).next_sequence
    masked = view.preview_routing(receiver)
    name = engine._intake.router.recent()[0].header.text(0x00100010)
    assert name is not None
    assert all(name.partition("^")[0] not in repr(one) for one in masked)
    shown = view.shown_routing(receiver, "anna")
    assert len(shown) == len(masked) == OBJECTS + 1
    assert all(name in repr(one) for one in shown)
    assert [one.changes for one in masked] == [one.changes for one in shown]
    view.shown_routing(receiver, "anna")
    events = [r.event for r in engine.events_since(before, 10_000).events]
    (told,) = (event for event in events if isinstance(event, IdentifyingValuesShown))
    assert (told.by, 1 + len(told.others)) == ("anna", OBJECTS)


def sample_of(engine: Engine, reference: ObjectReference) -> FileSample:
    content = engine._session_service.folder(
        engine.sessions.detail(reference.session).session
    ).joinpath(reference.file).read_bytes()  # fmt: skip
    return FileSample(content[:8192], len(content))


def test_rules_and_scripts_are_tried_on_a_file_masked_until_somebody_wants_to_see_it(
    engine: Engine, view: EngineView, reference: ObjectReference
) -> None:
    receiver = engine.snapshot().receivers[0].receiver
    sample, trial = sample_of(engine, reference), ScriptTrial(ScriptScope.SITE, text=RENAME)
    name = engine._intake.router.recent()[0].header.text(0x00100010)
    assert name is not None
    (masked,) = view.preview_routing(receiver, file=sample)
    assert masked.is_file
    assert masked.draft.identity is not None
    assert masked.draft.identity.project.value == "NEURO-01"
    made = view.scripts.preview(trial, ObjectReference(), file=sample)
    assert [row.keyword for row in made.rows if row.masked] == ["PatientName"]
    assert not made.complete
    assert name not in repr((masked, made))
    before = engine.events_since(0, 10_000).next_sequence
    shown = view.scripts.shown_preview(trial, ObjectReference(), "bert", file=sample)
    (renamed,) = (row for row in shown.rows if row.keyword == "PatientName")
    assert (renamed.before, renamed.after) == (name, "NEURO-01")
    view.shown_routing(receiver, "bert", file=sample)
    events = [r.event for r in engine.events_since(before, 10_000).events]
    (told,) = (event for event in events if isinstance(event, IdentifyingValuesShown))
    assert told.by == "bert"
    with pytest.raises(UnreadableObject, match="is not a DICOM file"):
        view.scripts.preview(trial, ObjectReference(), file=FileSample(b"x", 1))


def test_what_arrived_is_compared_with_what_is_stored(
    view: EngineView, reference: ObjectReference
) -> None:
    comparison = view.objects.compare(reference)
    assert {row.change for row in comparison.rows} == {RowChange.EQUAL}
    assert len(comparison.rows) > 20
    shown = view.objects.shown_comparison(reference, "anna")
    names = [row.received for row in shown.rows if row.received]
    assert any(row.keyword == "PatientName" and "^" in row.value for row in names)
    assert view.objects.trail(reference).steps[0].state == "stored"
    with pytest.raises(NotFound, match="not in memory"):
        view.objects.header(ObjectReference(sop_instance_uid="1.2.3"))
    with pytest.raises(NotFound, match="no such object"):
        view.objects.trail(ObjectReference(sop_instance_uid="1.2.3"))


def test_an_image_is_made_small_in_another_process(
    view: EngineView, reference: ObjectReference
) -> None:
    image = view.objects.thumbnail(reference, width=32, height=32, window=Window(600, 800))
    assert (image.width, image.height, image.samples, len(image.pixels)) == (32, 32, 1, 1024)
    assert image.window == Window(600, 800)
    assert {0, 255} <= set(image.pixels)
    assert view.objects.thumbnail(reference, frame=2).problem == "there is no frame 2"


@pytest.mark.parametrize(
    "file", ["../../../config.json", "/etc/passwd", "SCANS/1/DICOM/none.dcm", "SCANS\0"]
)
def test_no_name_that_the_index_does_not_know_becomes_a_path(
    view: EngineView, session: Session, file: str
) -> None:
    for ask in (view.objects.header, view.objects.thumbnail, view.objects.trail):
        with pytest.raises(NotFound):
            ask(ObjectReference(session.id, file))


def test_a_file_that_is_gone_or_broken_is_said(
    view: EngineView, reference: ObjectReference
) -> None:
    path = view.sessions.detail(reference.session).folder / _file(view, reference)
    content = path.read_bytes()
    moved = ObjectReference(reference.session, _file(view, reference))
    try:
        path.write_bytes(b"broken")
        with pytest.raises(UnreadableObject, match="the header can't be read"):
            view.objects.header(moved)
        assert view.objects.thumbnail(moved).problem.startswith("the image can't be decoded")
        assert view.sessions.detail(reference.session).scans
        path.unlink()
        with pytest.raises(NotFound, match="not where it was"):
            view.objects.header(moved)
    finally:
        path.write_bytes(content)


def _file(view: EngineView, reference: ObjectReference) -> str:
    """Return where the index says that the object is now."""
    return view.objects.trail(reference).steps[0].file


def test_senders_are_known_with_what_they_sent_and_why_they_were_refused(
    engine: Engine, view: EngineView
) -> None:
    (status,) = engine.snapshot().receivers
    stranger = Destination(LOOPBACK, status.receiver.port, "XNAT", "STRANGER")
    with SendingAssociation(stranger, [CT_SCANNER.sop_class_uid]):
        pass
    assert engine._index.flush(10)
    known = {sender.calling_ae_title: sender for sender in view.senders.list().senders}
    scanner = known["CT_SCANNER_1"]
    assert (scanner.objects, scanner.associations, scanner.address) == (4, 1, LOOPBACK)
    assert scanner.implementation_class_uid.startswith("1.2.826.0.1.3680043.9.3811")
    assert known["STRANGER"].rejected == 1
    assert "whitelist" in known["STRANGER"].last_rejection
    detail = view.senders.detail("CT_SCANNER_1", LOOPBACK)
    assert sum(hour.objects for hour in detail.hours[-2:]) == 4
    assert scanner.day == detail.sender.day == tuple(hour.bytes for hour in detail.hours[-24:])
    assert (scanner.state, known["STRANGER"].state) == ("quiet", "only ever rejected")
    assert detail.receivers == (status.receiver.label,)
    to = Destination(LOOPBACK, status.receiver.port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]):
        (calling,) = view.senders.list(text="ct_sc").senders
        assert calling.open_associations == 1


def test_a_revision_is_brought_back_into_force(engine: Engine, view: EngineView) -> None:
    (status,) = engine.snapshot().receivers
    in_force = view.history.revisions().in_force
    engine.set_enabled(status.receiver.id, False, "anna")
    assert view.history.diff(in_force)[0].sentence.endswith("enabled: on → off")
    assert view.history.restore(in_force, "bert", replacing=in_force + 1) == in_force + 2
    assert engine.snapshot().receivers[0].receiver.enabled


def test_study_routes_are_added_changed_and_removed(view: EngineView) -> None:
    routes = view.study_routes
    assert routes.list().total == 0
    added = routes.save(StudyRoute("1.2.3", " NEURO-01 ", "S1"), "anna")
    assert (added.project, added.added_by) == ("NEURO-01", "anna")
    with pytest.raises(InvalidStudyRoute, match="has this route"):
        routes.save(StudyRoute("1.2.3", "NEURO-01", "S1"), "anna")
    with pytest.raises(InvalidStudyRoute, match=r"already.*; change that one"):
        routes.save(StudyRoute("1.2.3", "OTHER"), "anna")
    with pytest.raises(InvalidStudyRoute, match="names no project"):
        routes.save(StudyRoute("1.2.4", "NOWHERE"), "anna")
    changed = routes.save(StudyRoute("1.2.3", "OTHER"), "berta", replacing=added)
    assert routes.list().routes == (changed,)
    routes.delete("1.2.3", "anna")
    assert routes.list(limit=-1).total == 0


def test_what_can_not_be_read_in_time_or_at_all_is_said(
    engine: Engine, reference: ObjectReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in (
        (WorkerTimeout(), "took too long to read"),
        (WorkerLost(), r"can't be read \(WorkerLost\)"),
    ):

        def fail(_job: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(engine.objects._workers, "run", fail)  # type: ignore[attr-defined]
        with pytest.raises(UnreadableObject, match=said):
            engine.objects.header(reference)
        assert engine.objects.thumbnail(reference).remedy == "use a viewer"
