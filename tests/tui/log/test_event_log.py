"""The log's contents: what is kept, wanted, marked, and how fast."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.events import ObjectsStored, ReceiverFailed, ReceiverListening, RecordedEvent, Severity
from tests.fakes import NOW
from tui.log.event_log import FIELDS, LEVELS, LogModel
from tui.log.screen import NotSaved, json_line, save_entries, text_line, usual_name
from tui.widgets.filter import NO_FILTER, parse_filter

ALL = frozenset(LEVELS)


def events(numbers: range) -> list[RecordedEvent]:
    """Return events, every tenth an error, the newest first."""
    made = []
    for number in numbers:
        at = NOW - timedelta(seconds=numbers.stop - number)
        receiver = f"R{number % 3}:8104"
        if number % 10:
            event = ReceiverListening(receiver=receiver, address=f"[::]:{number}")
            made.append(RecordedEvent(number, at, event))
        else:
            failed = ReceiverFailed(receiver=receiver, reason="in use", remedy="wait")
            made.append(RecordedEvent(number, at, failed))
    return made[::-1]


def sequences(log: LogModel) -> list[int]:
    return [log.entry(row).place[0] for row in range(len(log))]


def test_events_are_taken_once_and_shown_newest_first() -> None:
    log = LogModel()
    assert log.take(events(range(1, 4)))
    assert log.take(events(range(1, 6)))
    assert not log.take(events(range(1, 6)))
    assert sequences(log) == [5, 4, 3, 2, 1]
    assert log.total == 5


def test_no_more_is_kept_than_the_bound() -> None:
    log = LogModel(kept=10)
    log.take(events(range(1, 25)))
    assert sequences(log) == list(range(24, 14, -1))
    assert log.counts == {Severity.INFO: 9, Severity.ERROR: 1}
    log.want(parse_filter("level:error", FIELDS), ALL)
    log.take(events(range(1, 35)))
    assert sequences(log) == [30]


@pytest.mark.parametrize(
    ("words", "levels", "expected"),
    [
        ("", ALL, list(range(29, 0, -1))),
        ("", frozenset({Severity.ERROR}), [20, 10]),
        ("level:error", ALL, [20, 10]),
        ("receiver:r1 topic:listen [::]:2", ALL, [28, 25, 22]),
        ("text:in !receiver:R1", frozenset({Severity.ERROR}), [20]),
        ("nowhere", ALL, []),
    ],
)
def test_only_what_matches_is_shown(
    words: str, levels: frozenset[Severity], expected: list[int]
) -> None:
    log = LogModel()
    log.take(events(range(1, 15)))
    log.want(parse_filter(words, FIELDS), levels)
    log.take(events(range(1, 30)))
    assert sequences(log) == expected


def test_a_mark_stays_where_it_was_made_whatever_is_filtered() -> None:
    log = LogModel()
    log.take(events(range(1, 4)))
    log.mark(NOW)
    log.take(events(range(1, 6)))
    assert [log.entry(row).recorded is None for row in range(len(log))].index(True) == 2
    log.want(parse_filter("nowhere", FIELDS), ALL)
    assert len(log) == 1
    assert log.counts.total() == 5


def test_clearing_hides_what_is_there_until_it_is_asked_for_again() -> None:
    log = LogModel()
    log.take(events(range(1, 4)))
    log.mark(NOW)
    log.clear()
    assert len(log) == 0
    log.take(events(range(1, 6)))
    assert sequences(log) == [5, 4]
    log.clear()
    assert len(log) == 6


def test_errors_are_found_below_and_above() -> None:
    log = LogModel()
    log.take(events(range(1, 26)))
    row = log.next_error(0, 1)
    assert row == 5
    assert log.next_error(row, 1) == 15
    assert log.next_error(15, 1) is None
    assert log.next_error(15, -1) == 5


def test_an_entry_is_found_again_or_the_place_where_it_was() -> None:
    log = LogModel()
    log.take(events(range(1, 26)))
    place = log.entry(7).place
    log.take(events(range(1, 30)))
    assert log.row_of(place) == 11
    log.want(parse_filter("level:error", FIELDS), ALL)
    assert log.entry(log.row_of(place)).place == (20, 0)


def test_ten_thousand_events_are_taken_and_filtered_in_a_moment() -> None:
    made = events(range(1, 10_001))
    log = LogModel()
    begin = time.process_time()
    log.take(made)
    log.want(parse_filter("receiver:r1 listening !8104x", FIELDS), ALL)
    log.want(NO_FILTER, ALL)
    assert time.process_time() - begin < 1.5
    begin = time.process_time()
    for step in range(20):
        log.take(events(range(10_001, 10_002 + step)))
        log.row_of((5_000, 0))
    assert time.process_time() - begin < 0.1
    assert log.total == 10_000


# Saving


def test_entries_are_saved_as_text_and_as_json(tmp_path: Path) -> None:
    log = LogModel()
    log.take(events(range(9, 11)))
    log.mark(NOW)
    entries = log.oldest_first()
    text = save_entries(str(tmp_path / "a.log"), entries).read_text().splitlines()
    assert text[1].endswith("ERROR  R1:8104  –  –  listen  can't listen: in use; wait")
    assert "mark" in text[2]
    lines = save_entries(str(tmp_path / "a.jsonl"), entries).read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [
        "ReceiverListening",
        "ReceiverFailed",
        "Mark",
    ]
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_no_file_is_overwritten_and_every_failure_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("mine")
    (tmp_path / "link.log").symlink_to(tmp_path / "b.log")
    for name in ("a.log", "link.log", "no/such/folder.log", "nul\0.log"):
        with pytest.raises(NotSaved) as caught:
            save_entries(str(tmp_path / name), ())
        assert caught.value.remedy
    assert (tmp_path / "a.log").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "link.log"]


def test_what_a_peer_sent_cannot_steer_a_terminal_from_the_file() -> None:
    log = LogModel()
    event = ObjectsStored(
        receiver="X:1", calling_ae_title="A\x1b[2J\nB", objects=1, duplicates=0, bytes=1
    )
    log.take([RecordedEvent(1, NOW, event)])
    entry = log.entry(0)
    assert "A␛[2J␊B" in text_line(entry)
    assert json_line(entry).isascii()
    assert "\\u001b" in json_line(entry)


def test_the_suggested_name_says_when() -> None:
    assert usual_name(NOW).startswith("~/dicomdock-20260824-")


def test_events_of_earlier_runs_stand_below_and_none_is_there_twice() -> None:
    log = LogModel()
    recent = events(range(1, 4))
    log.take(recent[1:])
    log.clear()
    log.clear()
    earlier = [replace(one, at=one.at - timedelta(days=1)) for one in events(range(1, 6))]
    log.put_before([*reversed(earlier), *reversed(recent)])
    shown = [log.entry(row).recorded for row in range(len(log))]
    assert shown == [recent[1], recent[2], recent[0], *earlier]
    log.take(recent)
    assert len(log) == log.total == len(recent) + len(earlier)
    assert log.row_of(log.entry(4).place) == 4
    log.clear()
    assert len(log) == 0


def test_a_full_log_has_no_room_for_older_events() -> None:
    log = LogModel(kept=3)
    log.take(events(range(10, 12)))
    log.put_before(events(range(1, 6))[::-1])
    assert [log.entry(row).recorded.sequence for row in range(len(log))] == [11, 10, 5]  # type: ignore[union-attr]


def test_a_log_keeps_only_what_it_takes() -> None:
    log = LogModel(takes=lambda event: event.severity is Severity.ERROR)
    log.take(events(range(1, 31)))
    assert sequences(log) == [30, 20, 10]
    assert log.total == 3
