"""How long is waited before what failed is tried again: longer each time, and unevenly."""

from __future__ import annotations

FIRST_SECONDS = 2.0
_MOST_DOUBLINGS = 30


def delay_seconds(failures: int, longest_seconds: float, chance: float) -> float:
    """Return how long to wait after some failures in a row.

    Args:
        failures: how many there were, from 1 on; each doubles the time.
        longest_seconds: what it never exceeds.
        chance: from 0 to 1; half of the time depends on it, so that not all try at once.
    """
    doubled = FIRST_SECONDS * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest_seconds) * (0.5 + 0.5 * chance)
