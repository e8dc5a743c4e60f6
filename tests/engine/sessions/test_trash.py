"""What leaves the trash, and when: entries of ours that are old enough, and nothing else."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.events.sessions import TrashPurged
from engine.model.session import SessionArea
from engine.sessions.ledger import FORGOTTEN_AT_ONCE
from engine.sessions.trash import PURGE_SECONDS, ExpiryClock, Trash, put_into_trash_at
from tests.counting import counted_index
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick", "in_utc")
DAYS = 30


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


@pytest.fixture
def trash(depot: Depot) -> Trash:
    expiry = ExpiryClock(depot.clock, depot.journal)
    return Trash(depot.areas, depot.ledger, depot.journal, depot.clock, expiry)


def purge(trash: Trash) -> None:
    while trash.purge_next(DAYS):
        pass


def put(depot: Depot, days: float = DAYS, seconds: float = 1, number: int = 1) -> Path:
    """Make an entry that was put into the trash that long ago."""
    at = depot.clock.now() - timedelta(days=days, seconds=seconds)
    entry = depot.areas.trash / f"{at:%Y%m%d_%H%M%S}000_{number}"
    (entry / "E1/SCANS/4/DICOM").mkdir(parents=True)
    (entry / "E1/SCANS/4/DICOM/a.dcm").touch()
    return entry


def test_an_entry_goes_once_it_is_older_than_the_days(depot: Depot, trash: Trash) -> None:
    old, young = put(depot), put(depot, seconds=0)
    purge(trash)
    assert (old.exists(), young.exists()) == (False, True)
    assert depot.told(TrashPurged) == ["1 folder of the trash removed for good"]


def test_entries_are_counted(depot: Depot, trash: Trash) -> None:
    for number in (1, 2, 3):
        put(depot, number=number)
    purge(trash)
    assert depot.told(TrashPurged) == ["3 folders of the trash removed for good"]


@pytest.mark.parametrize(("objects", "transactions"), [(1, 1), (FORGOTTEN_AT_ONCE, 3)])
def test_the_rows_of_several_entries_go_in_one_transaction_unless_there_are_many(
    depot: Depot, trash: Trash, objects: int, transactions: int
) -> None:
    for number in (1, 2, 3):
        folder = f"{put(depot, number=number).name}/E1"
        with depot.index.changing() as connection:
            connection.execute(
                "INSERT INTO sessions (label, study_instance_uid, folder, status, receiver, area,"
                " calling_ae_title, first_object_at, last_object_at, objects)"
                " VALUES ('E1', '1.2', ?, 'DELETED', 'XNAT:8104', 'trash', 'CT', '', '', ?)",
                (folder, objects),
            )
    with counted_index(depot.index) as counts:
        purge(trash)
    assert counts.statements.count("BEGIN IMMEDIATE") == transactions
    assert depot.index.sessions() == ()
    assert depot.told(TrashPurged) == ["3 folders of the trash removed for good"]


def test_a_purge_ends_after_one_entry_if_the_engine_stops(depot: Depot) -> None:
    for number in (1, 2, 3):
        put(depot, number=number)
    assert depot.lifecycle.run_due(lambda: len(list(depot.areas.trash.iterdir())) < 3) == 0
    assert depot.told(TrashPurged) == ["1 folder of the trash removed for good"]
    depot.lifecycle.run_due()
    assert list(depot.areas.trash.iterdir()) == []


def test_nothing_is_told_if_nothing_is_old(depot: Depot, trash: Trash) -> None:
    put(depot, days=1)
    purge(trash)
    assert depot.told(TrashPurged) == []


def test_the_trash_is_looked_through_once_an_hour(depot: Depot, trash: Trash) -> None:
    purge(trash)
    entry = put(depot)
    depot.clock.advance(PURGE_SECONDS - 1)
    purge(trash)
    assert entry.exists()
    depot.clock.advance(1)
    purge(trash)
    assert not entry.exists()


@pytest.mark.parametrize(
    "name",
    [
        "20250101_120000000",
        "20250101_120000000_1_copy",
        "x20250101_120000000_1",
        "20251301_120000000_1",
        "20250101_126000000_1",
        "0 notes",
    ],
)
def test_what_is_no_entry_of_ours_stays_and_keeps_nothing_else(
    depot: Depot, trash: Trash, name: str
) -> None:
    foreign = depot.areas.trash / name
    foreign.mkdir()
    entry = put(depot)
    purge(trash)
    assert (foreign.exists(), entry.exists()) == (True, False)


def test_a_trash_that_somebody_removed_is_empty(depot: Depot, trash: Trash) -> None:
    depot.areas.trash.rmdir()
    purge(trash)
    assert depot.told(TrashPurged) == []
    assert not depot.areas.trash.exists()


def test_an_entry_that_can_not_be_removed_keeps_no_other(
    depot: Depot,
    trash: Trash,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, other = put(depot, days=DAYS + 1), put(depot)
    rmdir = os.rmdir

    def refuse(path: Path | str, *, dir_fd: int | None = None) -> None:
        if str(path) == str(stuck):
            raise OSError(errno.EBUSY, "Device or resource busy")
        rmdir(path, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", refuse)
        purge(trash)
    assert (stuck.exists(), other.exists()) == (True, False)
    assert depot.told(TrashPurged) == ["1 folder of the trash removed for good"]
    assert f"an entry of the trash can't be removed: {stuck.name}" in caplog.text


def test_a_session_in_the_trash_says_since_when(depot: Depot) -> None:
    session = depot.session(depot.receive())
    at = datetime(2026, 8, 20, 7, 5, 9, tzinfo=UTC)
    deleted = replace(session, area=SessionArea.TRASH, folder="20260820_070509123_2/E1")
    assert put_into_trash_at(deleted) == at
    assert put_into_trash_at(replace(deleted, area=SessionArea.ARCHIVE)) is None
    assert put_into_trash_at(replace(deleted, folder="elsewhere/E1")) is None
