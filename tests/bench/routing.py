"""What routing costs: the same objects with 20 receiver rules and without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.receivers import Dicomdock
from tests.bench.report import aligned, ratio, summary_of
from tests.bench.runs import Case
from tests.bench.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.rounds import Bench
    from tests.bench.runs import Run, Spoilt

RULES_PER_TEXT = (7, 7, 6)
"""For project, subject and session."""
_PDU_BYTES = 16_382


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
        runs = bench.compare(case, [Dicomdock(), Routed()], rounds)
        yield ""
        yield f"{case.workload.title}, 1 association, median of {rounds} round{'s' * (rounds > 1)}"
        yield from _lines(runs)


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
