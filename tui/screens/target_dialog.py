"""The dialog of one alert target: it can be tried before it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from engine.model.site import SiteSettings
from tui.screens.form_dialog import form_bindings
from tui.screens.settings_dialog import SettingsDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.alerts import AlertTarget
    from tui.forms.alert_forms import TargetForm


class TargetDialog(SettingsDialog[SiteSettings]):
    """Edits one target; ``ctrl+t`` sends a test alert to what is typed."""

    BINDINGS = form_bindings(Binding("ctrl+t", "test", "Test alert", id="dialog.test_alert"))
    TEST = ("test", "Test alert")
    FOOT_NOTE = "* required"
    form: TargetForm

    def __init__(
        self, form: TargetForm, title: str, *, send: Callable[[AlertTarget], None], **ways: Any
    ) -> None:
        """Take, besides, what sends a test alert and shows what becomes of it."""
        super().__init__(form, title, **ways)
        self._send = send

    def action_test(self) -> None:
        """Send a test alert to the target as it is typed."""
        if not self.refuse_problems():
            self._send(self.form.target_typed())
