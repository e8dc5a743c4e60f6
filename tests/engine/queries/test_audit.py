"""The audit log read again, from real files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.events import ControlRefused, ControlUsed, Severity
from engine.events.journal import Journal
from engine.inspection.showings import audited
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from pathlib import Path


def test_what_people_did_in_earlier_runs_is_there_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    clock = FixedClock()
    done = [ControlUsed(by="anna"), ControlRefused(address="10.1.2.3", why="no token")]
    recorded = []
    for event in done:  # each in a run of its own
        journal = Journal(clock, audit_file=path)
        recorded.append(journal.record(event))
        journal.close()
        clock.advance(60)
    again = audited(path, 10)
    assert [(one.sequence, one.at) for one in again] == [(r.sequence, r.at) for r in recorded]
    assert [one.event.sentence() for one in again] == [event.sentence() for event in done]
    assert [one.event.severity for one in again] == [Severity.INFO, Severity.WARNING]
    assert {one.event.topic for one in again} == {"control"}
    assert audited(path, 1) == again[1:]
    assert audited(path, 0) == audited(path, -1) == ()


def test_lines_that_are_no_events_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert audited(path, 10) == ()
    good = {"sequence": 1, "at": "2026-08-24T14:03:22+00:00", "message": "done", "severity": "ODD"}
    lines = (
        *("{", "[1]", json.dumps({**good, "at": "2026-08-24T14:03:22"})),
        *(json.dumps({**good, "sequence": "x"}), json.dumps({**good, "at": None})),
        json.dumps(good),
    )
    path.write_text("\n".join(lines))
    assert audited(path, 10) == ()  # the last line is not whole
    path.write_text("\n".join((*lines, "")))
    (one,) = audited(path, 10)
    assert (one.event.sentence(), one.event.severity) == ("done", Severity.INFO)
