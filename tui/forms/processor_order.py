"""Moving a processor up and down: which priorities have to be written for that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.model.processor import DEFAULT_PRIORITY, PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.model.processor import Processor


def moved(
    processors: Iterable[Processor], processor_id: int, step: int
) -> tuple[Processor, ...] | None:
    """Return the processors with another priority, so that one acts a place earlier or later.

    Only the moved one is changed where that is enough; else all at its location are numbered anew.

    Args:
        processors: all of them.
        processor_id: the one to be moved.
        step: -1 for a place earlier, 1 for a place later, among those at its location.

    Returns:
        What is to be saved; None if it is the first or last already, or not there any more.
    """
    known = tuple(processors)
    chosen = next((p for p in known if p.id == processor_id), None)
    if chosen is None:
        return None
    there = sorted((p for p in known if p.location is chosen.location), key=lambda p: p.order)
    at = there.index(chosen)
    if not 0 <= at + step < len(there):
        return None
    wanted = [p for p in there if p is not chosen]
    wanted.insert(at + step, chosen)
    return _one_changed(wanted, chosen) or _numbered(wanted)


def _one_changed(wanted: Sequence[Processor], chosen: Processor) -> tuple[Processor, ...] | None:
    at = wanted.index(chosen)
    around = [p.priority for p in (*wanted[max(0, at - 1) : at], *wanted[at + 1 : at + 2])]
    middle = sum(around) // len(around)
    for priority in (middle, *around, *(p - 1 for p in around), *(p + 1 for p in around)):
        changed = replace(chosen, priority=priority)
        tried = [changed if p is chosen else p for p in wanted]
        if priority in PRIORITIES and sorted(tried, key=lambda p: p.order) == tried:
            return (changed,)
    return None


def _numbered(wanted: Sequence[Processor]) -> tuple[Processor, ...]:
    numbered = (
        replace(p, priority=DEFAULT_PRIORITY * place) for place, p in enumerate(wanted, start=1)
    )
    return tuple(new for old, new in zip(wanted, numbered, strict=True) if new != old)
