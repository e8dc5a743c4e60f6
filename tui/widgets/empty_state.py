"""The first screen of a fresh installation: what a receiver is and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from tui.text import cut, fit, safe, size
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.view import EngineSnapshot

WIDTH = 66
LABEL_WIDTH = 16
EXPLANATION = (
    "A receiver is a DICOM storage SCP: an AE title and a port that",
    "modalities send to. Objects it accepts wait in the prearchive.",
)


class EmptyState(Static):
    """Says that there are no receivers yet, and how to make one."""

    def __init__(self, *, id: str, read_only: bool = False) -> None:
        super().__init__("", id=id, markup=False)
        self._read_only = read_only
        self._palette = palette_of(DARK)
        self._shown: object = None

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self._shown = None

    def show(self, snapshot: EngineSnapshot) -> None:
        """Show where this installation keeps its data."""
        free = size(snapshot.storage.free_bytes)
        shown = (snapshot.data_dir, free, snapshot.revision)
        if shown != self._shown:
            self._shown = shown
            self.update(self._text(snapshot, free))

    def _text(self, snapshot: EngineSnapshot, free: str) -> Text:
        quiet = self._palette.style(Tone.MUTED)
        text = Text(end="", no_wrap=True)
        text.append("No receivers yet\n\n", "bold")
        for line in EXPLANATION:
            text.append(line + "\n")
        text.append("\n")
        for key, label, detail in _steps(read_only=self._read_only):
            text.append(fit(key, 4), self._palette.style(Tone.KEY)).append(label + "\n")
            if detail:
                text.append(f"    {detail}\n\n", quiet)
        text.append("\n─ this host ".ljust(WIDTH, "─") + "\n", quiet)
        for name, value in _host_facts(snapshot, free):
            text.append(fit(name, LABEL_WIDTH), quiet).append(cut(value, 50) + "\n")
        return text


def _steps(*, read_only: bool) -> Iterator[tuple[str, str, str]]:
    """Yield keys, what they do, and a detail."""
    from engine.model.receiver import DEFAULT_AE_TITLE, DEFAULT_PORT

    suggested = f"suggested: AE title {DEFAULT_AE_TITLE}, port {DEFAULT_PORT}"
    if not read_only:
        yield "n", "Create a receiver", suggested
    yield "?", "Keys and help", ""
    yield "^p", "Everything else", ""


def _host_facts(snapshot: EngineSnapshot, free: str) -> list[tuple[str, str]]:
    return [
        ("host", safe(snapshot.host)),
        ("data directory", safe(snapshot.data_dir)),
        ("free space", free),
        ("as a service", "dicomdock engine   serves the same receivers"),
        ("from an XNAT", "dicomdock import-xnat FILE   takes over its own"),
    ]
