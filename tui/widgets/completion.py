"""Completes what is typed by names; `known_names` finds those that the engine knows."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from textual.geometry import Size
from textual.suggester import Suggester
from textual.widgets import TextArea

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MOST_NAMES = 1_000
"""Of each kind."""
COMPLETES = "→ completes"
"""What the hint of a field says that completes."""


class Names(StrEnum):
    """The kinds of names."""

    CALLERS = "callers"
    """AE titles that called, also those that were rejected."""
    CALLER_ADDRESSES = "caller addresses"
    WHITELIST_LINES = "whitelist lines"
    """For each caller its AE title, and the same with its address."""
    PEERS = "peers"
    """AE titles of known peers, then those that called."""
    HOSTS = "hosts"
    PROJECTS = "projects"
    """Ids, then aliases."""
    RECEIVERS = "receivers"
    """Such as ``XNAT:8104``."""
    MODALITIES = "modalities"


NO_NAMES: Mapping[Names, Sequence[str]] = MappingProxyType({})


def offered(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in order, without those that could not be typed."""
    plain = (name for name in names if name and name.isprintable() and name == name.strip())
    return tuple(dict.fromkeys(plain))[:MOST_NAMES]


def name_begun(typed: str, names: Iterable[str]) -> str:
    """Return the first longer name that begins with what is typed, in any case; empty for none."""
    begun = typed.casefold()
    longer = (name for name in names if len(name) > len(typed))
    return next((name for name in longer if name[: len(typed)].casefold() == begun), "")


def rest_of_line(lines: Sequence[str], names: Iterable[str]) -> str:
    """Return what completes the last of some lines to a name; empty for nothing.

    The case counts: what is typed stays, so the line would else be another name. A name that is
    another line already is not offered.
    """
    typed, others = lines[-1].lstrip(), set(map(str.strip, lines[:-1]))
    if not typed:
        return ""
    found = (n for n in names if n.startswith(typed) and n != typed and n not in others)
    return next(found, "")[len(typed) :]


class NameSuggester(Suggester):
    """Gives Textual's `Input` what completes its value; asks nobody but the function given."""

    def __init__(self, complete: Callable[[str], str]) -> None:
        """Take a function from a value to a longer one, or to nothing."""
        # Not cached: names come while something is typed already.
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """Return the longer value."""
        return self._complete(value) or None


class CompletingArea(TextArea):
    """A text area that completes the line under the cursor, at its end."""

    complete: Callable[[Sequence[str]], str] | None = None
    """Gets the lines up to the cursor, and returns what is to be added."""

    def update_suggestion(self) -> None:
        """Show what would complete the line."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        at_end = self.selection.is_empty and column == len(line)
        if self.complete is None or not at_end:
            self.suggestion = ""
            return
        before = [self.document.get_line(number) for number in range(row)]
        self.suggestion = self.complete([*before, line])

    def validate_virtual_size(self, size: Size) -> Size:
        """Leave room for what completes a line: Textual shows as much as the longest line has."""
        room = self.scrollable_content_region.width - self.styles.scrollbar_size_vertical
        return Size(max(size.width, room), size.height)

    def on_text_area_selection_changed(self) -> None:
        """Follow the cursor: what is shown belongs to where it was."""
        self.update_suggestion()
