"""A framed part of the dashboard, whose frame shows where the focus is even without color."""

from __future__ import annotations

from typing import ClassVar

from textual.containers import Vertical
from textual.content import Content


class Panel(Vertical):
    """Frames its content: title at the top left, a note at the bottom right."""

    DEFAULT_CLASSES: ClassVar[str] = "panel"

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id)
        self._title = title
        self._detail = ""
        self._note = ""
        self._other_note = ""
        self._focused = False

    def on_mount(self) -> None:
        """Draw the title."""
        self._draw_title()

    def describe(self, detail: str, note: str | None = None) -> None:
        """Show a detail behind the title and a usual note at the bottom; both safe text."""
        if detail != self._detail:
            self._detail = detail
            self._draw_title()
        if note is not None and note != self._note:
            self._note = note
            self._draw_note()

    def rename(self, title: str) -> None:
        """Show another title; safe text."""
        if title != self._title:
            self._title = title
            self._draw_title()

    def override_note(self, note: str) -> None:
        """Show another note instead of the usual one; empty ends that."""
        self._other_note = note
        self._draw_note()

    def on_descendant_focus(self) -> None:
        """Mark the panel as the one that keys go to."""
        self._mark()

    def on_descendant_blur(self) -> None:
        """Take the mark away."""
        self._mark()

    def _mark(self) -> None:
        focused = self.screen.focused
        self._focused = focused is not None and self in focused.ancestors_with_self
        self._draw_title()

    def _draw_note(self) -> None:
        note = self._other_note or self._note
        self.border_subtitle = Content(note) if note else None

    def _draw_title(self) -> None:
        mark = "▸ " if self._focused else ""
        detail = f"   {self._detail}" if self._detail else ""
        self.border_title = Content.assemble(mark, (self._title, "bold"), detail)
