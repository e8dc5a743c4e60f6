"""The command line: a table, and what is not as it should be."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import soak
from tests.bench.report import aligned
from tests.bench.soak.course import Soak
from tests.bench.soak.growth import USES, quarters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def report(course: Soak) -> Iterator[str]:
    """Yield the lines of the table."""
    confirmed, again = course.confirmed
    yield f"{confirmed:,} objects were confirmed, {again:,} of them had come before"
    rows = [("median of each quarter", "1st", "2nd", "3rd", "4th", "most", "may grow by")]
    for title, of, more in USES:
        values = (*quarters(course.samples, of), max(map(of, course.samples)), more)
        rows.append((title, *(f"{value:.0f}" for value in values)))  # type: ignore[arg-type]
    yield from aligned(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak; the exit code is 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=soak.__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    where = "where the data go; default /dev/shm, a tmpfs"
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help=where)
    arguments = parser.parse_args(argv)
    if not 0.5 <= arguments.minutes <= 24 * 60:
        parser.error(f"--minutes {arguments.minutes:g}: give 0.5 to 1440")
    # Else the engines would go on, and the data would stay.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="dicomdock-soak-", dir=arguments.dir) as folder:
        course = Soak(Path(folder))
        course.configure()
        course.run(60 * arguments.minutes)
        for line in report(course):
            print(line)
        problems = list(course.problems())
    for problem in problems:
        print(f"✗ {problem}")
    print("✗ the soak failed" if problems else "all is accounted for, and nothing has grown")
    return int(bool(problems))
