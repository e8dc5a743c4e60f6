"""The engine's counters as text in the format of Prometheus; pure."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from engine.api import ReceiverState
from engine.metrics import ANSWER_BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from engine.api import EngineSnapshot
    from engine.metrics import Counters, QueueCounts, ReceiverCounts, RejectionCount

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SHOWN_BOUNDS_MS = (1, 3, 8, 20, 50, 120, 300, 800, 2000, 5000, 30000)
"""Those bounds of the answer times that are exported: each is a time series for Prometheus."""
_REJECTED_BECAUSE = {
    (1, 1, 2): "application context name not supported",
    (1, 1, 3): "calling AE title not recognized",
    (1, 1, 7): "called AE title not recognized",
    (2, 3, 1): "temporary congestion",
    (2, 3, 2): "local limit exceeded",
}
"""The codes with which the engine rejects, in the words of PS3.8 table 9-21."""


def render(snapshot: EngineSnapshot, counters: Counters) -> bytes:
    """Return all metrics in Prometheus' text format, `CONTENT_TYPE`.

    Labels are AE titles, ports, states and statuses; nothing of objects or patients is in it.
    """
    # A registry of its own: the global one of prometheus_client holds values of the process.
    registry = CollectorRegistry()
    registry.register(_Collector(snapshot, counters))
    return generate_latest(registry)


class _Collector(Collector):
    """Yields the metrics of one moment."""

    def __init__(self, snapshot: EngineSnapshot, counters: Counters) -> None:
        self._snapshot = snapshot
        self._counters = counters

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the metrics depend on the moment."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _of_engine(self._snapshot)
        yield from _of_processes(self._snapshot)
        yield from _of_receivers(self._snapshot)
        yield from _of_objects(self._counters.receivers)
        yield _answers(self._counters.receivers)
        yield from _of_senders(self._counters)
        yield from _of_associations(self._snapshot, self._counters)
        yield from _of_index(self._counters)


def _of_engine(snapshot: EngineSnapshot) -> Iterator[Metric]:
    about = InfoMetricFamily("dicomdock_engine", "The engine that answers.")
    about.add_metric((), {"version": snapshot.version, "durability": snapshot.durability})
    yield about
    start = "When the engine started, in seconds since 1970."
    yield _gauge("engine_start_time_seconds", start, snapshot.started_at.timestamp())
    yield _gauge("configuration_revision", "Configuration in force.", snapshot.revision)
    refused = "1 while the configuration file is refused and the last good settings are in force."
    yield _gauge("configuration_refused", refused, bool(snapshot.configuration_problem))
    storage = snapshot.storage
    size, free = "Size of the storage.", "Free space on the storage."
    yield _gauge("storage_size_bytes", size, storage.total_bytes)
    yield _gauge("storage_free_bytes", free, storage.free_bytes)


def _of_processes(snapshot: EngineSnapshot) -> Iterator[Metric]:
    which = ("process",)
    opened = GaugeMetricFamily(
        "dicomdock_process_associations_open", "Open associations of a process.", labels=which
    )
    objects = CounterMetricFamily("dicomdock_process_objects", "Objects received.", labels=which)
    cpu = CounterMetricFamily("dicomdock_process_cpu_seconds", "Processor time.", labels=which)
    memory = GaugeMetricFamily("dicomdock_process_memory_bytes", "Its own memory.", labels=which)
    for process in snapshot.processes:
        label = (str(process.number),)
        opened.add_metric(label, process.associations)
        objects.add_metric(label, process.objects)
        cpu.add_metric(label, process.cpu_seconds)
        memory.add_metric(label, process.memory_bytes)
    if snapshot.processes:
        yield from (opened, objects, cpu, memory)


def _of_receivers(snapshot: EngineSnapshot) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "dicomdock_receiver_listening", "1 while the receiver accepts associations.", labels=_WHERE
    )
    state = GaugeMetricFamily(
        "dicomdock_receiver_state", "1 for the state it is in.", labels=(*_WHERE, "state")
    )
    valid = GaugeMetricFamily(
        "dicomdock_receiver_certificate_expires_timestamp_seconds",
        "When the certificate of its TLS expires, in seconds since 1970.",
        labels=_WHERE,
    )
    for status in snapshot.receivers:
        label = status.receiver.label
        up.add_metric((label,), status.state is ReceiverState.LISTENING)
        state.add_metric((label, str(status.state)), 1)
        if status.certificate is not None:
            valid.add_metric((label,), status.certificate.not_after.timestamp())
    yield from (up, state, valid)


def _of_objects(receivers: Iterable[ReceiverCounts]) -> Iterator[Metric]:
    objects = CounterMetricFamily(
        "dicomdock_objects", "Objects by what became of them.", labels=(*_WHERE, "state")
    )
    size = CounterMetricFamily("dicomdock_received_bytes", "Bytes of objects.", labels=_WHERE)
    failures = CounterMetricFamily(
        "dicomdock_failures",
        "Objects answered with a C-STORE status other than success.",
        labels=(*_WHERE, "status"),
    )
    accepted = CounterMetricFamily(
        "dicomdock_associations_accepted", "Associations accepted.", labels=_WHERE
    )
    for counted in receivers:
        label = counted.receiver
        for state, times in counted.objects:
            objects.add_metric((label, state), times)
        for status, times in counted.failures:
            failures.add_metric((label, f"0x{status:04X}"), times)
        size.add_metric((label,), counted.bytes)
        accepted.add_metric((label,), counted.associations)
    yield from (objects, size, failures, accepted)


def _answers(receivers: Iterable[ReceiverCounts]) -> Metric:
    """Return the histogram of the time from an object's last byte to its answer."""
    family = HistogramMetricFamily(
        "dicomdock_answer_seconds", "From an object's last byte to its answer.", labels=_WHERE
    )
    for counted in receivers:
        # Prometheus wants cumulative buckets, in seconds.
        upto = dict(zip(ANSWER_BOUNDS_MS, accumulate(counted.answers), strict=False))
        buckets = [(f"{bound / 1000:g}", float(upto[bound])) for bound in _SHOWN_BOUNDS_MS]
        buckets.append(("+Inf", float(sum(counted.answers))))
        family.add_metric((counted.receiver,), buckets, counted.answer_seconds)
    return family


