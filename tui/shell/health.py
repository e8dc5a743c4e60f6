"""The banners above every screen: what concerns the whole installation, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from engine.api import ReceiverState
from tui.keys import pressed
from tui.text import counted, safe, size
from tui.widgets.panel import Excerpt

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.api import EngineSnapshot
    from tui.engine_client import EngineState


class Banners(Vertical):
    """One line for each such thing, and no room for those that are in order."""

    def __init__(self, *, read_only: bool = False, restarts: bool = False) -> None:
        """Take whether nothing may be changed, and whether a key starts an engine."""
        super().__init__()
        self._read_only = read_only
        self._restarts = restarts

    def compose(self) -> ComposeResult:
        """Prepare all of them."""
        yield Excerpt(id="silence")
        yield Excerpt(id="rejecting")
        yield Excerpt(id="banner")
        yield Excerpt(id="read-only")
        yield Excerpt(id="barred")

    def show(self, engine_state: EngineState) -> None:
        """Show what concerns the installation now."""
        snapshot = engine_state.snapshot
        if snapshot is None:
            return
        self._say("#silence", silence_words(engine_state, restarts=self._restarts))
        self._say("#rejecting", rejection_words(snapshot))
        self._say("#banner", configuration_words(snapshot))
        self._say("#read-only", read_only_words(snapshot))
        self._say("#barred", barred_words(snapshot, read_only=self._read_only))

    def _say(self, selector: str, words: str) -> None:
        banner = self.query_one(selector, Excerpt)
        banner.display = bool(words)
        if words and words != str(banner.content):
            banner.update(words)


def silence_words(engine_state: EngineState, *, restarts: bool) -> str:
    """Say that what is shown may be outdated, and how to start an engine."""
    if engine_state.silent_since is None:
        return ""
    how = (
        f"{pressed('app.start_engine')} starts one here"
        if restarts
        else "start one with: dicomdock engine"
    )
    return f"✗ What is shown may be outdated. If the engine ended, {how}."


def rejection_words(snapshot: EngineSnapshot) -> str:
    """Say that every caller is rejected, why, and what helps; empty if none is."""
    storage = snapshot.storage
    if storage.refusal:
        return f"✗ Every caller is rejected: {safe(storage.refusal)}. {storage_remedy(snapshot)}"
    if len(snapshot.associations) >= snapshot.maximum_associations:
        limit = counted(snapshot.maximum_associations, "association")
        return f"✗ Further callers are rejected: {limit} of the site are open. 6 shows this limit."
    return ""


def storage_remedy(snapshot: EngineSnapshot) -> str:
    """Say what helps where the storage takes no objects."""
    storage = snapshot.storage
    if storage.free_bytes < storage.reserve_bytes:
        missing = size(storage.reserve_bytes - storage.free_bytes)
        return f"Free at least {missing} under {safe(storage.path)}. 6 shows the limit."
    return f"Check that {safe(storage.path)} is mounted and can be written."


def configuration_words(snapshot: EngineSnapshot) -> str:
    """Say that the configuration file is refused, if it is."""
    if not snapshot.configuration_problem:
        return ""
    kept = f"revision {snapshot.revision}, the last good one, stays in force"
    problem = safe(snapshot.configuration_problem)
    back = f"8 and {pressed('history.restore')} write it back"
    return f"✗ The configuration file is refused; {kept} ({back}): {problem}"


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
    remedy = "" if read_only else f" {pressed('site.allow')} allows them again"
    return f"{site}: {kept} {verb} not listen.{remedy}"


def is_barred(snapshot: EngineSnapshot | None) -> bool:
    """Tell whether receivers are seen that the site does not allow."""
    receivers = snapshot.receivers if snapshot is not None else ()
    return any(status.state is ReceiverState.NOT_ALLOWED for status in receivers)
