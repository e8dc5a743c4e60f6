"""How commands tell what differs between two configurations."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.model.configuration_diff import by_member, masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.configuration_diff import Difference


def sentences(made: Iterable[Difference], *, secrets: bool = False) -> list[str]:
    """Say every difference in one line; those of the limits one by one."""
    return [difference.sentence() for difference in _members(made, secrets=secrets)]


def records(made: Iterable[Difference], *, secrets: bool = False) -> list[dict[str, object]]:
    """Return the differences for programs."""
    return [{**asdict(d), "sentence": d.sentence()} for d in _members(made, secrets=secrets)]


def print_differences(made: Iterable[Difference], *, secrets: bool = False) -> None:
    """Write the differences for people."""
    rows = [(sentence,) for sentence in sentences(made, secrets=secrets)]
    terminal.print_table(("DIFFERENCE",), rows)


def _members(made: Iterable[Difference], *, secrets: bool) -> Iterator[Difference]:
    return by_member(made) if secrets else masked(made)
