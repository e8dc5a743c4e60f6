"""What the journal keeps of who saw identifying values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import IdentifyingValuesShown
from engine.index.traces import TraceKey
from engine.inspection.showings import SUPPRESS_SECONDS, PhiAccessLog
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from pathlib import Path

    from engine.events import Event


def test_objects_that_are_shown_again_and_again_are_noted_once_a_minute(tmp_path: Path) -> None:
    told: list[Event] = []
    clock = FixedClock()
    phi_access_log = PhiAccessLog(told.append, TraceKey(tmp_path / "key"), clock)
    phi_access_log.note_all("anna", ("1.2.1", "1.2.2", "1.2.1"))
    phi_access_log.note_all("anna", ("1.2.1", "1.2.2"))
    phi_access_log.note_all("anna", ("1.2.2", "1.2.3"))
    phi_access_log.note_all("berta", ("1.2.1",))
    phi_access_log.note_all("berta", ())
    clock.advance(SUPPRESS_SECONDS)
    phi_access_log.note_all("anna", ("1.2.1",))
    events = [event for event in told if isinstance(event, IdentifyingValuesShown)]
    assert [(event.by, 1 + len(event.others)) for event in events] == [
        ("anna", 2),
        ("anna", 1),
        ("berta", 1),
        ("anna", 1),
    ]
    assert events[0].object == events[2].object == events[3].object
    assert events[0].sentence().endswith(" and 1 other were shown to anna")


def test_what_somebody_opens_is_noted_each_time(tmp_path: Path) -> None:
    told: list[Event] = []
    phi_access_log = PhiAccessLog(told.append, TraceKey(tmp_path / "key"), FixedClock())
    for _ in range(2):
        phi_access_log.note("a" * 999, "1.2.1", 7)
    assert len(told) == 2
    assert "of session 7 were shown to" in told[0].sentence()
    assert len(told[0].sentence()) < 300
