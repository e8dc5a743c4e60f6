"""Two headers side by side: which elements are equal, changed, removed or added; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.view.objects import ComparedRow, RowChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.view.objects import ElementRow

_META_GROUP = 0x0002


def compared(
    received: Sequence[ElementRow], stored: Sequence[ElementRow], last_tag: int
) -> tuple[ComparedRow, ...]:
    """Return the rows of both headers in one order, unmasked ones.

    Args:
        received: the elements as they arrived.
        stored: the elements of the file; its file meta is not compared.
        last_tag: the greatest tag that `received` may hold; later ones are left out.
    """
    before, after = _by_path(received, last_tag), _by_path(stored, last_tag)
    rows = []
    for path in _merged(list(before), list(after)):
        old, new = before.get(path), after.get(path)
        rows.append(ComparedRow(_change(old, new), old, new))
    return tuple(rows)


def _by_path(rows: Iterable[ElementRow], last_tag: int) -> dict[str, ElementRow]:
    kept: dict[str, ElementRow] = {}
    within = False
    for row in rows:
        if not row.depth:
            within = row.tag >> 16 != _META_GROUP and row.tag <= last_tag
        if within:
            kept[row.path] = row
    return kept


def _change(old: ElementRow | None, new: ElementRow | None) -> RowChange:
    if old is None:
        return RowChange.ADDED
    if new is None:
        return RowChange.REMOVED
    same = old.value == new.value and (old.length == new.length or not old.cut)
    return RowChange.EQUAL if same else RowChange.CHANGED


def _merged(before: list[str], after: list[str]) -> list[str]:
    """Return all paths; both lists are in order, and so is the outcome."""
    return sorted({*before, *after}, key=_order)


def _order(path: str) -> tuple[tuple[str, int], ...]:
    """Return a key by which an item follows its sequence, and item 2 precedes item 10."""
    parts = []
    for part in path.split("."):
        tag, _, number = part.partition("[")
        parts.append((tag, int(number[:-1]) if number else 0))
    return tuple(parts)
