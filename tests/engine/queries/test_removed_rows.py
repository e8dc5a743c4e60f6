"""A running engine answers about a session of the archive whose rows were removed."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.api.objects import ObjectReference
from engine.app.demo.sender import CT_SCANNER, study
from engine.model.project import Project
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from engine.queries.sessions import ROWS_REMOVED
from engine.service.engine import Engine
from engine.sessions.thinning import Thinning
from engine.settings import Durability, EngineSettings
from engine.state.database import stamp
from tests.fakes import NOW
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom import Dataset

    from engine.model.session import Session

OBJECTS = 3


@contextmanager
def engine_with_archived_session(
    folder: Path,
) -> Iterator[tuple[Engine, Destination, list[Dataset]]]:
    """Run an engine that has archived session 1, of some images, and removed its rows."""
    port, sent = free_port(), images()
    configure(folder, make_receiver("XNAT", port), projects=(Project("NEURO-01"),))
    engine = Engine(EngineSettings(folder, durability=Durability.NONE))
    engine.start()
    try:
        to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
        send(engine, to, sent)
        build(engine, 1)
        engine.sessions.archive(1, "anna")
        assert settled(engine, 1).area is SessionArea.ARCHIVE
        remove_rows(engine)
        yield engine, to, sent
    finally:
        engine.stop(0)


def images() -> list[Dataset]:
    pairs = zip(study(CT_SCANNER, 1, "NEURO-01", NOW), range(OBJECTS), strict=False)
    found = [ds for ds, _ in pairs]
    for ds in found:
        ds.PatientComments = f"{ds.PatientComments} AA:false"
    return found


def send(engine: Engine, to: Destination, datasets: list[Dataset]) -> None:
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        assert [peer.send(ds) for ds in datasets] == [0] * len(datasets)
    assert engine._index.flush(10)


def build(engine: Engine, session: int) -> None:
    engine.sessions.rebuild(session, "anna")
    assert settled(engine, session).status is SessionStatus.READY


def settled(engine: Engine, session: int) -> Session:
    found = engine.sessions.settled(session).session
    assert found is not None
    return found


def remove_rows(engine: Engine) -> None:
    service = engine._session_service
    thinner = Thinning(service._session_context, service._lifecycle._trash._expiry)
    before = stamp(engine._clock.now() + timedelta(days=1))
    assert thinner._thin(service.ledger.session(1), before, lambda: False) == OBJECTS


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def are_removed(engine: Engine) -> bool:
    return engine._session_service.ledger.session(1).rows_removed_at is not None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Engine, Destination, list[Dataset]]]:
    with engine_with_archived_session(tmp_path) as all_of_it:
        yield all_of_it


@pytest.fixture
def engine(running: tuple[Engine, Destination, list[Dataset]]) -> Engine:
    return running[0]


def test_a_look_at_the_session_reads_its_scans_and_no_rows(engine: Engine) -> None:
    detail = engine.sessions.detail(1)
    assert [(scan.description, scan.objects) for scan in detail.scans] == [
        *(("Topogram", 1), ("Thorax 5.0 B40f", 2)),
    ]
    assert ROWS_REMOVED in [moment.text for moment in detail.history]
    (listed,) = engine.sessions.list(SessionQuery(), limit=10).sessions
    assert (listed.objects, listed.rows_removed_at) == (OBJECTS, detail.session.rows_removed_at)
    assert are_removed(engine)
    (detail.folder / detail.scans[0].first_file).unlink()
    assert [scan.objects for scan in engine.sessions.detail(1).scans] == [2]
    # No row could name this one, and no answer.
    odd = os.fsdecode(b"SCANS/\xff/DICOM")
    (detail.folder / odd).mkdir(parents=True)
    shutil.copy(detail.folder / detail.scans[1].first_file, detail.folder / odd / "1.dcm")
    assert [scan.id for scan in engine.sessions.detail(1).scans] == [detail.scans[1].id]


def test_a_list_of_objects_reads_the_rows_again(engine: Engine) -> None:
    scans = engine.sessions.detail(1).scans
    page = engine.sessions.objects(1, scans[1].id)
    assert (page.total, page.objects[0].sop_class) == (2, "CT Image Storage")
    assert not are_removed(engine)
    detail = engine.sessions.detail(1)
    assert [scan.id for scan in detail.scans] == [scan.id for scan in scans]
    assert [source.receiver for source in detail.sources] == [detail.session.receiver]


def test_an_object_is_shown_traced_and_explained_after_its_row_was_removed(engine: Engine) -> None:
    (first, *_) = engine.sessions.detail(1).first_objects
    for ask in (engine.objects.header, engine.objects.thumbnail, engine.objects.why):
        assert ask(first) is not None
        remove_rows(engine)
    uid = engine._intake.router.recent()[0].header.sop_instance_uid or ""
    (found,) = engine.sessions.find(uid).sessions
    assert found.session.id == 1
    assert are_removed(engine)
    trail = engine.objects.trail(ObjectReference(sop_instance_uid=uid))
    assert [session.id for session in trail.sessions] == [1]


def test_an_object_that_is_named_by_its_file_is_known_after_its_row_was_removed(
    engine: Engine,
) -> None:
    (first, *_) = engine.sessions.detail(1).first_objects
    assert engine.objects.compare(first).rows
    remove_rows(engine)
    named = ObjectReference(first.session, first.file)
    assert engine.objects.header(named, as_received=True).elements
    remove_rows(engine)
    assert [step.session for step in engine.objects.trail(named).steps] == [1]


def test_a_study_that_is_sent_again_ends_as_the_same_session(
    running: tuple[Engine, Destination, list[Dataset]],
) -> None:
    engine, to, sent = running
    send(engine, to, sent[:1])
    # The first object has asked for the rows.
    wait_for(lambda: not are_removed(engine))
    send(engine, to, sent)
    states = [one.state for one in engine.objects.recent(limit=OBJECTS)]
    assert states == ["duplicate"] * OBJECTS
    (later,) = engine.sessions.list(SessionQuery(area=SessionArea.PREARCHIVE), limit=9).sessions
    build(engine, later.id)
    remove_rows_if_possible(engine)
    preview = engine.sessions.preview_archive(later.id, merge=True)
    assert (preview.conflicts, preview.added) == ((), 0)
    assert preview.skipped == 1
    engine.sessions.archive(later.id, "anna", merge=True)
    assert engine.sessions.settled(later.id).session is None
    (archived,) = engine.sessions.list(SessionQuery(area=SessionArea.ARCHIVE), limit=9).sessions
    assert (archived.id, archived.objects) == (1, OBJECTS)


def remove_rows_if_possible(engine: Engine) -> None:
    """Check that a study in the prearchive keeps the rows of its archived session."""
    service = engine._session_service
    thinner = Thinning(service._session_context, service._lifecycle._trash._expiry)
    before = stamp(engine._clock.now() + timedelta(days=1))
    assert thinner._thin(service.ledger.session(1), before, lambda: False) == 0


def test_an_engine_commits_to_an_object_whose_row_was_removed(engine: Engine) -> None:
    header = engine._intake.router.recent()[0].header
    reference = (header.sop_class_uid or "", header.sop_instance_uid or "")
    assert engine._commitment_service._lookup.failures((reference,)) == {}
    assert not are_removed(engine)
    remove_rows(engine)
    sender = engine._follow_ups.forwarding._context.arrivals
    assert sender.latest_of(reference[1]) is not None


def test_the_setting_removes_rows_by_itself(tmp_path: Path) -> None:
    with engine_with_archived_session(tmp_path) as (engine, *_):
        engine.sessions.objects(1, "1")
        assert not are_removed(engine)
        with engine._index.changing() as connection:
            connection.execute(
                "UPDATE sessions SET last_object_at = :at, changed_at = :at, rows_kept_at = :at",
                {"at": stamp(engine._clock.now() - timedelta(days=3))},
            )
        site = engine.site()
        changed = replace(site, sessions=replace(site.sessions, index_days=2))
        engine.set_site(changed, "anna")

        def look_again() -> bool:
            # Not only after an hour.
            engine._session_service._lifecycle._thinning._thin_at = 0.0
            engine._session_service.notify()
            return are_removed(engine)

        wait_for(look_again)
        # The session says so before its last row is gone, and the event comes after it.
        wait_for(lambda: is_told(engine, f"{OBJECTS} rows of 1 archived session removed"))


def is_told(engine: Engine, words: str) -> bool:
    return any(words in one.event.sentence() for one in engine.events_since(0, 1000).events)
