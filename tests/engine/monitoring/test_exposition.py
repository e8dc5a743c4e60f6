"""Prometheus text and health, as a monitoring system reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.api import ProcessStatus, ReceiverState, RecoveryStatus, StorageStatus
from engine.metrics import (
    ANSWER_BOUNDS_MS,
    Counters,
    QueueCounts,
    ReceiverCounts,
    RejectionCount,
    SenderCounts,
)
from engine.monitoring.exposition import render
from engine.monitoring.monitoring import judge
from tests.fakes import make_receiver, make_snapshot, make_status, port_in_use

if TYPE_CHECKING:
    from engine.api import EngineSnapshot

COUNTERS = Counters(
    receivers=(
        ReceiverCounts(
            "XNAT:8104",
            (("stored", 3), ("failed", 1)),
            400,
            ((0xA700, 1),),
            (2, 0, 1, *(0,) * (len(ANSWER_BOUNDS_MS) - 3), 1),
            31.5,
            2,
        ),
    ),
    senders=(SenderCounts("CT1", 4, 1, 400), SenderCounts('A"B\\\n', 1, 0, 1)),
    rejections=(RejectionCount(1, 1, 7, 9), RejectionCount(1, 2, 1, 1)),
    sessions=(("READY", 5),),
    queues=(QueueCounts("PACS", 4, 1, 9),),
    rows_waiting=2,
    longest_wait_seconds=0.5,
    sessions_waiting=3,
    longest_session_wait_seconds=899.0,
)


def samples(snapshot: EngineSnapshot, counters: Counters = COUNTERS) -> dict[str, float]:
    """Return every sample by its name and its labels' values."""
    text = render(snapshot, counters).decode()
    return {
        " ".join((sample.name, *map(str, sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_that_is_counted_is_a_sample() -> None:
    found = samples(make_snapshot(receivers=(make_status(make_receiver(1)),)))
    expected = {
        "dicomdock_objects_total XNAT:8104 stored": 3,
        "dicomdock_objects_total XNAT:8104 failed": 1,
        "dicomdock_received_bytes_total XNAT:8104": 400,
        "dicomdock_failures_total XNAT:8104 0xA700": 1,
        "dicomdock_associations_accepted_total XNAT:8104": 2,
        "dicomdock_answer_seconds_count XNAT:8104": 4,
        "dicomdock_answer_seconds_sum XNAT:8104": 31.5,
        "dicomdock_sender_objects_total CT1": 4,
        "dicomdock_sender_failures_total CT1": 1,
        "dicomdock_associations_rejected_total 1/1/7 called AE title not recognized": 9,
        "dicomdock_associations_rejected_total 1/2/1 other": 1,
        "dicomdock_sessions READY": 5,
        "dicomdock_forward_waiting PACS": 4,
        "dicomdock_forward_given_up PACS": 1,
        "dicomdock_forward_sent_total PACS": 9,
        "dicomdock_sessions_waiting": 3,
        "dicomdock_sessions_wait_seconds": 899,
        "dicomdock_index_rows_waiting": 2,
        "dicomdock_index_lag_seconds": 0.5,
        "dicomdock_receiver_listening XNAT:8104": 1,
        "dicomdock_receiver_state XNAT:8104 listening": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_each_receiving_process_has_samples_of_its_own() -> None:
    processes = tuple(ProcessStatus(n, 100 + n, n, 10 * n, 0.5, 2_000) for n in (1, 2))
    found = samples(make_snapshot(processes=processes))
    assert found["dicomdock_process_associations_open 2"] == 2
    assert found["dicomdock_process_objects_total 1"] == 10
    assert found["dicomdock_process_cpu_seconds_total 2"] == 0.5
    assert found["dicomdock_process_memory_bytes 1"] == 2_000
    assert not any("dicomdock_process_" in name for name in samples(make_snapshot()))


def test_the_buckets_of_answers_are_cumulative() -> None:
    found = samples(make_snapshot())
    buckets = ("0.001", "0.003", "30", "+Inf")
    by_bound = {
        name.rpartition(" ")[2] if "XNAT" not in name.rpartition(" ")[2] else name.split()[1]: n
        for name, n in found.items()
        if name.startswith("dicomdock_answer_seconds_bucket")
    }
    assert [by_bound[bound] for bound in buckets] == [2, 3, 3, 4]


def test_an_ae_title_can_say_nothing_but_its_name() -> None:
    assert samples(make_snapshot())['dicomdock_sender_objects_total A"B\\\n'] == 1


def test_as_many_senders_as_are_counted_and_twenty_receivers_stay_below_a_thousand_series() -> None:
    senders = tuple(SenderCounts(f"CT{number}") for number in range(101))
    receivers = tuple(replace(COUNTERS.receivers[0], receiver=f"R:{n}") for n in range(20))
    statuses = tuple(make_status(make_receiver(n, port=n)) for n in range(1, 21))
    counters = replace(COUNTERS, senders=senders, receivers=receivers)
    assert len(samples(make_snapshot(receivers=statuses), counters)) <= 1000


def test_an_engine_without_complaint_is_well() -> None:
    snapshot = make_snapshot(
        receivers=(
            make_status(make_receiver(1)),
            make_status(make_receiver(2, "OFF", enabled=False), ReceiverState.DISABLED),
        )
    )
    health = judge(snapshot, COUNTERS, ())
    assert (health.ok, health.alive, health.listening, health.enabled) == (True, True, 1, 1)


@pytest.mark.parametrize(
    ("snapshot", "counters", "dead", "problem"),
    [
        (make_snapshot(), COUNTERS, ("the index",), "the index does not run"),
        (
            make_snapshot(storage=StorageStatus("/", 9, 1, "disk full", 2)),
            COUNTERS,
            (),
            "every caller is rejected: disk full",
        ),
        (
            make_snapshot(configuration_problem="line 3"),
            COUNTERS,
            (),
            "the configuration file is refused, the last good settings are in force",
        ),
        (
            make_snapshot(),
            replace(COUNTERS, longest_wait_seconds=99.0),
            (),
            "the index is 99 s behind",
        ),
        (
            make_snapshot(),
            replace(COUNTERS, longest_session_wait_seconds=1200.0),
            (),
            "3 sessions wait to be worked on, the first for 20 min",
        ),
        (
            make_snapshot(),
            replace(COUNTERS, rows_lost=1_200),
            (),
            "1,200 rows of the index are lost; stop the engine and run: dicomdock check --adopt",
        ),
    ],
)
def test_what_is_wrong_is_said(
    snapshot: EngineSnapshot, counters: Counters, dead: tuple[str, ...], problem: str
) -> None:
    health = judge(snapshot, counters, dead)
    assert (health.problems, health.ok, health.alive) == ((problem,), False, not dead)


OFF = make_status(make_receiver(2, "OFF", enabled=False), ReceiverState.DISABLED)


@pytest.mark.parametrize(
    ("snapshot", "dead", "ready"),
    [
        (make_snapshot(), (), True),
        (make_snapshot(), ("the index",), False),
        (make_snapshot(storage=StorageStatus("/", 9, 1, "disk full", 2)), (), False),
        (make_snapshot(receivers=(OFF,)), (), True),
        (make_snapshot(configuration_problem="line 3"), (), True),
        (
            make_snapshot(receivers=(make_status(make_receiver(1), ReceiverState.FAILED), OFF)),
            (),
            False,
        ),
        (
            make_snapshot(
                receivers=(
                    make_status(make_receiver(1), ReceiverState.FAILED),
                    make_status(make_receiver(2)),
                )
            ),
            (),
            True,
        ),
    ],
)
def test_callers_are_led_elsewhere_only_while_no_receiver_serves_them(
    snapshot: EngineSnapshot, dead: tuple[str, ...], ready: bool
) -> None:
    assert judge(snapshot, COUNTERS, dead).ready is ready


def test_a_recovery_is_no_problem_but_said() -> None:
    snapshot = make_snapshot(recovery=RecoveryStatus(recovered=12, sessions=300))
    health = judge(snapshot, COUNTERS, ())
    assert (health.ok, health.notes) == (True, ("recovering 12 of 300 sessions",))


def test_a_receiver_that_cannot_listen_is_a_problem_by_name() -> None:
    health = judge(port_in_use().current, COUNTERS, ())
    assert health.alive
    assert any("can't listen: " in problem for problem in health.problems)
