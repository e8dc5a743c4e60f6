"""What concerns the whole installation and must not be overlooked, above all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Static

from engine.view import ReceiverState
from tui.text import counted, safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.view import EngineSnapshot


class Banners(Vertical):
    """One line for each such thing, and no room for those that are in order."""

    def __init__(self, *, read_only: bool = False) -> None:
        super().__init__()
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        """Prepare all of them."""
        yield Static("", id="banner", markup=False)
        yield Static("", id="read-only", markup=False)
        yield Static("", id="barred", markup=False)

    def show(self, snapshot: EngineSnapshot) -> None:
        """Show what concerns the installation now."""
        self._say("#banner", configuration_words(snapshot))
        self._say("#read-only", read_only_words(snapshot))
        self._say("#barred", barred_words(snapshot, read_only=self._read_only))

    def _say(self, selector: str, words: str) -> None:
        banner = self.query_one(selector, Static)
        banner.display = bool(words)
        if words and words != str(banner.content):
            banner.update(words)


def configuration_words(snapshot: EngineSnapshot) -> str:
    """Say that the configuration file is refused, if it is."""
    if not snapshot.configuration_problem:
        return ""
    kept = f"revision {snapshot.revision}, the last good one, stays in force"
    return f"✗ The configuration file is refused; {kept}: {safe(snapshot.configuration_problem)}"


def read_only_words(snapshot: EngineSnapshot) -> str:
    """Say why nothing can be changed from here, if so."""
    if not snapshot.read_only:
        return ""
    return f"⊘ Nothing can be changed from here: {safe(snapshot.read_only)}"


def barred_words(snapshot: EngineSnapshot, *, read_only: bool = False) -> str:
    """Say that the site allows no receivers, if that keeps some from listening."""
    barred = sum(s.state is ReceiverState.NOT_ALLOWED for s in snapshot.receivers)
    if not barred:
        return ""
    kept = counted(barred, "enabled receiver")
    verb = "does" if barred == 1 else "do"
    site = "⊘ DICOM receivers are not allowed on this site"
    remedy = "" if read_only else " B allows them again"
    return f"{site}: {kept} {verb} not listen.{remedy}"


def is_barred(snapshot: EngineSnapshot | None) -> bool:
    """Tell whether receivers are seen that the site does not allow."""
    receivers = snapshot.receivers if snapshot is not None else ()
    return any(status.state is ReceiverState.NOT_ALLOWED for status in receivers)
