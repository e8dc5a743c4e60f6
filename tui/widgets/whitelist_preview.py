"""A whitelist as it would be after saving: the new line marked, odd lines with a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tui.text import fit, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.forms.allow_form import PreviewLine

MAX_LINE_WIDTH = 40


class WhitelistPreview(Static):
    """Shows numbered lines, each with what it means or what is odd about it."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def show(self, lines: Sequence[PreviewLine]) -> None:
        """Show these lines."""
        width = min(MAX_LINE_WIDTH, max((len(line.text) for line in lines), default=0))
        self.update(Content("\n").join(_drawn(line, width) for line in lines))


def _drawn(line: PreviewLine, width: int) -> Content:
    number = f"{'+' if line.is_new else ' '} {line.number:>3}  "
    style = "bold $text-success" if line.is_new else ""
    text = Content.styled(number + fit(safe(line.text), width), style)
    if line.notes:
        return text.append(Content.styled(f"  ! {'; '.join(line.notes)}", "$text-warning"))
    return text.append(Content.styled(f"  ✓ {line.meaning}", "$text-muted"))
