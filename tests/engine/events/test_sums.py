"""A flood of events of one kind leaves room for all others in the log, and its sums are exact."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from engine.events import (
    AssociationEstablished,
    AssociationReleased,
    ContextsRefused,
    Event,
    EventsSummed,
    ReceiverFailed,
)
from engine.events import journal as journal_module
from engine.events.engine import EchoAsked
from engine.events.journal import (
    LINES_OF_CALLER,
    LINES_OF_CALLER_PER_MINUTE,
    LINES_OF_KIND,
    Journal,
)
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def released(caller: str, objects: int = 2) -> Event:
    return AssociationReleased(
        receiver="XNAT:8104", calling_ae_title=caller, objects=objects, bytes=10, seconds=0.1
    )


class Log:
    """A journal with a log file, whose clock moves with each event."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self.clock = FixedClock()
        self.journal = Journal(self.clock, self.path)

    def flood(self, made: Iterable[Event], a_minute: int) -> None:
        for event in made:
            self.clock.advance(60 / a_minute)
            self.journal.record(event)

    def lines(self) -> list[dict[str, object]]:
        self.journal.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def count(lines: list[dict[str, object]], name: str) -> int:
    return sum(int(str(line[name])) for line in lines)


@pytest.mark.parametrize("events", [2_000, 8_000])
def test_a_flood_by_one_caller_is_a_few_lines_a_minute_and_no_event_is_lost(
    log: Log, events: int
) -> None:
    refused = ContextsRefused(calling_ae_title="CT2", contexts=("odd",))
    log.journal.record(refused)
    log.flood((released("CT1") for _ in range(events)), a_minute=200)
    log.journal.record(refused)
    lines = log.lines()
    kinds = Counter(str(line["kind"]) for line in lines)
    minutes = events // 200
    assert kinds["ContextsRefused"] == 2
    assert kinds["AssociationReleased"] <= LINES_OF_CALLER + LINES_OF_CALLER_PER_MINUTE * minutes
    assert kinds["EventsSummed"] <= minutes
    summed = [line for line in lines if line["kind"] == "EventsSummed"]
    assert count(summed, "times") + kinds["AssociationReleased"] == events
    of_callers = [line for line in lines if line["calling_ae_title"] == "CT1"]
    assert count(of_callers, "objects") == 2 * events
    assert {(line["of"], line["receiver"]) for line in summed} == {
        ("AssociationReleased", "XNAT:8104")
    }
    assert len({line["sequence"] for line in lines}) == len(lines)
    # Consoles have had each of them.
    assert len(log.journal.events_since(1, 9_999).events) == min(events + 2, 5_000)


def test_callers_that_are_invented_have_one_budget_and_the_others_keep_theirs(log: Log) -> None:
    made = (
        AssociationEstablished(
            calling_ae_title=f"X{n}", address="10.0.0.9", contexts_accepted=1, contexts_proposed=1
        )
        for n in range(4_000)
    )
    log.flood(made, a_minute=1_000)
    log.flood([released("CT1")], a_minute=1)
    lines = log.lines()
    assert lines[-1]["calling_ae_title"] == "CT1"
    kinds = Counter(str(line["kind"]) for line in lines)
    assert LINES_OF_KIND < kinds["AssociationEstablished"] < LINES_OF_KIND + 200
    summed = [line for line in lines if line["kind"] == "EventsSummed"]
    assert count(summed, "times") + kinds["AssociationEstablished"] == 4_000
    assert len(summed) <= 5 * (journal_module.CALLERS_NAMED + 1)
    assert max(count([line], "callers") for line in summed) > 100


def test_a_caller_with_an_association_a_minute_is_listed_in_full(log: Log) -> None:
    log.flood((released("CT1") for _ in range(200)), a_minute=1)
    assert [line["kind"] for line in log.lines()] == ["AssociationReleased"] * 200


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReceiverFailed(receiver="A:1", reason="port in use", remedy="free it"),
        lambda: EchoAsked(receiver="A:1", by="anna"),
    ],
    ids=["urgent", "by a person"],
)
def test_what_is_urgent_and_what_people_do_is_always_written(
    log: Log, make: Callable[[], Event]
) -> None:
    log.flood((make() for _ in range(200)), a_minute=1_000)
    assert len(log.lines()) == 200


def test_the_sums_are_written_in_a_quiet_time_too(log: Log) -> None:
    log.flood((released("CT1") for _ in range(100)), a_minute=10_000)
    log.journal.write_sums()
    assert len(log.path.read_text().splitlines()) == LINES_OF_CALLER
    log.clock.advance(60)
    log.journal.write_sums()
    *_, last = log.path.read_text().splitlines()
    record = json.loads(last)
    assert (record["kind"], record["times"], record["severity"]) == ("EventsSummed", 40, "INFO")
    log.journal.close()
    log.journal.write_sums()


def test_a_sum_has_the_severity_of_its_kind(log: Log) -> None:
    refused = ContextsRefused(calling_ae_title="CT2", contexts=("odd",))
    log.flood((refused for _ in range(100)), a_minute=10_000)
    assert log.lines()[-1]["severity"] == refused.severity


def test_callers_that_are_invented_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_CALLERS_KNOWN", 10)
    monkeypatch.setattr(journal_module, "LINES_OF_KIND", 1)
    clock = FixedClock()
    budget = journal_module.LineBudget(clock.monotonic)
    journal = Journal(clock)
    for n in range(50):
        budget.allows(journal.record(released(f"X{n}")))
    assert len(budget._callers) == 10
    made = [recorded.event for recorded in budget.sums(everything=True)]
    assert sum(event.times for event in made if isinstance(event, EventsSummed)) == 49
    assert list(budget.sums(everything=True)) == []
