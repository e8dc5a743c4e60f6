"""Rows of sessions long in the archive go, and whoever needs them has them from the files first."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from engine.commitment.lookup import CommitmentLookup
from engine.dimse.commitment import NO_SUCH_INSTANCE, PROCESSING_FAILURE
from engine.errors import SessionError
from engine.events.sessions import RowsThinned
from engine.index import removed_rows
from engine.index.arrivals import Arrivals
from engine.index.finding import find
from engine.index.operations import OperationKind, Request
from engine.index.store import SessionKey, SessionOrigin
from engine.index.trails import known_trail
from engine.model.project import AutoArchive
from engine.model.session import ProjectScript, SessionArea, SessionStatus
from engine.sessions import rereading, thinning
from engine.sessions.adoption import adopt_findings
from engine.sessions.audit import Audit, audit
from engine.sessions.rereading import require_rows, require_rows_of_instance
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock
from engine.state.database import stamp
from tests.dicom import CT_IMAGE_STORAGE
from tests.engine.index.depot import STUDY, Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.index.writer import ObjectRow

pytestmark = pytest.mark.usefixtures("quick")
DAYS, DAY_SECONDS = 730, 86_400
KEY = SessionKey("NEURO-01", STUDY, "E1")
COLUMNS = "file, sop_class_uid, sop_instance_uid, transfer_syntax_uid, bytes, state, project_script"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """A depot with session 1 of three objects, archived two years and a day ago."""
    with depot_in(tmp_path) as depot:
        depot.codes["NEURO-01"] = AutoArchive.OVERWRITE
        for number in ("4", "4", "5"):
            depot.receive(SeriesNumber=number)
        with depot.index.changing() as connection:
            connection.execute("INSERT INTO traces VALUES (x'00', 1)")
        depot.fall_silent()
        assert depot.session(1).area is SessionArea.ARCHIVE
        depot.clock.advance((DAYS + 1) * DAY_SECONDS)
        yield depot


def thin(depot: Depot, days: float = DAYS) -> bool:
    """Let one look remove what is old enough."""
    thinner = Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))
    return thinner.run(days, lambda: False)


def rows(depot: Depot, session: int = 1) -> list[Any]:
    with depot.index.reading() as connection:
        query = f"SELECT {COLUMNS} FROM objects WHERE session = ? ORDER BY sequence"
        return connection.execute(query, (session,)).fetchall()


def are_removed(depot: Depot, session: int = 1) -> bool:
    return depot.session(session).rows_removed_at is not None


def audited(depot: Depot) -> Audit:
    return audit(depot.index, depot.ledger, depot.areas, live=False)


def test_rows_of_a_session_long_in_the_archive_go_and_its_sums_and_traces_stay(
    depot: Depot,
) -> None:
    before = depot.session(1)
    assert thin(depot) is False
    after = depot.session(1)
    assert after.rows_removed_at == depot.clock.now()
    assert (after.objects, after.bytes) == (before.objects, before.bytes) != (0, 0)
    assert rows(depot) == []
    with depot.index.reading() as connection:
        assert connection.execute("SELECT session FROM traces").fetchall() == [(1,)]
    assert len(depot.objects()) == 3
    (told,) = depot.told(RowsThinned)
    assert told.startswith("3 rows of 1 archived session removed from the index, from before")


def test_rows_come_back_as_they_were_and_are_no_new_arrivals(depot: Depot, tmp_path: Path) -> None:
    before, session = rows(depot), depot.session(1)
    with closing(Arrivals(tmp_path / "index.sqlite")) as arrivals:
        newest = arrivals.newest()
        thin(depot)
        require_rows(depot.session_context, 1)
        assert rows(depot) == before
        assert arrivals.newest() == newest
        assert arrivals.after(0, 100) == ()
    after = depot.session(1)
    assert after.rows_removed_at is None
    assert (after.objects, after.last_object_at) == (session.objects, session.last_object_at)
    # For as long again: something has happened to it.
    thin(depot)
    assert rows(depot) == before
    depot.clock.advance((DAYS + 1) * DAY_SECONDS)
    thin(depot)
    assert are_removed(depot)


def test_many_rows_come_back_in_the_order_of_arrival(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(depot)
    monkeypatch.setattr(rereading, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(thinning, "ROWS_AT_ONCE", 2)
    thin(depot)
    assert are_removed(depot)
    require_rows(depot.session_context, 1)
    assert rows(depot) == before


class MeetingLock:
    """A lock before which two threads wait for each other."""

    def __init__(self) -> None:
        self._met, self._lock = threading.Barrier(2), threading.Lock()

    def __enter__(self) -> None:
        self._met.wait(10)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_two_threads_that_need_the_rows_at_once_have_them_once(depot: Depot) -> None:
    before = rows(depot)
    thin(depot)
    depot.index.rows_lock = MeetingLock()  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(require_rows, depot.session_context, 1) for _ in range(2)]
        for one in asked:
            one.result()
    assert rows(depot) == before


def test_0_days_keep_all_rows(depot: Depot) -> None:
    thin(depot, 0)
    assert not are_removed(depot)


def test_a_session_that_anything_happened_to_since_keeps_its_rows(depot: Depot) -> None:
    depot.ledger.ask(1, Request(OperationKind.DELETE, "anna"))
    depot.ledger.cancel(1)
    thin(depot)
    assert not are_removed(depot)


def test_a_session_whose_study_is_in_the_prearchive_keeps_its_rows(depot: Depot) -> None:
    depot.receive(label="E2")
    thin(depot)
    assert not are_removed(depot)


def test_a_session_that_is_merged_into_keeps_its_rows_for_as_long_again(depot: Depot) -> None:
    depot.receive()
    depot.fall_silent()
    assert [session.id for session in depot.index.sessions()] == [1]
    thin(depot)
    assert len(rows(depot)) == 4


def damage(depot: Depot, change: str) -> None:
    path = depot.areas.folder(depot.session(1)) / rows(depot)[0][0]
    with depot.index.changing() as connection:
        if change == "other UID":
            connection.execute("UPDATE objects SET sop_instance_uid = '1.9' WHERE sequence = 1")
        elif change == "script ran":
            connection.execute("UPDATE objects SET project_script = ?", (ProjectScript.DONE,))
        elif change == "other count":
            connection.execute("UPDATE sessions SET objects = 4")
    if change == "missing":
        path.unlink()
    elif change == "unreadable":
        path.chmod(0)
    elif change == "one more":
        path.with_name("more.dcm").write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    "change", ["other UID", "script ran", "other count", "missing", "unreadable", "one more"]
)
def test_rows_that_the_files_do_not_give_back_stay(
    depot: Depot, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "unreadable":  # root reads everything
        monkeypatch.setattr("engine.storage.files.is_object", refuse)
    damage(depot, change)
    before = rows(depot)
    # It is not looked at again and again.
    assert thin(depot) is False
    assert rows(depot) == before
    with depot.index.reading() as connection:
        assert removed_rows.next_at_rest(connection, stamp(depot.clock.now())) is None


def refuse(_: object) -> bool:
    raise PermissionError(13, "Permission denied")


def test_rows_of_a_folder_that_can_not_be_read_do_not_come_back_as_none(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(depot)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", refuse)
        with pytest.raises(SessionError, match="session 1 can't be read again: 5 files"):
            require_rows(depot.session_context, 1)
    assert are_removed(depot)
    require_rows(depot.session_context, 1)
    assert len(rows(depot)) == 3


def test_a_folder_that_is_away_for_a_while_does_not_make_its_objects_unknown(
    depot: Depot, tmp_path: Path
) -> None:
    thin(depot)
    folder = depot.areas.folder(depot.session(1))
    away = folder.rename(tmp_path / "away")

    def require(session: int) -> None:
        require_rows(depot.session_context, session)

    with closing(Arrivals(tmp_path / "index.sqlite", require)) as arrivals:
        lookup = CommitmentLookup(arrivals, depot.areas, flushes=False)
        references = ((CT_IMAGE_STORAGE, "1.2.3.1"),)
        assert lookup.failures(references) == {0: PROCESSING_FAILURE}
        # A check of that moment must not make the loss a fact.
        adopt_findings(depot.session_context, audited(depot))
        assert are_removed(depot)
        assert depot.session(1).objects == 3
        away.rename(folder)
        assert lookup.failures(references) == {}
    assert len(rows(depot)) == 3


def test_a_folder_that_is_away_is_not_read_for_each_of_its_objects(
    depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    thin(depot)
    read = []

    def takes_two_seconds(*_: object) -> list[ObjectRow]:
        read.append(depot.clock.monotonic())
        depot.clock.advance(2)
        return []

    def require(session: int) -> None:
        require_rows(depot.session_context, session)

    references = tuple((CT_IMAGE_STORAGE, f"1.2.3.{number}") for number in (1, 2, 3))
    with closing(Arrivals(tmp_path / "index.sqlite", require)) as arrivals:
        lookup = CommitmentLookup(arrivals, depot.areas, flushes=False)
        with monkeypatch.context() as patched:
            patched.setattr(rereading, "rows_of_files", takes_two_seconds)
            assert set(lookup.failures(references).values()) == {PROCESSING_FAILURE}
            assert len(read) == len(caplog.messages) == 1
            depot.clock.advance(20)
            lookup.failures(references)
            assert len(read) == 2
        depot.clock.advance(20)
        assert lookup.failures(references) == {}


def test_objects_that_are_missing_are_not_forgotten_by_a_merge(depot: Depot) -> None:
    thin(depot)
    (depot.root / "archive" / depot.objects()[0]).unlink()
    with pytest.raises(SessionError, match="its folder has 2 of 3 objects"):
        require_rows(depot.session_context, 1)
    later = depot.receive(SeriesNumber="6")
    depot.fall_silent()
    assert depot.session(later).area is SessionArea.PREARCHIVE
    assert "2 of 3 objects" in depot.session(later).reason
    assert [(one.counted, one.stored) for one in audited(depot).sessions] == [(3, 2)]


def test_rows_that_were_removed_are_never_taken_for_none(depot: Depot) -> None:
    thin(depot)
    with pytest.raises(SessionError, match="rows of the objects of session 1 were removed"):
        depot.ledger.stored_files(1)
    depot.ledger.recount(1)
    assert depot.session(1).objects == 3


def test_a_later_object_is_merged_into_the_session_beside_all_others(depot: Depot) -> None:
    thin(depot)
    depot.receive(SeriesNumber="6")
    depot.fall_silent()
    assert [session.id for session in depot.index.sessions()] == [1]
    assert len(rows(depot)) == len(depot.objects()) == 4
    assert audited(depot).agrees


def resend(depot: Depot, number: int, **values: Any) -> int:
    """Receive an object anew that came before, as a sender that repeats it."""
    depot._received = number - 1
    name = f"again{number}.dcm"
    return depot.receive(name=name, SOPInstanceUID=f"1.2.3.{number}", **values)


def test_an_object_that_is_there_already_is_skipped_by_the_merge(depot: Depot) -> None:
    thin(depot)
    resend(depot, 1, SeriesNumber="4")
    depot.fall_silent()
    assert len(depot.objects()) == 3
    assert len(depot.objects(SessionArea.TRASH)) == 1
    assert [row[5] for row in rows(depot)].count("stored") == 3
    assert audited(depot).agrees


def test_the_first_object_of_a_resend_has_the_others_judged_again(depot: Depot) -> None:
    thin(depot)
    wanted: list[int] = []
    depot.index.rows_wanted = wanted.extend
    assert depot.index.copies(KEY, "1.2.3.2") == ()
    resend(depot, 1, SeriesNumber="4")
    assert wanted == [1]
    depot.lifecycle.read_again_soon(wanted)
    depot.lifecycle.run_due()
    (copy,) = depot.index.copies(KEY, "1.2.3.2")
    assert (copy.session, copy.area) == (1, SessionArea.ARCHIVE)


def test_a_stop_does_not_wait_for_sessions_that_are_to_be_read_again(depot: Depot) -> None:
    thin(depot)
    depot.lifecycle.read_again_soon([1])
    depot.lifecycle.run_due(lambda: True)
    assert are_removed(depot)
    depot.lifecycle.run_due()
    assert not are_removed(depot)


def test_an_object_of_a_session_with_rows_asks_for_none(depot: Depot) -> None:
    wanted: list[int] = []
    depot.index.rows_wanted = wanted.extend
    origin = SessionOrigin("S1", None, "XNAT:8104", "CT", depot.clock.now())
    depot.index.session_for(KEY, origin, lambda _: ("NEURO-01", "t", "E1"))
    assert wanted == []


def ask(depot: Depot, session: int, kind: OperationKind, **values: Any) -> None:
    depot.ledger.ask(session, Request(kind, "anna", **values))
    depot.lifecycle.run_requests()


def test_a_session_is_deleted_and_restored_with_all_its_objects(depot: Depot) -> None:
    depot.codes.clear()
    before = {row[2] for row in rows(depot)}
    thin(depot)
    ask(depot, 1, OperationKind.DELETE)
    assert depot.session(1).area is SessionArea.TRASH
    assert {row[2] for row in rows(depot)} == before
    ask(depot, 1, OperationKind.RESTORE)
    assert depot.session(1).status is SessionStatus.READY
    assert {row[2] for row in rows(depot)} == before
    assert audited(depot).agrees


def test_an_archiving_of_long_ago_is_undone_with_all_objects(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        depot.receive()
        depot.fall_silent()
        ask(depot, 1, OperationKind.ARCHIVE)
        depot.clock.advance((DAYS + 1) * DAY_SECONDS)
        thin(depot)
        assert are_removed(depot)
        session, request = depot.ledger.request_of_undo(1, "anna")
        depot.ledger.ask(session, request)
        depot.lifecycle.run_requests()
        assert depot.session(1).status is SessionStatus.READY
        assert len(rows(depot)) == 1
        assert audited(depot).agrees


def test_a_session_that_can_not_be_read_is_not_deleted(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(depot)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", refuse)
        ask(depot, 1, OperationKind.DELETE)
    session = depot.session(1)
    assert session.status is SessionStatus.ERROR
    assert "can't be read again" in session.reason
    assert len(depot.objects()) == 3


def fail_to_delete(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave session 1 in the archive as an error, and without rows."""
    thin(depot)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", refuse)
        ask(depot, 1, OperationKind.DELETE)
    assert depot.session(1).status is SessionStatus.ERROR
    assert are_removed(depot)


