"""Counts the outcomes of many files, shows the progress, and writes the report.

What `anonymize`, `import` and `send` print while they work, and at their end.
"""

from __future__ import annotations

import argparse
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.options import FileRefused
from engine.cli.progress import ProgressLine, time_left
from engine.host import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.jobs.report import Key, Report

_SHOWN_FAILURES = 20
_MOST_PROCESSES = 512


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the options that let a command go on after an interruption."""
    add = parser.add_argument
    add("--report", type=Path, metavar="FILE", help="write a line of JSON for each file there")
    again = "go on with the run of that report: what is done is not done again"
    add("--resume", action="store_true", help=again)


def require_report(arguments: argparse.Namespace) -> None:
    """Refuse --resume without a report.

    Raises:
        FileRefused: if it is.
    """
    if arguments.resume and arguments.report is None:
        raise FileRefused("--resume needs the report of the run to go on with", "add --report")


@contextmanager
def opened_report(
    arguments: argparse.Namespace,
    job: str,
    heading: Mapping[str, str],
    key_if_done: Callable[[Mapping[str, object]], Key | None],
    noted: Mapping[str, str] | None = None,
) -> Iterator[Report | None]:
    """Yield the report that the command was given, as `Report` takes it; None if it was given none.

    Raises:
        ReportUnusable: if it can't be used.
    """
    # Slow to import, and rarely needed.
    from engine.jobs.report import Report

    if arguments.report is None:
        yield None
        return
    path, resume = arguments.report.absolute(), arguments.resume
    with Report(path, job, heading, key_if_done, resume=resume, noted=noted) as report:
        yield report


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add the option for the number of processes; its default is None."""
    processes = "processes (default: one for each core)"
    parser.add_argument("--jobs", metavar="N", type=number_up_to(_MOST_PROCESSES), help=processes)


def number_up_to(most: int) -> Callable[[str], int]:
    """Return what parses the number of `--jobs`."""

    def parsed(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= most):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 1 to {most}")
        return int(text)

    return parsed


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one file, as it is counted and shown."""

    name: str
    outcome: str
    reason: str
    is_failure: bool
    read_bytes: int
    """The share of all bytes that is done with it."""


class Tally:
    """Counts and reports the outcomes, and shows the progress; for one thread."""

    def __init__(
        self,
        sizes: Callable[[], Iterator[int]],
        report: Report | None,
        *,
        ignored: str = "",
        kept_failures: int = _SHOWN_FAILURES,
    ) -> None:
        """Take what yields the sizes of all files, which is asked on another thread.

        Args:
            sizes: of all files.
            report: where each file gets a line.
            ignored: the outcome of files that are not counted as files.
            kept_failures: how many of the first failures to keep.
        """
        self._line = ProgressLine()
        self._sizes = sizes
        self._report = report
        self._ignored = ignored
        self._kept_failures = kept_failures
        self._total_bytes = 0
        """Of all files; 0 until they are counted."""
        self._read_bytes = 0
        self.moved_bytes = 0
        """What was sent or read."""
        self.outcomes: Counter[str] = Counter()
        self.failures: list[tuple[Line, Mapping[str, object]]] = []
        """The first ones, with their lines of the report."""
        self.failed = 0
        self.awaiting = 0
        """Files that are stored, and await commitment."""
        self.hint = ""
        """What to do next, if it did not come to its end."""

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the bytes of all files meanwhile, for the time that is left."""
        ended = threading.Event()
        thread = threading.Thread(target=self._count, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _count(self, ended: threading.Event) -> None:
        total = 0
        for size in self._sizes():
            total += size
            if ended.is_set():
                return
        self._total_bytes = total

    @property
    def passed_over(self) -> int:
        """The number of files that an earlier run has done."""
        return self._report.passed_over if self._report is not None else 0

    @property
    def files(self) -> int:
        """The number of files, as far as they are known."""
        return sum(self.outcomes.values()) + self.passed_over - self.outcomes[self._ignored]

    def add(self, line: Line, moved_bytes: int, record: Mapping[str, object]) -> None:
        """Count and report what became of a file."""
        if self._report is not None:
            self._report.add(record)
        self.outcomes[line.outcome] += 1
        self.moved_bytes += moved_bytes
        self._read_bytes += line.read_bytes
        if line.is_failure:
            self.failed += 1
            if len(self.failures) < self._kept_failures:
                self.failures.append((line, record))
        self.show()

    def show(self) -> None:
        """Show the progress, if the last time was long enough ago."""
        self._line.show(self._words)

    def _words(self) -> str:
        seconds = max(self._line.seconds, 0.001)
        done = self.files - self.passed_over
        words = (
            f"{terminal.counted(self.files, 'file')}, {done / seconds:,.0f} files/s, "
            f"{self.moved_bytes / 1e6 / seconds:.1f} MB/s"
        )
        if self.failed:
            words += f", {self.failed:,} failed"
        if self.awaiting:
            words += f", {self.awaiting:,} await commitment"
        # Not of what is passed over: it would count as the fastest work.
        passed_bytes = self._report.passed_bytes if self._report is not None else 0
        if self._total_bytes and self._read_bytes:
            left = time_left(seconds, self._read_bytes, self._total_bytes - passed_bytes)
            words += f", {left} left"
        return words

    def end(self) -> None:
        """Remove the line of the progress."""
        self._line.end()

    def to_record(self) -> dict[str, object]:
        """Return the summary as JSON."""
        return {
            "outcomes": dict(sorted(self.outcomes.items())),
            "done_before": self.passed_over,
            "failed": self.failed,
            "bytes": self.moved_bytes,
            "seconds": round(self._line.seconds, 3),
        }

    def print(self, path: Path | None, *, before: str = "done before") -> None:
        """Print the first failures, and how many files had which outcome.

        Args:
            path: the report, which has all failures.
            before: the outcome of files that an earlier run has done.
        """
        for failure, _ in self.failures[:_SHOWN_FAILURES]:
            terminal.say(f"{failure.name}: {failure.outcome}: {failure.reason}")
        if self.failed > _SHOWN_FAILURES:
            where = "" if path is None else f"; {path} has all"
            terminal.say(f"… and {self.failed - _SHOWN_FAILURES:,} more{where}")
        rows: list[tuple[object, ...]] = [(o, f"{n:,}") for o, n in self.outcomes.most_common()]
        if self.passed_over:
            rows.append((before, f"{self.passed_over:,}"))
        if rows:
            terminal.print_table(("OUTCOME", "FILES"), rows)
        if self.hint:
            terminal.say(self.hint)
