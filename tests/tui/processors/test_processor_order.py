"""Which priorities are written when a processor moves up or down."""

from __future__ import annotations

import pytest

from engine.model.processor import PRIORITIES, Location, Processor
from tui.processors.table import moved

READ, STORED = Location.AFTER_DICOM_READ, Location.AFTER_STORED
LEAST, MOST = PRIORITIES.start, PRIORITIES.stop - 1


def named(priorities: str) -> tuple[Processor, ...]:
    """Return processors with the ids 1, 2, … and these priorities."""
    numbers = [int(number) for number in priorities.split()]
    return tuple(
        Processor(place, f"P{place}", "acme", location=READ, priority=number)
        for place, number in enumerate(numbers, start=1)
    )


@pytest.mark.parametrize(
    ("priorities", "id", "step", "order", "written"),
    [
        ("10 20 30", 3, -1, [1, 3, 2], 1),
        ("10 20 30", 1, 1, [2, 1, 3], 1),
        ("10 20 30", 2, 1, [1, 3, 2], 1),
        ("10 10 10", 3, -1, [1, 3, 2], 2),
        ("10 10", 2, -1, [2, 1], 1),
        ("10 11", 1, 1, [2, 1], 1),
        ("30 20 10", 1, -1, [3, 1, 2], 1),
        (f"{LEAST} {LEAST} 5", 2, -1, [2, 1, 3], 3),
        (f"5 {MOST} {MOST}", 2, 1, [1, 3, 2], 3),
    ],
)
def test_it_acts_a_place_earlier_or_later_and_as_little_as_possible_is_written(
    priorities: str, id: int, step: int, order: list[int], written: int
) -> None:
    before = named(priorities)
    changed = moved((*before, Processor(9, "other", "x", location=STORED)), id, step)
    assert changed is not None
    assert len(changed) == written
    after = {p.id: p for p in before} | {p.id: p for p in changed}
    assert [p.id for p in sorted(after.values(), key=lambda p: p.order)] == order


@pytest.mark.parametrize(("id", "step"), [(1, -1), (3, 1), (9, 1)])
def test_at_the_end_or_gone_nothing_is_written(id: int, step: int) -> None:
    assert moved(named("10 20 30"), id, step) is None
