"""Metrics: rates over full seconds, totals by final state, percentiles, today's counts."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from engine.metrics import (
    ANSWER_BOUNDS_MS,
    OTHER_SENDERS,
    RATE_SECONDS,
    SENDERS_COUNTED,
    WINDOW_SECONDS,
    Latency,
    Metrics,
    RejectionCount,
    SenderCounts,
    Throughput,
    Today,
    Totals,
)
from tests.fakes import NOW, FixedClock

MB = 1_000_000


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def metrics(clock: FixedClock) -> Metrics:
    return Metrics(clock)


def receive(metrics: Metrics, count: int = 1, state: str = "stored", seconds: float = 0.0) -> None:
    for _ in range(count):
        metrics.record_object("CT1:8105", state, MB, seconds)


def test_nothing_received_is_all_zero(metrics: Metrics) -> None:
    assert metrics.throughput() == Throughput()
    assert metrics.throughput("CT1:8105") == Throughput()
    assert metrics.totals() == Totals()
    assert metrics.latency() == Latency()
    assert metrics.today("CT1:8105") == Today()


def test_a_rate_is_the_mean_of_the_last_full_seconds(metrics: Metrics, clock: FixedClock) -> None:
    for _ in range(RATE_SECONDS):
        receive(metrics, 10)
        clock.advance(1)
    throughput = metrics.throughput()
    assert throughput.objects_rate == 10
    assert throughput.bytes_rate == 10 * MB


def test_the_second_that_is_not_over_does_not_count_yet(
    metrics: Metrics, clock: FixedClock
) -> None:
    receive(metrics, 10)
    assert metrics.throughput().objects_rate == 0
    assert metrics.throughput().objects_per_second[-1] == 10
    clock.advance(1)
    assert metrics.throughput().objects_rate == 10 / RATE_SECONDS


def test_a_rate_falls_to_zero_when_nothing_more_arrives(
    metrics: Metrics, clock: FixedClock
) -> None:
    receive(metrics, 10)
    clock.advance(RATE_SECONDS)
    assert metrics.throughput().objects_rate == 2
    clock.advance(1)
    assert metrics.throughput().objects_rate == 0
    assert metrics.throughput().bytes_rate == 0


def test_the_window_is_the_last_minute_oldest_second_first(
    metrics: Metrics, clock: FixedClock
) -> None:
    for number in range(WINDOW_SECONDS + 5):
        receive(metrics, number)
        clock.advance(1)
    throughput = metrics.throughput()
    assert len(throughput.objects_per_second) == WINDOW_SECONDS
    assert throughput.objects_per_second == (*range(6, WINDOW_SECONDS + 5), 0)


@pytest.mark.parametrize("pause", [WINDOW_SECONDS, WINDOW_SECONDS + 1, 86_400.0, 0.999 + 60])
def test_after_a_minute_the_window_is_empty(
    metrics: Metrics, clock: FixedClock, pause: float
) -> None:
    receive(metrics, 10)
    clock.advance(pause)
    assert metrics.throughput() == Throughput()
    receive(metrics, 3)
    assert sum(metrics.throughput().objects_per_second) == 3


def test_asking_often_changes_nothing(metrics: Metrics, clock: FixedClock) -> None:
    for _ in range(20):
        receive(metrics)
        clock.advance(0.25)
        metrics.throughput()
    assert sum(metrics.throughput().objects_per_second) == 20


def test_what_has_not_changed_is_the_same_object(metrics: Metrics, clock: FixedClock) -> None:
    metrics.record_object("A:1", "stored", 5, 0.0)
    (first, silent), (again, still) = (
        [counts for _, counts in metrics.of_receivers(["A:1", "B:2"])] for _ in range(2)
    )
    assert (again, still) == (first, silent)
    assert again is first
    assert still is silent
    assert first.bytes_per_second[-1] == 5
    metrics.record_object("A:1", "stored", 5, 0.0)
    ((today, changed),) = metrics.of_receivers(["A:1"])
    assert (today.bytes, changed.bytes_per_second[-1]) == (10, 10)
    clock.advance(1)
    ((_, moved),) = metrics.of_receivers(["A:1"])
    assert moved.bytes_per_second[-2:] == (10, 0)


def test_receivers_are_counted_apart(metrics: Metrics) -> None:
    metrics.record_object("A:1", "stored", 5, 0.0)
    metrics.record_object("B:2", "stored", 7, 0.0)
    assert metrics.throughput("A:1").bytes_per_second[-1] == 5
    assert metrics.throughput("B:2").bytes_per_second[-1] == 7
    assert metrics.throughput().bytes_per_second[-1] == 12


def test_received_is_the_sum_of_the_final_states(metrics: Metrics) -> None:
    states = ("stored", "duplicate", "quarantined", "failed", "filtered")
    for count, state in enumerate(states, start=1):
        receive(metrics, count, state)
    totals = metrics.totals()
    assert totals == Totals(15, 1, 2, 3, 4, 15 * MB, 5)
    kept = totals.stored + totals.duplicates
    assert totals.received == kept + totals.quarantined + totals.failed + totals.filtered


@pytest.mark.parametrize(
    ("answers_ms", "p50", "p95"),
    [
        ([1.0], 1, 1),
        ([4.0] * 100, 5, 5),
        ([4.0] * 94 + [900.0] * 6, 5, 1200),
        ([4.0] * 96 + [900.0] * 4, 5, 5),
        ([90_000.0], 30_000, 30_000),
    ],
)
def test_percentiles_are_the_bound_of_their_bucket(
    metrics: Metrics, answers_ms: list[float], p50: int, p95: int
) -> None:
    for answer in answers_ms:
        receive(metrics, 1, seconds=answer / 1000)
    assert metrics.latency() == Latency(p50, p95)


def test_today_counts_what_was_stored_and_what_was_not(metrics: Metrics) -> None:
    for state in ("stored", "duplicate", "failed", "quarantined", "filtered"):
        receive(metrics, 1, state)
    today = metrics.today("CT1:8105")
    assert (today.objects, today.bytes, today.failed) == (2, 2 * MB, 2)
    assert today.last_object_at == NOW


@pytest.mark.usefixtures("in_utc")
def test_midnight_begins_a_new_day_but_the_last_object_stays_known(
    metrics: Metrics, clock: FixedClock
) -> None:
    receive(metrics, 3)
    clock.advance(timedelta(hours=12).total_seconds())
    assert metrics.today("CT1:8105") == Today(last_object_at=NOW)
    receive(metrics)
    assert metrics.today("CT1:8105").objects == 1


def test_an_engine_goes_on_where_an_earlier_one_of_the_day_stopped(metrics: Metrics) -> None:
    metrics.resume_today({"CT1:8105": Today(NOW.date(), objects=40, bytes=7, failed=1)})
    receive(metrics)
    today = metrics.today("CT1:8105")
    assert (today.objects, today.bytes, today.failed) == (41, 7 + MB, 1)


def test_threads_lose_no_count(metrics: Metrics) -> None:
    threads = [threading.Thread(target=receive, args=(metrics, 500)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.totals().received == 2000
    assert sum(metrics.throughput().objects_per_second) == 2000


def test_objects_are_counted_by_receiver_state_and_status(metrics: Metrics) -> None:
    metrics.record_object("A:1", "stored", 5, 0.004, "CT1")
    metrics.record_object("A:1", "stored", 6, 0.004, "CT1")
    metrics.record_object("A:1", "failed", 1, 40.0, "CT1", 0xA700)
    metrics.record_association("A:1")
    (counted,) = metrics.counters().receivers
    assert (counted.receiver, dict(counted.objects)) == ("A:1", {"stored": 2, "failed": 1})
    assert (counted.bytes, counted.failures, counted.associations) == (12, ((0xA700, 1),), 1)
    assert counted.answers[ANSWER_BOUNDS_MS.index(5)] == 2
    assert counted.answers[-1] == 1
    assert counted.answer_seconds == pytest.approx(40.008)
    assert metrics.totals().received == 3


def test_a_sender_is_counted_by_its_calling_ae_title(metrics: Metrics, clock: FixedClock) -> None:
    metrics.record_object("A:1", "stored", 5, 0.0, "CT1")
    clock.advance(1)
    metrics.record_object("B:2", "failed", 7, 0.0, "CT1", 0xC000)
    (sender,) = metrics.counters().senders
    assert sender == SenderCounts("CT1", 2, 1, 12, clock.now())


def test_more_senders_than_are_counted_by_name_are_counted_together(metrics: Metrics) -> None:
    for number in range(SENDERS_COUNTED + 50):
        metrics.record_object("A:1", "stored", 1, 0.0, f"GUESS{number}")
    senders = metrics.counters().senders
    assert len(senders) == SENDERS_COUNTED + 1
    assert (senders[-1].calling_ae_title, senders[-1].objects) == (OTHER_SENDERS, 50)
    assert sum(sender.objects for sender in senders) == SENDERS_COUNTED + 50


def test_rejections_are_counted_by_reason(metrics: Metrics) -> None:
    for reason in (7, 3, 7):
        metrics.record_rejection(1, 1, reason)
    assert metrics.counters().rejections == (
        RejectionCount(1, 1, 7, 2),
        RejectionCount(1, 1, 3, 1),
    )


def test_what_was_received_before_today_counts_for_no_counter(metrics: Metrics) -> None:
    metrics.resume_today({"A:1": Today(NOW.date(), 3, 30, 1, NOW)})
    assert metrics.today("A:1").objects == 3
    assert metrics.counters().receivers[0].objects == ()
