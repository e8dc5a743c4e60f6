"""The event log as its readers see it: whole lines, in order, across rotation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.events import ReceiverListening, ReceiverStopped, Severity
from engine.events import event_log as event_log_module
from engine.events import journal as journal_module
from engine.events.event_log import LONGEST_LINE, EventLog
from engine.events.journal import Journal
from engine.events.monitoring import AlertFailed
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.events.event_log import Record


def numbers(records: Iterable[Record]) -> list[object]:
    return [record["sequence"] for record in records]


def test_the_log_is_read_from_its_oldest_line_across_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FILE_BYTES", 1_000)
    path = tmp_path / "events.jsonl"
    journal = Journal(FixedClock(), path)
    for _ in range(10):
        journal.record(ReceiverStopped(receiver="A:1"))
    assert len(list(tmp_path.iterdir())) > 2
    with EventLog(path) as log:
        assert numbers(log.newest(99)) == list(range(1, 11))
        assert numbers(log.added()) == []
        for number in range(11, 20):  # one at a time, so that none is rotated away unseen
            journal.record(ReceiverStopped(receiver="A:1"))
            assert numbers(log.added()) == [number]
    journal.close()


def test_a_log_that_comes_later_is_read_from_its_begin(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        assert log.newest(9) == []
        path.write_text('{"sequence": 1}\n{"sequ')
        assert numbers(log.added()) == [1]
        with path.open("a") as file:
            file.write('ence": 2}\n')
        assert numbers(log.added()) == [2]
        path.unlink()
        assert numbers(log.added()) == []


def test_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [b"x", b"[1]", b"[" * 100_000, b'"' + b"a" * LONGEST_LINE + b'"', b"\xff", b"{}"]
    path.write_bytes(b"\n".join(lines) + b"\n")
    with EventLog(path) as log:
        assert log.newest(9) == [{}]


def test_less_than_the_least_severity_is_not_written_but_remembered(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(FixedClock(), path, Severity.WARNING)
    journal.record(ReceiverListening(address="x"))
    journal.record(AlertFailed(target="ops", why="gone"))
    journal.close()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["AlertFailed"]
    assert len(journal.events_since(1, 9).events) == 2


def test_a_log_is_not_read_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"sequence": 1}\n')
    (tmp_path / "events.jsonl").symlink_to(elsewhere)
    with EventLog(tmp_path / "events.jsonl") as log, pytest.raises(OSError, match="symbolic link"):
        log.newest(9)


@pytest.mark.parametrize("lines", [2_000, 8_000])
def test_the_newest_lines_are_read_from_the_end_with_however_many_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    path = tmp_path / "events.jsonl"
    older = path.with_name("events.jsonl.1")
    older.write_bytes(b"".join(b'{"sequence": %d}\n' % n for n in range(lines)))
    path.write_bytes(b"".join(b'{"sequence": %d}\n' % n for n in range(lines, lines + 5)))
    read: list[bytes] = []
    loads = json.loads

    def parse(line: bytes) -> object:
        read.append(line)
        return loads(line)

    monkeypatch.setattr(json, "loads", parse)
    with EventLog(path) as log:
        newest = log.newest(10, lambda record: record["sequence"] != lines)
        assert numbers(newest) == [*range(lines - 6, lines), *range(lines + 1, lines + 5)]
        assert len([line for line in read if line]) == 11
        with path.open("a") as file:
            file.write('{"sequence": -1}\n')
        assert numbers(log.added()) == [-1]


def test_lines_of_any_length_are_whole_when_they_are_read_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log_module, "_BLOCK_BYTES", 7)
    path = tmp_path / "events.jsonl"
    texts = ["", "a", "b" * 6, "c" * 7, "d" * 50]
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts) + '{"text": "e')
    with EventLog(path) as log:
        assert [record["text"] for record in log.newest(9)] == texts
        with path.open("a") as file:
            file.write('f"}\n')
        assert [record["text"] for record in log.added()] == ["ef"]