def _of_senders(counters: Counters) -> Iterator[Metric]:
    who = ("calling_ae_title",)
    objects = CounterMetricFamily("dicomdock_sender_objects", "Objects it sent.", labels=who)
    failed = CounterMetricFamily("dicomdock_sender_failures", "Refused objects.", labels=who)
    size = CounterMetricFamily("dicomdock_sender_bytes", "Bytes of its objects.", labels=who)
    # Their number is limited in `engine.metrics`: each title is a time series, and a peer may
    # invent titles.
    for sender in counters.senders:
        label = (sender.calling_ae_title,)
        objects.add_metric(label, sender.objects)
        failed.add_metric(label, sender.failed)
        size.add_metric(label, sender.bytes)
    yield from (objects, failed, size)


def _of_associations(snapshot: EngineSnapshot, counters: Counters) -> Iterator[Metric]:
    opened = GaugeMetricFamily(
        "dicomdock_associations_open", "Associations that are open now.", labels=_WHERE
    )
    for status in snapshot.receivers:
        opened.add_metric((status.receiver.label,), status.open_associations)
    yield opened
    most = "How many associations may be open at once."
    yield _gauge("associations_maximum", most, snapshot.maximum_associations)
    rejected = CounterMetricFamily(
        "dicomdock_associations_rejected",
        "Associations rejected, by result, source and reason (PS3.8 9.3.4).",
        labels=("code", "reason"),
    )
    for count in counters.rejections:
        rejected.add_metric(_because(count), count.times)
    yield rejected


def _because(count: RejectionCount) -> tuple[str, str]:
    why = (count.result, count.source, count.reason)
    return "/".join(map(str, why)), _REJECTED_BECAUSE.get(why, "other")


def _of_index(counters: Counters) -> Iterator[Metric]:
    sessions = GaugeMetricFamily("dicomdock_sessions", "Sessions by status.", labels=("status",))
    for status, times in counters.sessions:
        sessions.add_metric((status,), times)
    yield sessions
    work = "Sessions that are to be built, or that a request waits for."
    yield _gauge("sessions_waiting", work, counters.sessions_waiting)
    late = "How long the first of them has waited."
    yield _gauge("sessions_wait_seconds", late, counters.longest_session_wait_seconds)
    yield from _of_queues(counters.queues)
    yield from _of_commitments(counters)
    waiting = "Objects that are stored and not in the index yet."
    yield _gauge("index_rows_waiting", waiting, counters.rows_waiting)
    lag = "How long the oldest of them has waited."
    yield _gauge("index_lag_seconds", lag, counters.longest_wait_seconds)
    lost = "Rows that the index lacks because it could not be written for too long."
    yield _gauge("index_rows_lost", lost, counters.rows_lost)


def _of_queues(queues: Iterable[QueueCounts]) -> Iterator[Metric]:
    whereto = ("destination",)
    waiting = GaugeMetricFamily("dicomdock_forward_waiting", "Objects to send.", labels=whereto)
    failed = GaugeMetricFamily("dicomdock_forward_given_up", "Not sent.", labels=whereto)
    sent = CounterMetricFamily("dicomdock_forward_sent", "Objects sent on.", labels=whereto)
    for queue in queues:
        waiting.add_metric((queue.destination,), queue.waiting)
        failed.add_metric((queue.destination,), queue.given_up)
        sent.add_metric((queue.destination,), queue.sent)
    yield from (waiting, failed, sent)


def _of_commitments(counters: Counters) -> Iterator[Metric]:
    requests = "Answered requests for storage commitment."
    yield CounterMetricFamily(
        "dicomdock_commitment_requests", requests, value=counters.commitment_requests
    )
    objects = CounterMetricFamily(
        "dicomdock_commitment_objects", "Objects that these requests name.", labels=("result",)
    )
    objects.add_metric(("committed",), counters.committed)
    objects.add_metric(("failed",), counters.not_committed)
    yield objects
    waiting = "Requests for storage commitment whose result is not delivered yet."
    yield _gauge("commitment_waiting", waiting, counters.commitments_waiting)


_WHERE = ("receiver",)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"dicomdock_{name}", words, value=value)
