"""How commands tell what differs between two configurations."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.model.configuration_diff import by_member

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.configuration_diff import Difference


def sentences(made: Iterable[Difference]) -> list[str]:
    """Say every difference in one line; those of the limits one by one."""
    return [difference.sentence() for difference in by_member(made)]


def records(made: Iterable[Difference]) -> list[dict[str, object]]:
    """Return the differences for programs."""
    return [{**asdict(d), "sentence": d.sentence()} for d in by_member(made)]


def print_differences(made: Iterable[Difference]) -> None:
    """Write the differences for people."""
    terminal.print_table(("DIFFERENCE",), [(sentence,) for sentence in sentences(made)])
