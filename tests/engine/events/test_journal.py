"""The journal: order, pages, what is dropped, urgent news, and the file with its failures."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.events import (
    AssociationRejected,
    Event,
    EventPage,
    IdentifyingValuesShown,
    ObjectsStored,
    ReceiverFailed,
    ReceiverStopped,
    RecordedEvent,
    Severity,
)
from engine.events import journal as journal_module
from engine.events.journal import RING_EVENTS, Journal
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REJECTED = AssociationRejected(
    called_ae_title="XNAT", address="192.0.2.7", port=104, result=1, source=1, reason=7, why="no"
)
QUIET = ReceiverStopped(receiver="XNAT:8104")
URGENT = ReceiverFailed(receiver="XNAT:8104", reason="address in use", remedy="choose another port")


def recorded(count: int, log_file: Path | None = None) -> Journal:
    journal = Journal(FixedClock(), log_file)
    for number in range(count):
        journal.record(ObjectsStored(objects=number, duplicates=0, bytes=number))
    return journal


def numbers(page: tuple[RecordedEvent, ...]) -> list[int]:
    return [event.sequence for event in page]


def test_events_are_numbered_from_one_and_stamped() -> None:
    clock = FixedClock()
    journal = Journal(clock)
    first = journal.record(QUIET)
    clock.advance(5)
    second = journal.record(URGENT)
    assert (first.sequence, second.sequence) == (1, 2)
    assert (second.at - first.at).total_seconds() == 5


@pytest.mark.parametrize(
    ("sequence", "limit", "expected", "following"),
    [
        (0, 10, [1, 2, 3, 4, 5], 6),
        (1, 10, [1, 2, 3, 4, 5], 6),
        (4, 10, [4, 5], 6),
        (1, 2, [1, 2], 3),
        (3, 2, [3, 4], 5),
        (6, 10, [], 6),
        (99, 10, [], 99),
    ],
)
def test_a_page_starts_where_asked(
    sequence: int, limit: int, expected: list[int], following: int
) -> None:
    page = recorded(5).events_since(sequence, limit)
    assert numbers(page.events) == expected
    assert page.next_sequence == following
    assert page.dropped == 0


def test_pages_one_after_the_other_are_the_whole_journal() -> None:
    journal = recorded(23)
    seen: list[int] = []
    sequence = 1
    while page := journal.events_since(sequence, 5).events:
        seen += numbers(page)
        sequence = page[-1].sequence + 1
    assert seen == list(range(1, 24))


def test_what_the_ring_no_longer_holds_is_counted() -> None:
    journal = recorded(RING_EVENTS + 10)
    page = journal.events_since(1, 3)
    assert numbers(page.events) == [11, 12, 13]
    assert page.dropped == 10
    assert journal.events_since(8, 3).dropped == 3
    assert journal.events_since(11, 3).dropped == 0


def test_an_empty_journal_has_an_empty_page() -> None:
    page = Journal(FixedClock()).events_since(0, 10)
    assert (page.events, page.next_sequence, page.dropped) == ((), 1, 0)


def test_an_event_is_in_its_file_at_once(tmp_path: Path) -> None:
    journal = recorded(1, tmp_path / "events.jsonl")
    assert json.loads((tmp_path / "events.jsonl").read_text())["sequence"] == 1
    journal.close()


class ReleasedFor:
    """A lock after whose first release another thread comes at once."""

    def __init__(self, another: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._others = [another]

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._others:
            self._others.pop()()


def test_an_event_that_comes_just_after_an_empty_page_is_on_the_next_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = recorded(2)
    monkeypatch.setattr(journal, "_lock", ReleasedFor(lambda: journal.record(QUIET)))
    page = journal.events_since(3, 10)
    assert page.events == ()
    assert numbers(journal.events_since(page.next_sequence, 10).events) == [3]


def test_subscribers_hear_urgent_events_only_and_until_they_leave() -> None:
    journal = Journal(FixedClock())
    heard: list[Event] = []
    leave = journal.subscribe(lambda event: heard.append(event.event))
    journal.record(QUIET)
    journal.record(URGENT)
    leave()
    journal.record(URGENT)
    assert heard == [URGENT]


def test_leaving_twice_is_as_good_as_once() -> None:
    journal = Journal(FixedClock())
    leave = journal.subscribe(lambda _event: None)
    leave()
    leave()


def test_a_subscriber_may_record_and_ask() -> None:
    journal = Journal(FixedClock())
    seen: list[EventPage] = []

    def answer(_event: RecordedEvent) -> None:
        journal.record(QUIET)
        seen.append(journal.events_since(1, 9))

    journal.subscribe(answer)
    journal.record(URGENT)
    assert numbers(seen[0].events) == [1, 2]


def test_a_subscriber_that_fails_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(FixedClock())
    heard: list[RecordedEvent] = []

    def fail(_event: RecordedEvent) -> None:
        raise RuntimeError("the event loop is closed")

    journal.subscribe(fail)
    journal.subscribe(heard.append)
    assert heard == [journal.record(URGENT)]
    assert "a subscriber of the journal failed" in caplog.text


def test_threads_share_one_order() -> None:
    journal = Journal(FixedClock())

    def work() -> None:
        for _ in range(200):
            journal.record(QUIET)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(journal.events_since(1, 1000).events) == list(range(1, 801))


def test_every_event_is_one_json_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(FixedClock(), path)
    journal.record(QUIET)
    journal.record(ReceiverFailed(receiver="A%sB:1\n\x1b", reason="Zürich %d", remedy="{}"))
    journal.close()
    first, second = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    assert first["sequence"] == 1
    assert first["kind"] == "ReceiverStopped"
    assert first["at"] == "2026-08-24T14:03:22+00:00"
    assert second["reason"] == "Zürich %d"
    assert second["receiver"] == "A%sB:1\n\x1b"
    assert second["severity"] == "ERROR"


def test_a_closed_journal_still_remembers(tmp_path: Path) -> None:
    journal = recorded(1, tmp_path / "events.jsonl")
    journal.close()
    journal.close()
    journal.record(QUIET)
    assert len(journal.events_since(1, 9).events) == 2
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 1


def test_the_file_is_rotated_and_no_line_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FILE_BYTES", 2_000)
    monkeypatch.setattr(journal_module, "FILES_KEPT", 50)
    recorded(60, tmp_path / "events.jsonl").close()
    files = list(tmp_path.iterdir())
    assert len(files) > 3
    assert all(file.stat().st_size <= 2_000 for file in files)
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(line["sequence"] for line in lines) == list(range(1, 61))


def test_a_full_disk_costs_lines_and_one_warning_but_no_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    path.symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        journal = recorded(5, path)
        assert len(journal.events_since(1, 9).events) == 5
        journal.close()
    warnings = [r for r in caplog.records if r.name == "engine.events.journal"]
    assert len(warnings) == 1


def test_a_log_directory_that_is_gone_costs_lines_but_no_event(tmp_path: Path) -> None:
    journal = recorded(2, tmp_path / "gone" / "events.jsonl")
    assert len(journal.events_since(1, 9).events) == 2
    journal.close()


SHOWN = IdentifyingValuesShown(by="anna", object="0123456789ab")


def test_other_events_do_not_push_the_audit_log_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FILE_BYTES", 1_000)
    log, audit = tmp_path / "events.jsonl", tmp_path / "audit.jsonl"
    journal = Journal(FixedClock(), log, audit_file=audit)
    journal.record(SHOWN)
    for _ in range(100):
        journal.record(REJECTED)
    journal.close()
    kept = "".join(file.read_text() for file in tmp_path.glob("events.jsonl*"))
    assert "IdentifyingValuesShown" not in kept
    (line,) = audit.read_text().splitlines()
    assert json.loads(line)["kind"] == "IdentifyingValuesShown"
    assert {file.name for file in tmp_path.glob("audit*")} == {"audit.jsonl"}


def test_an_audited_event_is_in_both_files_whatever_the_least_severity(tmp_path: Path) -> None:
    log, audit = tmp_path / "events.jsonl", tmp_path / "audit.jsonl"
    with closing(Journal(FixedClock(), log, Severity.ERROR, audit_file=audit)) as journal:
        journal.record(SHOWN)
        assert not log.exists()
    with closing(Journal(FixedClock(), log, audit_file=audit)) as journal:
        journal.record(SHOWN)
    assert [len(file.read_text().splitlines()) for file in (log, audit)] == [1, 2]


@pytest.mark.parametrize("name", ["events.jsonl", "audit.jsonl"])
def test_a_log_is_for_its_owner_only_and_written_through_no_link(
    tmp_path: Path, name: str, umask: None
) -> None:
    log, audit = tmp_path / "events.jsonl", tmp_path / "audit.jsonl"
    with closing(Journal(FixedClock(), log, audit_file=audit)) as journal:
        journal.record(SHOWN)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(elsewhere)
    with closing(Journal(FixedClock(), log, audit_file=audit)) as journal:
        recorded = journal.record(SHOWN)
        assert journal.events_since(1, 9).events == (recorded,)
    assert elsewhere.read_text() == ""


@pytest.fixture
def umask() -> Iterator[None]:
    """Let modes be what the code asks for."""
    before = os.umask(0)
    yield
    os.umask(before)
