"""Accession numbers and patient IDs: found again, and nowhere in clear."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.sessions import Found, FoundBy
from engine.errors import StorageUnusable
from engine.index.finding import find
from engine.index.traces import ACCESSION_NUMBER, PATIENT_ID, TraceIndex, TraceKey
from tests.engine.index.depot import STUDY, Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


@pytest.fixture
def key(tmp_path: Path) -> TraceKey:
    return TraceKey(tmp_path / "trace.key")


def told(depot: Depot, key: TraceKey | None, text: str) -> Found:
    depot.index.flush()
    with depot.index.reading() as connection:
        return find(connection, key, text)


def found(depot: Depot, key: TraceKey, text: str) -> list[int]:
    return sorted(one.session.id for one in told(depot, key, text).sessions)


def test_a_session_is_found_by_what_its_objects_said(depot: Depot, key: TraceKey) -> None:
    book = TraceIndex(depot.index, key)
    first, second = depot.receive(label="E1"), depot.receive(label="E2")
    book.note(first, [(ACCESSION_NUMBER, "ACC-1"), (PATIENT_ID, "P-0001")])
    book.note(second, [(ACCESSION_NUMBER, "ACC-2"), (PATIENT_ID, "P-0001")])
    book.note(second, [(ACCESSION_NUMBER, None), (PATIENT_ID, "P-0001")])
    assert found(depot, key, "ACC-1") == [first]
    assert found(depot, key, " acc-2 ") == [second]
    assert found(depot, key, "P-0001") == [first, second]
    assert found(depot, key, "P-0002") == []
    assert found(depot, key, STUDY) == [first, second]


def test_an_object_is_found_by_its_uid_with_all_that_became_of_it(
    depot: Depot, key: TraceKey
) -> None:
    session = depot.receive(SOPInstanceUID="1.2.3.77")
    answer = told(depot, None, "1.2.3.77")
    assert [(one.session.id, one.by) for one in answer.sessions] == [(session, FoundBy.OBJECT)]
    assert [(o.state, o.status, o.session) for o in answer.arrivals] == [("stored", 0, session)]


def test_sessions_are_found_by_name_and_sender_and_all_say_by_what(
    depot: Depot, key: TraceKey
) -> None:
    first, second = depot.receive(label="Knee_1"), depot.receive(label="CT1_2")
    TraceIndex(depot.index, key).note(first, [(PATIENT_ID, "ct1")])
    assert [(one.session.id, one.by) for one in told(depot, key, "kNEE").sessions] == [
        (first, FoundBy.LABEL)
    ]
    # What only one patient can have comes before what many may share.
    caller = told(depot, key, " CT1 ").sessions
    assert [(one.session.id, one.by) for one in caller] == [
        (first, FoundBy.PATIENT_ID),
        (second, FoundBy.LABEL),
    ]
    (knee,) = (one for one in told(depot, key, "ct").sessions if one.session.id == first)
    assert knee.by is FoundBy.CALLER


@pytest.mark.parametrize("text", ["", "  ", "nobody", "%", "'; --", "\udcff", "\0", "x" * 10_000])
def test_what_is_not_there_is_not_found(depot: Depot, key: TraceKey, text: str) -> None:
    depot.receive(label="E1")
    assert found(depot, key, text) == []


def test_what_was_merged_is_found_in_the_session_that_has_it(depot: Depot, key: TraceKey) -> None:
    first = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4", auto_archive=True)
    depot.fall_silent()
    second = depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5", auto_archive=True)
    TraceIndex(depot.index, key).note(second, [(PATIENT_ID, "P-0001")])
    depot.fall_silent()
    assert found(depot, key, "P-0001") == [first]


def test_nothing_is_stored_in_clear_and_another_key_finds_nothing(
    depot: Depot, key: TraceKey, tmp_path: Path
) -> None:
    TraceIndex(depot.index, key).note(depot.receive(), [(PATIENT_ID, "SECRET-ID-0001")])
    depot.index.flush()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("index.sqlite*"))
    assert b"SECRET-ID-0001" not in kept
    assert stat.S_IMODE((tmp_path / "trace.key").stat().st_mode) == 0o600
    assert found(depot, TraceKey(tmp_path / "other.key"), "SECRET-ID-0001") == []
    assert found(depot, TraceKey(tmp_path / "trace.key"), "SECRET-ID-0001") == [1]


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trace.key").write_bytes(content)
    with pytest.raises(StorageUnusable, match="damaged"):
        TraceKey(tmp_path / "trace.key")


def test_a_new_key_is_on_the_disk_before_a_hash_is_made_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []

    def note(fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        flushed.append((name, (tmp_path / "trace.key").exists()))

    monkeypatch.setattr(os, "fsync", note)
    TraceKey(tmp_path / "trace.key")
    TraceKey(tmp_path / "trace.key")
    assert flushed == [(f".trace.key.{os.getpid()}.part", False), (tmp_path.name, True)]


def test_a_key_is_the_owners_alone_and_written_into_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def unlink_and_lose_the_race(path: Path, *arguments: Any, **named: Any) -> None:
        unlink(path, *arguments, **named)
        path.write_bytes(b"somebody's")

    umask = os.umask(0)
    try:
        TraceKey(tmp_path / "one.key")
    finally:
        os.umask(umask)
    assert (tmp_path / "one.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(Path, "unlink", unlink_and_lose_the_race)
    with pytest.raises((OSError, StorageUnusable)):
        TraceKey(tmp_path / "other.key")
    assert not (tmp_path / "other.key").exists()
