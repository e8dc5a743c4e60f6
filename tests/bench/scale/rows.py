"""A row of the table: what is measured, at which sizes, and how it grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement at several sizes."""

    name: str
    """On the command line."""
    title: str
    unit: str
    of: str
    """What the sizes count, such as ``sessions``."""
    sizes: tuple[int, ...]
    """By default."""
    measure: Callable[[Path, int], float]
    """Gets an empty folder and a size."""
    bar: str = ""
    """What it should come to, in words."""


def growth(sizes: Sequence[int], values: Sequence[float]) -> float | None:
    """Return by how much a value grows when the size grows tenfold: 1 is flat, 10 is linear.

    Returns:
        None if there are fewer than two sizes, or a value is 0.
    """
    if len(sizes) < 2 or not all(value > 0 for value in values):
        return None
    tenfolds = math.log10(sizes[-1] / sizes[0])
    return float((values[-1] / values[0]) ** (1 / tenfolds)) if tenfolds else None


def shown(value: float) -> str:
    """Return a value with three digits that mean something."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"
