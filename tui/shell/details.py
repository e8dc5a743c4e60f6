"""The details of a table row: a title, readable lines, and values for JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.text import fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LABEL_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Details:
    """One row in words and as values; title and text are safe to show."""

    title: str
    text: str
    record: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the values as JSON, in ASCII so that no character can do harm."""
        return json.dumps(self.record, indent=2, default=str)


def in_lines(facts: Iterable[tuple[str, str]]) -> str:
    """Return one line for each name with its value."""
    return "\n".join(f"{fit(name, LABEL_WIDTH)}  {value}" for name, value in facts)
