"""What the threads of several associations share is touched under its lock only."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.events.monitoring import StorageSuffices
from engine.events.repeats import Counts
from engine.identification.installed import IdentifierFaults
from engine.intake.rule_failures import RuleKey, SlowRules
from engine.model.configuration import Configuration
from engine.model.identity import Attribute
from engine.model.peer import AETitle
from engine.model.processing import Verdict
from engine.model.processor import Processor
from engine.model.receiver import Receiver
from engine.processing.builtin.label_tables import LabelTables
from engine.processing.chain import Processing, ProcessorStates
from engine.processing.workers import ProcessorWorkers
from engine.storage.guard import StorageGuard
from engine.storage.quarantine import QuarantineRoom
from engine.workers.pool import Workers
from tests.fakes import FixedClock
from tests.guarded import guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.processing.builtin.label_tables import LabelTable

UNUSED: Any = None
"""A part that the call does not come to."""
RECEIVER = Receiver(1, AETitle("XNAT"), 8104)
PROCESSOR = Processor(1, "rename", "acmeProcessor")


class Nobody:
    """A worker that is no process."""

    is_alive = True

    def end(self) -> int:
        return 0


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers[str, str]:
    monkeypatch.setattr(Workers, "_new_worker", lambda *_: Nobody())
    return Workers(str)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (lambda workers: workers.start_ahead(list), ("_closed", "_idle", "_busy")),
        (lambda workers: workers.processes, ("_idle", "_busy")),
        (lambda workers: workers.rest(), ("_idle",)),
        (lambda workers: workers.close(), ("_closed", "_idle", "_busy")),
        (lambda workers: workers._take(), ("_closed", "_idle", "_busy")),
        (lambda workers: workers._end(Nobody()), ("_busy",)),
    ],
)
def test_the_processes(
    workers: Workers[str, str],
    call: Callable[[Workers[str, str]], object],
    fields: tuple[str, ...],
) -> None:
    with guarded(workers, *fields, by=workers._lock):
        call(workers)


def test_a_process_that_is_given_back(workers: Workers[str, str]) -> None:
    taken = workers._take()
    with guarded(workers, "_closed", "_idle", "_busy", by=workers._lock):
        workers._give_back(taken)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (lambda workers: workers.keep_only({1}), ("_of", "_in_use")),
        (lambda workers: workers.processes(), ("_of",)),
        (lambda workers: workers.close(), ("_of", "_closed")),
        (lambda workers: workers.start_ahead(1, None), ("_of", "_closed")),
    ],
)
@pytest.mark.usefixtures("workers")
def test_the_processes_of_instances(
    call: Callable[[ProcessorWorkers], object], fields: tuple[str, ...]
) -> None:
    with closing(ProcessorWorkers()) as workers, guarded(workers, *fields, by=workers._lock):
        call(workers)


@pytest.mark.parametrize(
    "call",
    [
        lambda states: states.note(PROCESSOR.id, Verdict.CONTINUED, 0.1, "", UNUSED),
        lambda states: states.of(PROCESSOR, (), ""),
        lambda states: states.forget_all_but(set()),
    ],
)
def test_what_processors_did(call: Callable[[ProcessorStates], object]) -> None:
    states = ProcessorStates(FixedClock(), UNUSED)
    with guarded(states, "_tallies", by=states._lock):
        call(states)


class Prepared:
    """What a class of our own prepares for all associations."""

    tags = ()
    problem = ""

    def close(self) -> None:
        return None


class Preparing:
    def prepare(self, *_: object) -> Prepared:
        return Prepared()


@pytest.mark.parametrize(
    "call",
    [
        lambda processing: processing.apply(Configuration()),
        lambda processing: processing.close(),
        lambda processing: tried(processing),
        lambda processing: ready(processing),
    ],
)
def test_what_is_prepared_for_processors(
    tmp_path: Path, call: Callable[[Processing], object]
) -> None:
    states = ProcessorStates(FixedClock(), UNUSED)
    with closing(ProcessorWorkers()) as workers:
        processing = Processing((), UNUSED, tmp_path / "uid-maps", LabelTables(), workers, states)
        with guarded(processing, "_prepared", by=processing._lock):
            call(processing)


def tried(processing: Processing) -> None:
    with processing.preparing(PROCESSOR, Configuration()):
        pass


def ready(processing: Processing) -> None:
    processing._ready(cast("Any", Preparing()), PROCESSOR, UNUSED)


def test_how_often_something_came() -> None:
    counts = Counts()
    with guarded(counts, "_seen", by=counts._lock):
        counts.count("it")


@pytest.mark.parametrize(
    "call",
    [lambda faults: faults.sort_out(()), lambda faults: faults.of(RECEIVER)],
)
def test_what_keeps_receivers_from_their_identifiers(
    call: Callable[[IdentifierFaults], object],
) -> None:
    faults = IdentifierFaults((), FixedClock(), UNUSED)
    with guarded(faults, "_failures", by=faults._lock):
        call(faults)


def test_a_table_that_is_read_again(tmp_path: Path) -> None:
    changed: list[Callable[[], None]] = []

    def watch(_: Path, refresh: Callable[[], None]) -> Any:
        changed.append(refresh)

    tables = LabelTables(watch)
    table: LabelTable = tables.of_file(tmp_path / "table.tsv", lambda _: {})
    with guarded(table, "refresh", by=tables._lock):
        changed[0]()
    assert table.problem


def test_the_size_of_the_quarantine(tmp_path: Path) -> None:
    room = QuarantineRoom(tmp_path / "quarantine", 1_000)
    for call in (room.reserve, room.release):
        with guarded(room, "_used_bytes", by=room._lock):
            call(1)


def test_the_failures_of_rules() -> None:
    rules = SlowRules(lambda _: None)
    rule = RuleKey(1, 1, Attribute.SUBJECT, 0, "")
    with guarded(rules, "_failures", "_timeouts", by=rules._lock):
        rules.note(rule, cast("Any", lambda **_: None), timed_out=True)


def test_what_was_told_of_the_storage(tmp_path: Path) -> None:
    guard = StorageGuard(tmp_path, -1, "", UNUSED, UNUSED, UNUSED, FixedClock())
    with guarded(guard, "_told", by=guard._lock):
        guard._report(StorageSuffices(free_bytes=1))
