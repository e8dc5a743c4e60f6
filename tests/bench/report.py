"""Runs → medians, ratios and tables."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.bars import missed_limits, ratio_bar, script_bar
from tests.bench.runs import Run, Spoilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.bench.runs import Case

OURS = "dicomdock"
OURS_WITH_SCRIPT = "dicomdock-script"
_HEADS = (
    "receiver",
    "objects/s",
    "lowest–highest",
    "MB/s",
    "dicomdock is",
    "bar",
    "p50 ms",
    "p99 ms",
    "CPU s/GB",
    "CPU µs/object",
    "sender's",
    "peak MB",
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The medians of one receiver over the rounds that count."""

    receiver: str
    rounds: int
    """How many rounds count; the figures are 0 if none does."""
    objects_per_second: float
    lowest: float
    highest: float
    mb_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_seconds_per_gb: float
    cpu_us_per_object: float
    sender_us_per_object: float
    peak_mb: float
    trouble: str
    """What was wrong with a round that does not count."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case: its medians by receiver and how many times as fast as each peer dicomdock is."""

    case: Case
    summaries: tuple[Summary, ...]
    ratios: Mapping[str, float]
    scripted: Mapping[str, float]
    """The same while it runs a script of 20 edits; empty if that was not measured."""
    missed: tuple[str, ...]
    """The bars that were not reached, in words."""


def compared_runs(case: Case, runs: Sequence[Run | Spoilt], durability: str) -> Comparison:
    """Summarize the runs of a case, the receivers in the order in which they first ran."""
    names = list(dict.fromkeys(run.receiver for run in runs))
    summaries = tuple(summary_of(name, [r for r in runs if r.receiver == name]) for name in names)
    ratios = _ratios(runs, OURS, names)
    peers = [name for name in names if name != OURS]
    scripted = _ratios(runs, OURS_WITH_SCRIPT, peers)
    missed = (
        *(f"{summary.receiver}: {summary.trouble}" for summary in summaries if summary.trouble),
        *_missed_ratios(case, ratios, durability),
        *_missed_with_script(case, scripted, durability),
        *(words for s in summaries if s.receiver == OURS for words in missed_limits(case, s)),
    )
    return Comparison(case, summaries, ratios, scripted, missed)


def _ratios(runs: Sequence[Run | Spoilt], ours: str, names: Sequence[str]) -> dict[str, float]:
    found = {name: ratio(runs, ours, name) for name in names if name != ours}
    return {name: value for name, value in found.items() if value is not None}


def _missed_ratios(case: Case, ratios: Mapping[str, float], durability: str) -> Iterator[str]:
    for name, value in ratios.items():
        bar = ratio_bar(case, name, durability)
        if bar is not None and value < bar:
            yield f"{value:.2f} × {name}, bar ≥ {bar:g}"


def _missed_with_script(
    case: Case, scripted: Mapping[str, float], durability: str
) -> Iterator[str]:
    for name, value in scripted.items():
        bar = script_bar(case, name, durability)
        if bar is not None and value < bar:
            yield f"with the script {value:.2f} × {name}, bar ≥ {bar:g}"


def summary_of(receiver: str, runs: Sequence[Run | Spoilt]) -> Summary:
    """Return the medians over the runs of one receiver that count."""
    good = [run for run in runs if isinstance(run, Run)]
    rates = [run.objects_per_second for run in good] or [0.0]

    def middle(value: Callable[[Run], float]) -> float:
        return median(map(value, good)) if good else 0.0

    return Summary(
        receiver=receiver,
        rounds=len(good),
        objects_per_second=median(rates),
        lowest=min(rates),
        highest=max(rates),
        mb_per_second=middle(lambda run: run.mb_per_second),
        p50_ms=middle(lambda run: run.blast.p50_ms),
        p99_ms=middle(lambda run: run.blast.p99_ms),
        cpu_seconds_per_gb=middle(lambda run: run.cpu_seconds_per_gb),
        cpu_us_per_object=middle(lambda run: run.cpu_us_per_object),
        sender_us_per_object=middle(lambda run: run.sender_us_per_object),
        peak_mb=middle(lambda run: run.peak_mb),
        trouble=next((run.trouble for run in runs if isinstance(run, Spoilt)), ""),
    )


def ratio(runs: Sequence[Run | Spoilt], ours: str, theirs: str) -> float | None:
    """Return the median over the rounds of our rate by theirs; None without a common round."""
    good = [run for run in runs if isinstance(run, Run)]
    rates = {(run.receiver, run.round): run.objects_per_second for run in good}
    pairs = [
        (rates[ours, number], rate)
        for (receiver, number), rate in rates.items()
        if receiver == theirs and (ours, number) in rates
    ]
    return median(a / b for a, b in pairs) if pairs else None


def headline(case: Case) -> str:
    """Say what was sent."""
    several = "s" if case.associations > 1 else ""
    how = "one association per object, " if case.single else ""
    return (
        f"{case.workload.title}, {how}{case.associations} association{several}"
        f" · {case.objects} objects a round"
    )


def table(comparison: Comparison, titles: Mapping[str, str], durability: str) -> str:
    """Return a case as text; receivers of `titles` that did not run are told as absent."""
    ran = {summary.receiver: summary for summary in comparison.summaries}
    rows = [
        _row(comparison, ran[name], title, durability)
        if name in ran
        else (title, "absent", *[""] * (len(_HEADS) - 2))
        for name, title in titles.items()
    ]
    lines = [headline(comparison.case), *aligned([_HEADS, *rows])]
    if comparison.scripted:
        found = (f"{value:.2f} × {name}" for name, value in comparison.scripted.items())
        lines.append(f"  with the script dicomdock is {', '.join(found)}")
    lines += [f"  ✗ {words}" for words in comparison.missed]
    return "\n".join(lines)


def _row(comparison: Comparison, summary: Summary, title: str, durability: str) -> tuple[str, ...]:
    if not summary.rounds:
        return (title, "failed", *[""] * (len(_HEADS) - 2))
    found = comparison.ratios.get(summary.receiver)
    bar = ratio_bar(comparison.case, summary.receiver, durability)
    return (
        title,
        _rate(summary.objects_per_second),
        f"{_rate(summary.lowest)}–{_rate(summary.highest)}",
        f"{summary.mb_per_second:.0f}",
        "" if found is None else f"{found:.2f} ×",
        "" if bar is None or found is None else f"≥ {bar:g} {'✓' if found >= bar else '✗'}",
        f"{summary.p50_ms:.2f}",
        f"{summary.p99_ms:.2f}",
        f"{summary.cpu_seconds_per_gb:.2f}",
        f"{summary.cpu_us_per_object:.0f}",
        f"{summary.sender_us_per_object:.0f}",
        f"{summary.peak_mb:.0f}",
    )


def _rate(rate: float) -> str:
    return f"{rate:.{0 if rate >= 20 else 1}f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
