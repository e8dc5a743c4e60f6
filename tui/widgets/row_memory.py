"""The rows of a table as they were made last: only what changed is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tui.widgets.live_table import TableRow

Shown = TypeVar("Shown")


class RowMemory(Generic[Shown]):
    """Makes rows of what they show; of what is as it was, the same row again.

    A console looks several times a second at hundreds of things that hardly change.
    """

    def __init__(self, key: Callable[[Shown], str], make: Callable[[Shown, str], TableRow]) -> None:
        """Take what gives a row's key, and what makes a row of that key."""
        self._key = key
        self._make = make
        self._made: dict[str, tuple[Shown, TableRow]] = {}

    def rows(self, shown: Iterable[Shown]) -> list[TableRow]:
        """Return the rows; what is not among them is forgotten."""
        before, self._made = self._made, {}
        for one in shown:
            key = self._key(one)
            known = before.get(key)
            again = known is not None and known[0] == one
            self._made[key] = known if known and again else (one, self._make(one, key))
        return [row for _, row in self._made.values()]
