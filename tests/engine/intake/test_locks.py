"""Whatever is shared by the threads of several associations is changed by one of them at a time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.errors import ProcessingFailed
from engine.intake.anonymizing import Anonymizer
from engine.intake.identifier_faults import IdentifierFaults
from engine.intake.label_tables import LabelTables
from engine.intake.processing import Processing
from engine.intake.processor_states import ProcessorStates
from engine.intake.processor_workers import ProcessorWorkers
from engine.intake.quarantine import Quarantine
from engine.intake.slow_rules import SlowRules
from engine.intake.storage_guard import StorageGuard
from engine.intake.worker_processes import Workers
from engine.model.ae_title import AETitle
from engine.model.configuration import Configuration
from engine.model.processing import Verdict
from engine.model.processor import Processor
from engine.model.receiver import Receiver
from engine.storage_events import StorageSuffices
from tests.fakes import FixedClock
from tests.taken_lock import require_wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.intake.inquiry import Failure
    from engine.intake.label_tables import LabelTable

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
    ("call", "entries"),
    [
        (lambda workers: workers.start_ahead(list), 0),
        (lambda workers: workers.processes, 0),
        (lambda workers: workers.rest(), 0),
        (lambda workers: workers.close(), 0),
        (lambda workers: workers.close(), 1),
        (lambda workers: workers._take(), 0),
        (lambda workers: workers._take(), 1),
        (lambda workers: workers._end(Nobody()), 0),
    ],
)
def test_a_process_is_taken_and_counted_by_one_thread_at_a_time(
    workers: Workers[str, str], call: Callable[[Workers[str, str]], object], entries: int
) -> None:
    require_wait(workers, lambda: call(workers), entries=entries)


def test_a_process_is_given_back_by_one_thread_at_a_time(workers: Workers[str, str]) -> None:
    taken = workers._take()
    require_wait(workers, lambda: workers._give_back(taken))


@pytest.mark.parametrize(
    "call",
    [
        lambda workers: workers.keep_only({1}),
        lambda workers: workers.processes(),
        lambda workers: workers.close(),
        lambda workers: workers.start_ahead(1, None),
    ],
)
@pytest.mark.usefixtures("workers")
def test_the_processes_of_an_instance_are_found_by_one_thread_at_a_time(
    call: Callable[[ProcessorWorkers], object],
) -> None:
    with closing(ProcessorWorkers()) as of_instances:
        require_wait(of_instances, lambda: call(of_instances))


@pytest.mark.parametrize(
    "call",
    [
        lambda states: states.note(PROCESSOR, Verdict.CONTINUED, 0.1, ""),
        lambda states: states.of(PROCESSOR, (), ""),
        lambda states: states.forget_all_but(set()),
    ],
)
def test_what_a_processor_did_is_counted_by_one_thread_at_a_time(
    call: Callable[[ProcessorStates], object],
) -> None:
    states = ProcessorStates(FixedClock())
    require_wait(states, lambda: call(states))


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
    ("call", "entries"),
    [
        (lambda processing: processing.apply(Configuration()), 0),
        (lambda processing: processing.close(), 0),
        (lambda processing: tried(processing), 0),
        (lambda processing: ready(processing), 0),
        (lambda processing: ready(processing), 1),
    ],
)
def test_what_is_prepared_for_a_processor_is_found_and_replaced_by_one_thread_at_a_time(
    tmp_path: Path, call: Callable[[Processing], object], entries: int
) -> None:
    states = ProcessorStates(FixedClock())
    with closing(ProcessorWorkers()) as workers:
        processing = Processing(
            (), UNUSED, tmp_path / "uid-maps", LabelTables(), workers, states, UNUSED
        )
        require_wait(processing, lambda: call(processing), entries=entries)


def tried(processing: Processing) -> None:
    with processing.preparing(PROCESSOR, Configuration()):
        pass


def ready(processing: Processing) -> None:
    processing._ready(cast("Any", Preparing()), PROCESSOR, UNUSED)


def test_failures_of_scripts_are_counted_by_one_thread_at_a_time() -> None:
    class Step:
        revision = 3

    class Source:
        receiver_label = calling_ae_title = association = ""

    class Journal:
        def record(self, *_: object) -> None:
            return None

    anonymizer = Anonymizer(UNUSED, UNUSED, cast("Any", Journal()))
    steps, source = cast("Any", (Step(),)), cast("Any", Source())
    require_wait(anonymizer, lambda: anonymizer._tell(ProcessingFailed("why"), steps, source))


@pytest.mark.parametrize(
    "call",
    [lambda faults: faults.sort_out(()), lambda faults: faults.of(RECEIVER)],
)
def test_what_keeps_receivers_from_their_identifiers_is_sorted_out_by_one_thread_at_a_time(
    call: Callable[[IdentifierFaults], object],
) -> None:
    faults = IdentifierFaults((), FixedClock(), UNUSED)
    require_wait(faults, lambda: call(faults))


def test_a_table_is_read_again_by_one_thread_at_a_time(tmp_path: Path) -> None:
    changed: list[Callable[[], None]] = []

    def watch(_: Path, refresh: Callable[[], None]) -> Any:
        changed.append(refresh)

    tables = LabelTables(watch)
    table: LabelTable = tables.of_file(tmp_path / "table.tsv", lambda _: {})
    require_wait(tables, changed[0])
    assert table.problem


def test_the_size_of_the_quarantine_is_counted_by_one_thread_at_a_time(tmp_path: Path) -> None:
    with closing(Quarantine(tmp_path / "quarantine", 1_000)) as quarantine:
        require_wait(quarantine, lambda: quarantine._reserve(1))
        require_wait(quarantine, lambda: quarantine._release(1))


def test_failures_of_rules_are_counted_by_one_thread_at_a_time() -> None:
    class Found:
        clause, error = object(), ValueError()

    rules = SlowRules()
    require_wait(rules, lambda: rules.note(cast("Failure", Found())))


def test_one_thread_tells_that_the_state_of_the_storage_has_changed(tmp_path: Path) -> None:
    guard = StorageGuard(tmp_path, -1, "", UNUSED, UNUSED, UNUSED, FixedClock())
    require_wait(guard, lambda: guard._tell(StorageSuffices(free_bytes=1)))
