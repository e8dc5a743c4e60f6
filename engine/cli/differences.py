"""Differences of configurations, as commands print them; secrets only if they are asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.host import terminal
from engine.model.configuration_diff import by_member, masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.configuration_diff import FieldDifference


def sentences(made: Iterable[FieldDifference], *, secrets: bool = False) -> list[str]:
    """Return each difference as one line; limits are listed one by one."""
    return [difference.sentence() for difference in _members(made, secrets=secrets)]


def records(made: Iterable[FieldDifference], *, secrets: bool = False) -> list[dict[str, object]]:
    """Return the differences as JSON."""
    return [{**asdict(d), "sentence": d.sentence()} for d in _members(made, secrets=secrets)]


def print_differences(made: Iterable[FieldDifference], *, secrets: bool = False) -> None:
    """Write the differences for people."""
    rows = [(sentence,) for sentence in sentences(made, secrets=secrets)]
    terminal.print_table(("DIFFERENCE",), rows)


def _members(made: Iterable[FieldDifference], *, secrets: bool) -> Iterator[FieldDifference]:
    return by_member(made) if secrets else masked(made)
