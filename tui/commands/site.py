"""The commands on the whole installation: the switch over all receivers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tui.link import SITE, EngineCall
from tui.screens.confirm import ConfirmScreen
from tui.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.site import SiteSettings
    from engine.view import EngineSnapshot, EngineView
    from tui.commands.commanded import CommandedApp


class SiteCommands:
    """Carries out commands on the installation for one console."""

    def __init__(self, app: CommandedApp, actor: str) -> None:
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
            self._app.tell_saved(f"DICOM receivers are {_word(allowed)} now")

        self._call("change the site settings", change, told)

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


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "not allowed"
