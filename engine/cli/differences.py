"""How commands tell what differs between two configurations."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from engine import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.configuration_diff import Difference


def sentences(made: Iterable[Difference]) -> list[str]:
    """Say every difference in one line; those of the limits one by one."""
    return [difference.sentence() for difference in _by_member(made)]


def records(made: Iterable[Difference]) -> list[dict[str, object]]:
    """Return the differences for programs."""
    return [{**asdict(d), "sentence": d.sentence()} for d in _by_member(made)]


def print_differences(made: Iterable[Difference]) -> None:
    """Write the differences for people."""
    terminal.print_table(("DIFFERENCE",), [(sentence,) for sentence in sentences(made)])


def _by_member(made: Iterable[Difference]) -> Iterator[Difference]:
    for difference in made:
        before, after = difference.before, difference.after
        if not isinstance(before, dict) or not isinstance(after, dict):
            yield difference
            continue
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                member, old, new = f"{difference.field}.{name}", before.get(name), after.get(name)
                yield replace(difference, field=member, before=old, after=new)
