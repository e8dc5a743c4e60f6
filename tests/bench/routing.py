"""What routing costs: the same objects with 20 receiver rules and without any, and its share."""

from __future__ import annotations

from itertools import islice
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING

from engine.dicom.dataset import read_complete
from engine.events.journal import Journal
from engine.host.clock import SystemClock
from engine.identification.builtin import DefaultIdentifier
from engine.intake.object import AssociationContext
from engine.intake.rules import ObjectRouter
from engine.model.configuration import Configuration
from engine.model.project import Project, ProjectRegistry
from tests.bench.receivers import Dicomdock
from tests.bench.report import aligned, ratio, summary_of
from tests.bench.runs import Case
from tests.bench.tape import CALLED, CALLING
from tests.bench.workloads import PROJECT, WORKLOADS, make_objects
from tests.running import make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.identification.identifiers import Identifier
    from engine.model.receiver import Receiver
    from tests.bench.rounds import Bench
    from tests.bench.runs import Run, Spoilt
    from tests.bench.workloads import Workload

RULES_PER_TEXT = (7, 7, 6)
"""For project, subject and session."""
_PDU_BYTES = 16_382
_OBJECTS, _PASSES = 200, 9


class Uninformed(DefaultIdentifier):
    """The default identifier, asked for every object as if each were of a study of its own."""

    is_settled_by_header = False


class Routed(Dicomdock):
    """dicomdock with 20 rules, of which only the last for each label matches."""

    name = "routed"
    title = "with 20 rules"

    def __init__(self) -> None:
        super().__init__()
        self._rules = {
            "project_routing": rules(RULES_PER_TEXT[0], "(0008,1030):(BENCH):1"),
            "subject_routing": rules(RULES_PER_TEXT[1], r"(0010,0020):BENCH(\d+):1"),
            "session_routing": rules(RULES_PER_TEXT[2], r"(0008,0050):ACC(\d+):1 t:^ r:S"),
        }

    @property
    def receiver(self) -> Receiver:
        """The receiver that is sent to."""
        return make_receiver(CALLED, 11_112, routing_enabled=True, **self._rules)


def rules(count: int, last: str) -> str:
    """Return that many rules; all but the last look at real elements and don't match."""
    elements = ("0008,0020", "0008,0060", "0008,103E", "0010,0010", "0018,1030", "0020,000D")
    others = [
        rf"({elements[n % len(elements)]}):.*site-{n}[-_ ]?(\w+).*:1" for n in range(count - 1)
    ]
    return "\n".join([*others, last])


def measure(bench: Bench, rounds: int, *, quick: bool) -> Iterator[str]:
    """Yield the lines of the report."""
    rounds = rounds or (1 if quick else 5)
    for name in ("small", "mr"):
        case = Case(WORKLOADS[name], 1, _PDU_BYTES, 0.2 if quick else 1.0)
        routed = Routed()
        runs = bench.compare(case, [Dicomdock(), routed], rounds)
        yield ""
        yield f"{case.workload.title}, 1 association, median of {rounds} round{'s' * (rounds > 1)}"
        yield from _lines(runs)
        yield from _share(runs, case.workload, routed.receiver)


def _lines(runs: Sequence[Run | Spoilt]) -> Iterator[str]:
    rows = [("", "objects/s", "p50 ms", "CPU µs/object")]
    for name, title in ((Dicomdock.name, "without rules"), (Routed.name, Routed.title)):
        own = [run for run in runs if run.receiver == name]
        summary = summary_of(name, own)
        if summary.trouble:
            yield f"  ✗ {title}: {summary.trouble}"
        rate, p50 = f"{summary.objects_per_second:.0f}", f"{summary.p50_ms:.3f}"
        rows.append((title, rate, p50, f"{summary.cpu_us_per_object:.0f}"))
    yield from aligned(rows)
    kept = ratio(runs, Routed.name, Dicomdock.name)
    if kept:
        yield f"with rules it keeps {kept:.0%} of its rate"


def _share(runs: Sequence[Run | Spoilt], workload: Workload, receiver: Receiver) -> Iterator[str]:
    """Set the time of identification against all that an object takes."""
    whole = summary_of(Routed.name, [run for run in runs if run.receiver == Routed.name])
    if not whole.cpu_us_per_object:
        return
    for identifier, words in (
        (DefaultIdentifier(), "objects as they came"),
        (Uninformed(), "if each were of a study of its own"),
    ):
        us = identification_us(workload, receiver, identifier)
        share = us / whole.cpu_us_per_object
        yield f"identification takes {us:.1f} µs, {share:.1%} of an object's CPU time: {words}"


def identification_us(workload: Workload, receiver: Receiver, identifier: Identifier) -> float:
    """Return what identifying one object takes, in microseconds of CPU time, median of passes."""
    configuration = Configuration(projects=ProjectRegistry((Project(PROJECT),)))
    clock = SystemClock()
    identifiers = {identifier.info.id: identifier}
    objects = islice(make_objects(workload, workload.objects), _OBJECTS)
    data_sets = [made.data_set for made in objects]
    passes = []
    for _ in range(_PASSES):
        router = ObjectRouter(identifiers, lambda: configuration, Journal(clock), clock)
        headers = [read_complete(d, workload.transfer_syntax_uid) for d in data_sets]
        source = AssociationContext(receiver, CALLING, "", "", {})
        began = thread_time()
        for header in headers:
            router.identify(header, router.receiver_policy(receiver), source)
        passes.append((thread_time() - began) / _OBJECTS * 1e6)
    return median(passes)
