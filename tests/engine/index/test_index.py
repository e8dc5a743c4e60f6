"""The session index: rows before files, batches after, nothing lost on a stop."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import OutOfResources, StorageUnusable
from engine.index.reader import ObservedReceiver, read_counts, read_observed, read_whitelist_uses
from engine.index.store import SessionIndex, SessionKey, SessionOrigin
from engine.index.writer import ObjectRow, WhitelistUse
from engine.model.session import ObjectState, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
KEY = SessionKey("NEURO-01", "1.2.3", "S0041_CT_01")
ORIGIN = SessionOrigin("S0041", None, "XNAT:8104", "CT_SCANNER_1", NOW)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SessionIndex]:
    index = SessionIndex(tmp_path / "index.sqlite", durable=False)
    yield index
    index.close()


def folder(at: datetime) -> tuple[str, ...]:
    return ("NEURO-01", f"{at:%Y%m%d_%H%M%S}000", "S0041_CT_01")


def row(
    session: int | None, file: str = "SCANS/1/DICOM/a.dcm", state: str = "stored", size: int = 100
) -> ObjectRow:
    return ObjectRow(
        at=NOW.isoformat(timespec="microseconds"),
        receiver="XNAT:8104",
        calling_ae_title="CT_SCANNER_1",
        address="10.4.7.21:50112",
        association="A-0001",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        state=state,
        status=0,
        reason="",
        session=session,
        file=file,
        bytes=size,
    )


def test_a_new_session_is_committed_before_its_place_is_known(index: SessionIndex) -> None:
    place = index.session_for(KEY, ORIGIN, folder)
    assert place.is_new
    assert place.folder == ("NEURO-01", "20260824_140322000", "S0041_CT_01")
    (session,) = index.sessions(SessionStatus.RECEIVING)
    assert (session.id, session.project, session.objects) == (place.id, "NEURO-01", 0)


def test_the_same_key_finds_the_same_session(index: SessionIndex) -> None:
    first = index.session_for(KEY, ORIGIN, folder)
    again = index.session_for(KEY, ORIGIN, folder)
    assert (again.id, again.folder, again.is_new) == (first.id, first.folder, False)


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(project=None),
        KEY._replace(project="NEURO-02"),
        KEY._replace(study_instance_uid="1.2.4"),
        KEY._replace(label="S0041_CT_02"),
    ],
)
def test_another_project_study_or_label_is_another_session(
    index: SessionIndex, other: SessionKey
) -> None:
    first = index.session_for(KEY, ORIGIN, folder)
    second = index.session_for(other, ORIGIN, lambda _at: ("x", "20260824_140322001", "y"))
    assert second.id != first.id


def test_two_sessions_of_one_label_in_one_millisecond_get_a_folder_each(
    index: SessionIndex,
) -> None:
    def by_time(at: datetime) -> tuple[str, ...]:
        return "NEURO-01", at.strftime("%Y%m%d_%H%M%S%f")[:-3], "S0041_CT_01"

    first = index.session_for(KEY, ORIGIN, by_time)
    second = index.session_for(KEY._replace(study_instance_uid="1.2.9"), ORIGIN, by_time)
    third = index.session_for(KEY._replace(study_instance_uid="1.2.10"), ORIGIN, by_time)
    assert len({first.folder, second.folder, third.folder}) == 3
    with pytest.raises(OutOfResources, match="no free session folder name"):
        index.session_for(
            KEY._replace(study_instance_uid="1.2.11"), ORIGIN, lambda _at: first.folder
        )


def test_a_session_without_project_is_found_again_after_a_restart(tmp_path: Path) -> None:
    key = KEY._replace(project=None)
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    first = index.session_for(key, ORIGIN, folder)
    index.close()
    index = SessionIndex(path, durable=False)
    again = index.session_for(key, ORIGIN, folder)
    assert (again.id, again.is_new, index.receiving()) == (first.id, False, 1)
    index.close()
    assert index.receiving() == 1  # consoles show the engine until its very end


def test_sixteen_threads_asking_for_one_session_get_one_row(index: SessionIndex) -> None:
    barrier = threading.Barrier(16)
    found: list[int] = []

    def ask() -> None:
        barrier.wait()
        found.append(index.session_for(KEY, ORIGIN, folder).id)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(index.sessions()) == 1


def test_a_flush_does_not_wait_for_rows_that_come_after_it(index: SessionIndex) -> None:
    done = index.objects_written.add(lambda: index.record(row(None, "")))
    index.record(row(None, ""))
    assert index.flush(20)
    done()


def test_only_rows_of_a_session_are_waited_for_before_it_is_worked_on(index: SessionIndex) -> None:
    busy = index.session_for(KEY, ORIGIN, folder)
    silent = index.session_for(KEY._replace(label="E2"), ORIGIN, lambda _: ("P", "t", "E2"))
    with index.changing():  # no row is written meanwhile
        index.record(row(busy.id, "SCANS/1/DICOM/1.dcm"))
        assert index.flush_session(silent.id, 0)
        assert not index.flush_session(busy.id, 0)
    assert index.flush_session(busy.id, 20)


def test_object_rows_and_session_counts_are_there_after_a_flush(index: SessionIndex) -> None:
    place = index.session_for(KEY, ORIGIN, folder)
    for number in range(250):
        index.record(row(place.id, f"SCANS/1/DICOM/{number}.dcm"))
    index.record(row(place.id, "SCANS/1/DICOM/1.dcm", state="duplicate"))
    index.record(row(None, "", state="failed"))
    index.flush()
    (session,) = index.sessions()
    assert (session.objects, session.bytes) == (250, 25_000)
    assert len(index.objects()) == 252
    assert len(index.stored_files(place.id)) == 250


def test_rows_queued_before_a_close_are_written_by_it(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    place = index.session_for(KEY, ORIGIN, folder)
    for number in range(100):
        index.record(row(place.id, f"{number}.dcm"))
    index.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM objects").fetchone() == (100,)
    connection.close()


def test_today_counts_start_at_midnight_and_go_by_receiver(index: SessionIndex) -> None:
    index.record(row(None))
    index.record(row(None, state="duplicate"))
    index.record(row(None, state="failed"))
    index.record(row(None, state="filtered"))
    index.flush()
    today = index.today(NOW.replace(hour=0))["XNAT:8104"]
    assert (today.objects, today.bytes, today.failed, today.last_object_at) == (2, 200, 1, NOW)
    assert index.today(NOW + timedelta(seconds=1)) == {}


def test_a_stop_in_good_order_is_remembered_and_a_crash_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    first = SessionIndex(path, durable=False)
    assert first.begin_run()
    first.confirm_run()
    first.close()
    second = SessionIndex(path, durable=False)
    assert second.begin_run()
    crashed = SessionIndex(path, durable=False)
    assert not crashed.begin_run()
    second.close()
    crashed.close()


def test_a_run_that_never_came_to_be_complete_leaves_the_note_of_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    for begins in (True, False, True):
        with closing(SessionIndex(path, durable=False)) as failed:
            if begins:
                failed.begin_run()
    with closing(SessionIndex(path, durable=False)) as later:
        assert not later.begin_run()


def test_a_power_cut_does_not_bring_back_the_clean_stop_before_a_run(tmp_path: Path) -> None:
    path, survived = tmp_path / "index.sqlite", tmp_path / "survived.sqlite"
    with closing(SessionIndex(path, durable=False)) as before:
        before.begin_run()
        before.confirm_run()
    with closing(SessionIndex(path, durable=False)) as running:
        assert running.begin_run()
        # Its WAL is not flushed after every transaction.
        shutil.copy(path, survived)
    with closing(SessionIndex(survived, durable=False)) as after:
        assert not after.begin_run()


def test_status_of_receivers_and_counts_can_be_read_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    observed = (ObservedReceiver("XNAT:8104", "failed", "address in use", NOW),)
    index.observe(observed)
    index.session_for(KEY, ORIGIN, folder)
    index.record(row(None))
    index.flush()
    assert read_observed(path) == observed
    assert read_counts(path, NOW - timedelta(hours=1)) == (1, 1)
    index.close()


def test_uses_of_whitelist_lines_are_counted_per_receiver(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    for receiver, line in [("A:1", "CT1"), ("A:1", "CT1"), ("A:1", "10.0.0.0/8"), ("B:1", "CT1")]:
        index.record(WhitelistUse(receiver, line, NOW.isoformat()))
    index.flush()
    assert read_whitelist_uses(path, "A:1") == {"CT1": 2, "10.0.0.0/8": 1}
    assert read_whitelist_uses(path, "B:1") == {"CT1": 1}
    assert read_whitelist_uses(path, "C:1") == {}
    assert read_whitelist_uses(tmp_path / "none.sqlite", "A:1") is None
    index.close()


def test_reading_where_no_engine_ever_ran_finds_nothing(tmp_path: Path) -> None:
    assert read_observed(tmp_path / "index.sqlite") == ()
    assert read_counts(tmp_path / "index.sqlite", NOW) == (0, 0)


def test_an_empty_session_can_be_forgotten(index: SessionIndex) -> None:
    place = index.session_for(KEY, ORIGIN, folder)
    index.forget_empty(place.id)
    assert index.sessions() == ()
    assert index.receiving() == 0
    assert index.session_for(KEY, ORIGIN, folder).is_new


def test_a_session_row_that_can_not_be_written_refuses_the_object(index: SessionIndex) -> None:
    index.session_for(KEY, ORIGIN, folder)
    with pytest.raises(OutOfResources):
        index.session_for(KEY._replace(label="other"), ORIGIN, folder)


def test_a_broken_index_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"this is not a database, not even nearly one" * 100)
    with pytest.raises(StorageUnusable, match=r"index\.sqlite can't be opened"):
        SessionIndex(path)


def test_an_index_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageUnusable, match="schema 99"):
        SessionIndex(path)


def test_the_index_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    index = SessionIndex(tmp_path / "index.sqlite")
    index.close()
    assert (tmp_path / "index.sqlite").stat().st_mode & 0o777 == 0o600


def test_rows_wait_while_another_process_locks_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    index._connection.execute("PRAGMA busy_timeout = 1")
    monkeypatch.setattr("engine.index.writer.RETRY_SECONDS", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    index.record(row(None, state=ObjectState.FAILED))
    assert len(index.objects()) == 0
    other.execute("COMMIT")
    other.close()
    index.flush()
    assert len(index.objects()) == 1
    index.close()


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"reason": "a plugin's \udc80"}, ["a plugin's ?", "", ""]),
        ({"bytes": 1 << 70}, ["", ""]),
        ({"receiver": None}, ["", ""]),
    ],
    ids=["surrogate", "number", "nothing"],
)
def test_a_row_that_sqlite_does_not_take_costs_no_other_row(
    tmp_path: Path, odd: dict[str, Any], kept: list[str]
) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    index.begin_run()
    index.confirm_run()
    index.record(row(None, state=ObjectState.FAILED))
    index.record(row(None, state=ObjectState.FAILED)._replace(**odd))
    index.record(row(None, state=ObjectState.FAILED))
    assert index.flush(20)
    assert index.is_alive()
    assert sorted((o.reason for o in index.objects()), reverse=True) == kept
    index.close()
    again = SessionIndex(path, durable=False)
    assert again.begin_run() is (len(kept) == 3)  # what is lost is looked for at the next start
    again.close()


def test_a_stop_that_can_not_be_noted_is_no_fault_and_the_next_start_looks_for_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite"
    index = SessionIndex(path, durable=False)
    index.begin_run()
    index.confirm_run()

    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(index, "_note_clean_stop", full)
    index.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        index._connection.execute("SELECT 1")
    again = SessionIndex(path, durable=False)
    assert not again.begin_run()
    again.close()
