"""Queue lengths of several docks over one day, simulated; `python -m tests.bench.queues`.

Senders begin studies at random, more of them by day. Each study leads to one dock, which forwards
to the archive over one association. The service times are those of `tests.bench.estimate` and
docs/developers/performance.md; everything else is a model. docs/explanation/several-docks.md has
the picture.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass

from tests.bench.estimate import FLUSHES, KINDS, MAIN_US, PATHS

FLUSH_US = 300.0
"""One flush of a fast virtual disk (docs/developers/performance.md)."""
CT, FULL = KINDS[0], PATHS[2]
RECEIVE_SECONDS = (FULL.us(CT) + MAIN_US) / 1e6
"""CPU time of a dock for one CT image, durability `full`."""
FORWARD_SECONDS = (FULL.us(CT) + MAIN_US + FLUSHES * FLUSH_US) / 1e6
"""One CT image on the one association to the archive, which waits for each answer."""
DAY_SECONDS = 86_400
_STEP_SECONDS = 10
_MARKS = " .:-=+*#%@"


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that is away: a dock by its number, or the archive (None)."""

    dock: int | None
    begin_hour: float
    end_hour: float

    def holds(self, second: float) -> bool:
        """Tell whether the part is away at a second of the day."""
        return self.begin_hour <= second / 3600 < self.end_hour


@dataclass(frozen=True, slots=True)
class Load:
    """What the senders do."""

    objects_a_year: float = 1e9
    objects_a_study: int = 500
    objects_a_second: float = 20.0
    """Of one sender, while it sends a study."""
    docks: int = 3
    cores: int = 4

    def studies_a_second(self, second: float) -> float:
        """Return the rate at a second of the day: three times the mean at 13 h, little at night."""
        mean = self.objects_a_year / 365 / DAY_SECONDS / self.objects_a_study
        by_day = max(0.0, math.sin(math.pi * (second / 3600 - 7) / 12))
        # The mean of the curve over the day is 1: 0.1 always, and a half wave of 12 hours.
        return mean * (0.1 + 0.9 * by_day * math.pi)


@dataclass(frozen=True, slots=True)
class Hour:
    """The longest queues of an hour, in objects."""

    unanswered: tuple[int, ...]
    """By dock: what senders have offered and the dock has not stored yet."""
    to_forward: tuple[int, ...]
    """By dock."""


def simulate(load: Load, outages: tuple[Outage, ...] = (), seed: int = 1) -> tuple[Hour, ...]:
    """Return the hours of one day; the same for the same seed."""
    chance = random.Random(seed)
    studies: list[list[float]] = [[] for _ in range(load.docks)]
    unanswered, to_forward = [0.0] * load.docks, [0.0] * load.docks
    hours, longest = [], [[0.0] * load.docks, [0.0] * load.docks]
    for second in range(0, DAY_SECONDS, _STEP_SECONDS):
        away = {outage.dock for outage in outages if outage.holds(second)}
        up = [dock for dock in range(load.docks) if dock not in away]
        for _ in range(_poisson(chance, load.studies_a_second(second) * _STEP_SECONDS)):
            studies[chance.choice(up)].append(float(load.objects_a_study))
        for dock in range(load.docks):
            if dock in away:
                # Its senders go on at another dock, with what they were not answered.
                studies[up[dock % len(up)]] += studies[dock]
                studies[dock], unanswered[dock] = [], 0.0
                continue
            most = load.objects_a_second * _STEP_SECONDS
            unanswered[dock] += sum(min(left, most) for left in studies[dock])
            studies[dock] = [left - most for left in studies[dock] if left > most]
            stored = min(unanswered[dock], _STEP_SECONDS * load.cores / RECEIVE_SECONDS)
            unanswered[dock] -= stored
            sent = 0.0 if None in away else _STEP_SECONDS / FORWARD_SECONDS
            to_forward[dock] = max(0.0, to_forward[dock] + stored - sent)
        for most_of_hour, now in zip(longest, (unanswered, to_forward), strict=True):
            most_of_hour[:] = map(max, most_of_hour, now)
        if (second + _STEP_SECONDS) % 3600 == 0:
            hours.append(Hour(*(tuple(map(round, queue)) for queue in longest)))
            longest = [[*unanswered], [*to_forward]]
    return tuple(hours)


def _poisson(chance: random.Random, mean: float) -> int:
    """Return a random number of events (Knuth); for small means."""
    limit, product, number = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        number += 1
    return number


def chart(hours: tuple[Hour, ...]) -> str:
    """Return one line for each dock and queue: a mark for each hour, and the longest queue."""
    lines = [f"{'hour':<22}0     6     12    18    24  longest"]
    for name in ("unanswered", "to_forward"):
        for dock, queue in enumerate(zip(*(getattr(hour, name) for hour in hours), strict=True), 1):
            marks = "".join(_MARKS[min(len(_MARKS) - 1, len(str(n)) if n else 0)] for n in queue)
            lines.append(f"dock-{dock} {name.replace('_', ' '):<14} |{marks}| {max(queue):>9,}")
    return "\n".join(lines)


PICTURES = (
    ("nothing fails", Load(), ()),
    ("the archive is away from 10 to 12", Load(), (Outage(None, 10, 12),)),
    ("dock-1 is away from 10 to 12", Load(), (Outage(0, 10, 12),)),
    ("ten times the objects", Load(objects_a_year=1e10), ()),
)


def pictures() -> str:
    """Return the charts of the page."""
    return "\n\n".join(
        f"{title}\n{chart(simulate(load, outages))}" for title, load, outages in PICTURES
    )


if __name__ == "__main__":
    sys.stdout.write(f"{pictures()}\n")
