"""The commands on the whole installation: the switch over all receivers, and undo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.events import ConfigurationApplied
from tui.link import SITE, EngineCall
from tui.screens.confirm import ConfirmScreen
from tui.text import counted, moment, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.site import SiteSettings
    from engine.view import EngineSnapshot, EngineView
    from tui.app import ConsoleApp
    from tui.link import Reading


class SiteCommands:
    """Carries out commands on the installation for one console."""

    def __init__(self, app: ConsoleApp, actor: str) -> None:
        self._app = app
        self._actor = actor

    def switch(self, *, allowed: bool) -> None:
        """Allow DICOM receivers, or none; the latter asks first."""

        def decide(site: SiteSettings) -> None:
            snapshot = self._app.reading.snapshot
            if site.receivers_allowed == allowed:
                self._app.tell(f"DICOM receivers are {_word(allowed)} already")
            elif allowed or snapshot is None:
                self._set(allowed=allowed)
            else:
                sentence = barring_sentence(snapshot)
                confirm = ConfirmScreen("Allow no DICOM receivers?", sentence, "Bar them all")
                self._ask(confirm, lambda: self._set(allowed=False))

        self._call("look at the site settings", lambda engine: engine.site(), decide)

    def _set(self, *, allowed: bool) -> None:
        def change(engine: EngineView) -> None:
            engine.set_site(replace(engine.site(), receivers_allowed=allowed), self._actor)

        def told(_: object) -> None:
            self._app.refresh_from_engine()
            self._app.tell(f"DICOM receivers are {_word(allowed)} now")

        self._call("change the site settings", change, told)

    def undo(self) -> None:
        """Take back the newest change of the configuration, after a yes."""
        sentence = undo_sentence(self._app.reading)
        confirm = ConfirmScreen("Undo the last change?", sentence, "Undo it")

        def told(_: object) -> None:
            self._app.refresh_from_engine()
            snapshot = self._app.reading.snapshot
            revision = f": revision {snapshot.revision} is in force" if snapshot else ""
            self._app.tell(f"last change undone{revision}")

        def undo(engine: EngineView) -> None:
            engine.undo(self._actor)

        self._ask(confirm, lambda: self._call("undo the last change", undo, told))

    def _call(
        self, what: str, run: Callable[[EngineView], Any], then: Callable[[Any], None]
    ) -> None:
        self._app.call_engine(EngineCall(what, SITE, run, then))

    def _ask(self, screen: ConfirmScreen, then: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self._app.push_screen(screen, answered)


def barring_sentence(snapshot: EngineSnapshot) -> str:
    """Say what switching all receivers off means now."""
    enabled = sum(status.receiver.enabled for status in snapshot.receivers)
    open_now = len(snapshot.associations)
    finish = f"{counted(open_now, 'open association')} may finish" if open_now else ""
    stop = f"{counted(enabled, 'enabled receiver')} will take no associations"
    none = "No association is open."
    return f"{stop} until this is switched on again. {finish + '.' if finish else none}"


def undo_sentence(reading: Reading) -> str:
    """Say which revision would be taken back, and who made it, as far as that is known."""
    snapshot = reading.snapshot
    if snapshot is None:
        return "The newest change of the configuration is taken back, as a new revision."
    made = f"Revision {snapshot.revision}"
    for recorded in reading.events:
        event = recorded.event
        if isinstance(event, ConfigurationApplied) and event.revision == snapshot.revision:
            at = moment(recorded.at, snapshot.taken_at)
            made = f"{made}, changed by {safe(event.by)} at {at},"
            break
    return f"{made} is taken back by a new revision; open associations are not disturbed."


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "not allowed"
