"""The trail of an object: every arrival says which session it went to, whatever became of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.api.objects import Filed, ObjectTrail, arrival_words, arrivals_in
from engine.errors import NotFound
from engine.index.operations import OperationKind, Request
from engine.index.trails import known_trail, trail_of
from engine.index.writer import ObjectRow
from engine.sessions.object_changes import ALREADY_HERE
from engine.state.database import stamp
from tests.counting import counted_index
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
UID = "1.2.3.77"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def trail(depot: Depot, uid: str = UID) -> ObjectTrail:
    depot.index.flush()
    with depot.index.reading() as connection:
        return trail_of(connection, uid)


def arrive(depot: Depot, state: str, reason: str, session: int | None, file: str = "") -> None:
    """Note one more arrival of the object, as the pipeline does."""
    values = (stamp(depot.clock.now()), "XNAT:8104", "CT", "", "", "1.2", UID, "1.2")
    depot.index.record(ObjectRow(*values, state, 0, reason, session, file, 0))


def ask(depot: Depot, number: int, kind: OperationKind, **options: Any) -> None:
    depot.ledger.ask(number, Request(kind, "anna", **options))
    depot.lifecycle.run_requests()


def went_to(depot: Depot) -> list[str]:
    return [step.went_to for step in trail(depot).steps]


def test_every_arrival_names_the_session_it_went_to_and_sessions_their_arrivals(
    depot: Depot,
) -> None:
    first = depot.receive(label="E1", SOPInstanceUID=UID)
    second = depot.receive(None, label="E2", SOPInstanceUID=UID, StudyInstanceUID="1.9")
    arrive(depot, "duplicate", ALREADY_HERE, first, "SCANS/4/DICOM/1.dcm")
    arrive(depot, "rejected", "no project", None)
    assert went_to(depot) == [
        f"session {first}: NEURO-01 / S1 / E1, prearchive",
        f"session {second}: Unassigned / S1 / E2, prearchive",
        f"session {first}: NEURO-01 / S1 / E1, prearchive",
        "none: rejected",
    ]
    found = trail(depot)
    assert [session.id for session in found.sessions] == [first, second]
    assert arrivals_in(first, found.steps) == (1, 3)
    assert arrival_words(second, found.steps) == "2"
    assert found.steps[3].filed is Filed.NOT_KEPT


def test_a_session_that_was_moved_and_deleted_is_named_as_it_is_now(depot: Depot) -> None:
    number = depot.receive(label="E1", SOPInstanceUID=UID)
    depot.fall_silent()
    ask(depot, number, OperationKind.MOVE, project="HEART")
    depot.fall_silent()
    assert went_to(depot) == [f"session {number}: HEART / S1 / E1, prearchive"]
    ask(depot, number, OperationKind.DELETE)
    depot.fall_silent()
    assert went_to(depot) == [f"session {number}: HEART / S1 / E1, deleted, in the trash"]
    depot.ledger.forget(number)
    assert went_to(depot) == ["deleted: its session was removed for good"]
    assert trail(depot).steps[0].filed is Filed.REMOVED


def test_a_merged_object_is_in_the_session_that_has_it(depot: Depot) -> None:
    first = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4", auto_archive=True)
    depot.fall_silent()
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5", auto_archive=True, SOPInstanceUID=UID)
    depot.fall_silent()
    assert went_to(depot) == [f"session {first}: NEURO-01 / S1 / E1, archive"]


def test_other_content_of_the_object_replaces_what_came_before(depot: Depot) -> None:
    number = depot.receive(SOPInstanceUID=UID, name="a.dcm")
    depot.index.flush()
    depot.replace(depot.session(number), "SCANS/4/DICOM/a.dcm", UID, PatientName="Other")
    arrive(depot, "duplicate", ALREADY_HERE, number, "SCANS/4/DICOM/a.dcm")
    place = f"session {number}: NEURO-01 / S1 / E1, prearchive"
    assert went_to(depot) == [f"replaced by a later arrival in {place}", place, place]


def test_an_object_that_was_overwritten_in_the_archive_says_so(depot: Depot) -> None:
    first = depot.receive(SOPInstanceUID=UID, name="a.dcm", auto_archive=True)
    depot.fall_silent()
    second = depot.receive(SOPInstanceUID=UID, name="a.dcm", PatientName="Other")
    depot.fall_silent()
    assert second != first
    ask(depot, second, OperationKind.ARCHIVE, merge=True, overwrite=True)
    depot.fall_silent()
    assert went_to(depot) == [
        "none: replaced by other content in the archive",
        f"session {first}: NEURO-01 / S1 / E1, archive",
    ]


def test_what_a_script_dropped_from_a_session_says_from_which(depot: Depot) -> None:
    number = depot.receive(label="E1")
    arrive(depot, "filtered", "rejected by the script of its project", number)
    assert went_to(depot) == [f"dropped from session {number}: NEURO-01 / S1 / E1, prearchive"]


def test_a_session_that_was_forgotten_while_rows_name_it_hides_no_arrival(depot: Depot) -> None:
    arrive(depot, "filtered", "rejected by the script of its project", 9)
    arrive(depot, "stored", "", 9, "SCANS/4/DICOM/a.dcm")
    assert went_to(depot) == ["none: filtered", "deleted: its session was removed for good"]
    assert trail(depot).sessions == ()


def test_a_trail_is_one_statement_and_reads_no_whole_table(depot: Depot) -> None:
    for number in range(30):
        depot.receive(label=f"E{number}", SOPInstanceUID=UID, StudyInstanceUID=f"1.9.{number}")
    depot.index.flush()
    with counted_index(depot.index) as counts:
        found = trail(depot)
    assert len(found.sessions) == 30
    assert len([s for s in counts.statements if s.startswith("SELECT")]) == 1
    assert counts.scans == set()


def test_an_object_that_the_index_does_not_know_is_not_found(depot: Depot) -> None:
    assert trail(depot, "1.2.999") == ObjectTrail((), ())
    with (
        depot.index.reading() as connection,
        pytest.raises(NotFound, match="no such object"),
    ):
        known_trail(connection, "1.2.999")


def test_many_arrivals_are_counted_not_listed(depot: Depot) -> None:
    number = depot.receive(SOPInstanceUID=UID, name="a.dcm")
    for _ in range(10):
        arrive(depot, "duplicate", ALREADY_HERE, number, "SCANS/4/DICOM/a.dcm")
    assert arrival_words(number, trail(depot).steps) == "1, 2, 3, 4, 5, 6, 7, 8 and 3 more"
