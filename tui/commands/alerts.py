"""Test alerts: sent to targets as they are saved, or as a dialog has one, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.link import EngineCall, WorkRequested
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.alerts import AlertTarget
    from engine.model.site import SiteSettings
    from engine.view import EngineView
    from tui.commands.commanded import CommandedApp
    from tui.link import WorkOutcome

ABOUT = "test-alert"


class AlertCommands:
    """Sends test alerts for one console; a target may take half a minute, so progress is seen."""

    def __init__(self, app: CommandedApp, actor: str) -> None:
        self._app = app
        self._actor = actor

    def test(self, site: SiteSettings, name: str) -> None:
        """Tell one target, or all if none is named."""
        alerts = site.alerts
        found = [target for target in alerts.targets if name in ("", target.name)]
        if found:
            self.send(tuple(found))
        else:
            self._app.tell("there is nobody to send a test alert to; n adds a target", "warning")

    def send(self, targets: tuple[AlertTarget, ...]) -> None:
        """Tell some targets, one after the other."""
        calls = [_call(target, self._actor) for target in targets]
        names = ", ".join(safe(target.name) for target in targets)

        def told(outcome: WorkOutcome) -> None:
            if not outcome.failures and outcome.done:
                self._app.tell(f"✓ {counted(outcome.done, 'test alert')} delivered: {names}")

        title = f"Test {counted(len(targets), 'alert target')}"
        self._app.post_message(WorkRequested(title, calls, told))


def _call(target: AlertTarget, actor: str) -> EngineCall:
    run: Callable[[EngineView], None] = partial(_try, target, actor)
    return EngineCall(f"send a test alert to {safe(target.name)}", ABOUT, run, lambda _: None)


def _try(target: AlertTarget, actor: str, engine: EngineView) -> None:
    engine.monitoring.try_alert(target, actor)