def test_no_object_joins_a_session_without_rows_whose_action_has_failed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_delete(depot, monkeypatch)
    assert not depot.index.is_open(KEY._replace(area=SessionArea.ARCHIVE))
    require_rows(depot.session_context, 1)
    assert depot.index.is_open(KEY._replace(area=SessionArea.ARCHIVE))


def test_a_session_without_rows_whose_action_has_failed_is_built_with_all_objects(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_delete(depot, monkeypatch)
    depot.ledger.change(1, SessionStatus.RECEIVING)
    depot.fall_silent()
    assert depot.session(1).status is not SessionStatus.ERROR
    assert len(rows(depot)) == len(depot.objects()) == 3
    assert audited(depot).agrees


def test_a_build_of_a_session_without_rows_that_was_cut_short_is_done_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_delete(depot, monkeypatch)
    depot.ledger.change(1, SessionStatus.RECEIVING)
    depot.ledger.change(1, SessionStatus.BUILDING)
    after = depot.restarted()
    try:
        after.lifecycle.begin(clean=False)
        after.lifecycle.recover()
        after.fall_silent()
        assert after.session(1).status not in {SessionStatus.ERROR, SessionStatus.BUILDING}
        assert len(rows(after)) == 3
    finally:
        after.index.close()


def test_a_deletion_that_a_crash_found_waiting_goes_on_without_rows(depot: Depot) -> None:
    depot.codes.clear()
    thin(depot)
    depot.ledger.ask(1, Request(OperationKind.DELETE, "anna"))
    after = depot.restarted()
    try:
        after.lifecycle.begin(clean=False)
        # It holds up no object of the study.
        after.lifecycle.recovery.await_sessions(KEY)
        after.lifecycle.recover()
        after.lifecycle.run_requests()
        assert after.session(1).area is SessionArea.TRASH
        assert len(rows(after)) == 3
    finally:
        after.index.close()


def test_what_an_ended_process_has_left_is_no_matter_of_a_session_without_rows(
    depot: Depot,
) -> None:
    thin(depot)
    depot.lifecycle.adopt_soon([1], [1])
    depot.lifecycle.run_due()
    assert are_removed(depot)


def test_an_instance_leads_to_its_session_without_its_row(depot: Depot) -> None:
    thin(depot)
    with depot.index.reading() as connection:
        found = find(connection, None, "1.2.3.2")
        assert [one.session.id for one in found.sessions] == [1]
        assert found.arrivals == ()
        assert find(connection, None, "1.2.3.99").sessions == ()
    require_rows_of_instance(depot.session_context, "1.2.3.99")
    assert are_removed(depot)
    require_rows_of_instance(depot.session_context, "1.2.3.2")
    with depot.index.reading() as connection:
        (step,) = known_trail(connection, "1.2.3.2").steps
    assert (step.session, step.receiver, step.at) == (
        *(1, "XNAT:8104", depot.session(1).last_object_at),
    )


def test_an_object_is_committed_without_its_row(
    depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(depot)

    def require(session: int) -> None:
        require_rows(depot.session_context, session)

    with closing(Arrivals(tmp_path / "index.sqlite", require)) as arrivals:
        lookup = CommitmentLookup(arrivals, depot.areas, flushes=False)
        references = ((CT_IMAGE_STORAGE, "1.2.3.1"), (CT_IMAGE_STORAGE, "1.2.3.99"))
        with monkeypatch.context() as patched:
            patched.setattr("engine.storage.files.is_object", refuse)
            assert lookup.failures(references) == {0: PROCESSING_FAILURE, 1: NO_SUCH_INSTANCE}
        assert lookup.failures(references) == {1: NO_SUCH_INSTANCE}
        assert arrivals.latest_of("1.2.3.1") is not None


def test_rows_that_go_during_a_look_do_not_make_an_object_unknown(
    depot: Depot, tmp_path: Path
) -> None:
    thin(depot)
    again = iter((True, False))

    def require(session: int) -> None:
        require_rows(depot.session_context, session)
        if next(again):
            depot.clock.advance((DAYS + 1) * DAY_SECONDS)
            thin(depot)

    with closing(Arrivals(tmp_path / "index.sqlite", require)) as arrivals:
        (filed,) = arrivals.filed("1.2.3.1")
    assert filed.area is SessionArea.ARCHIVE


def test_a_check_counts_the_objects_of_a_session_without_rows(depot: Depot) -> None:
    thin(depot)
    assert audited(depot).agrees
    assert are_removed(depot)
    (depot.root / "archive" / depot.objects()[0]).unlink()
    found = audited(depot)
    assert [(one.counted, one.stored) for one in found.sessions] == [(3, 2)]
    adopt_findings(depot.session_context, found)
    assert len(rows(depot)) == depot.session(1).objects == 2
    assert audited(depot).agrees


class _Crash(BaseException):
    """The process ends here."""


def crash_at(depot: Depot, transaction: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end before one of the next transactions."""
    real, left = depot.index.changing, iter(range(transaction))

    def changing() -> Any:
        if next(left, None) is None:
            raise _Crash
        return real()

    monkeypatch.setattr(depot.index, "changing", changing)


@pytest.mark.parametrize("transaction", range(12))
@pytest.mark.parametrize("removed", [False, True])
def test_a_crash_between_any_two_steps_loses_no_row_unnoticed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, removed: bool, transaction: int
) -> None:
    before = rows(depot)
    monkeypatch.setattr(rereading, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(thinning, "ROWS_AT_ONCE", 1)
    if removed:
        thin(depot)
        assert are_removed(depot)
    with monkeypatch.context() as patched:
        crash_at(depot, transaction, patched)
        try:
            if removed:
                require_rows(depot.session_context, 1)
            else:
                thin(depot)
        except _Crash:
            pass
        else:
            assert transaction >= (6 if removed else 9)
    after = depot.restarted()
    try:
        assert are_removed(after) or rows(after) == before
        require_rows(after.session_context, 1)
        assert rows(after) == before
        # The next look removes what a crash has left.
        after.clock.advance((DAYS + 1) * DAY_SECONDS)
        thin(after)
        assert rows(after) == []
        with after.index.reading() as connection:
            assert removed_rows.in_change(connection) == ()
    finally:
        after.index.close()


def test_what_a_crash_has_left_of_the_rows_goes_with_the_next_look(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rereading, "ROWS_AT_ONCE", 1)
    with monkeypatch.context() as patched:
        crash_at(depot, 4, patched)
        with pytest.raises(_Crash):
            thin(depot)
    assert are_removed(depot)
    assert 0 < len(rows(depot)) < 3
    thin(depot)
    assert rows(depot) == []


def test_a_stop_leaves_the_rows_of_a_session_that_is_being_read(depot: Depot) -> None:
    answers = iter((False, False, False, True))
    thinner = Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))
    assert thinner.run(DAYS, lambda: next(answers, True))
    assert not are_removed(depot)
    thin(depot)
    assert are_removed(depot)


def test_only_so_many_objects_are_read_in_one_look(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.clock.advance(-(DAYS + 1) * DAY_SECONDS)
    depot.receive(label="E2", StudyInstanceUID="1.9")
    depot.fall_silent()
    depot.clock.advance((DAYS + 1) * DAY_SECONDS)
    monkeypatch.setattr(thinning, "MOST_OBJECTS", 2)
    assert thin(depot)
    assert [are_removed(depot, 1), are_removed(depot, 2)] == [True, False]
    # The engine looks again soon, and not only in an hour.
    assert thin(depot) in {True, False}
    assert are_removed(depot, 2)


def test_no_look_reads_all_sessions_or_rows(depot: Depot) -> None:
    at = stamp(depot.clock.now())
    with closing(sqlite3.connect(depot.root / "index.sqlite")) as connection:
        for sql, values in (
            (removed_rows.AT_REST, (at,)),
            (removed_rows._MARK_REMOVED, (at, 1, at)),
            (removed_rows._DELETE, (1, 1)),
            (removed_rows.SESSIONS_OF_HASH, (1,)),
            ("SELECT MIN(sequence) FROM objects", ()),
        ):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
            scans = [row[-1] for row in plan if row[-1].startswith("SCAN")]
            assert scans in ([], ["SCAN operations USING INDEX operations_begun"]), sql
