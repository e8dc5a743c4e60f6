"""What an engine and a console use over time, and whether it grows."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """What the engine and the console use at one moment."""

    memory_mb: float
    descriptors: int
    threads: int
    wal_mb: float
    console_mb: float


USES: tuple[tuple[str, Callable[[Sample], float], float], ...] = (
    ("engine, MB", lambda sample: sample.memory_mb, 25.0),
    ("descriptors", lambda sample: sample.descriptors, 16.0),
    ("threads", lambda sample: sample.threads, 8.0),
    ("logs of SQLite, MB", lambda sample: sample.wal_mb, 8.0),
    ("console, MB", lambda sample: sample.console_mb, 25.0),
)
"""What must stay flat, and how much more of it the last quarter may use than the second."""


def quarters(samples: Sequence[Sample], of: Callable[[Sample], float]) -> list[float]:
    """Return the median of each quarter of the time."""
    length = max(1, len(samples) // 4)
    return [median(map(of, samples[n * length : (n + 1) * length] or samples)) for n in range(4)]


def growth_problems(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield what has grown, in words; the first quarter is that in which all begins."""
    for title, of, more in USES:
        _, second, _, last = quarters(samples, of)
        if last > second + more:
            yield f"{title}: {second:.0f} in the second quarter, {last:.0f} in the last one"
