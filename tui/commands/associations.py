"""The command on a rejected caller: put it on the whitelist, or say what else helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.forms.allow_form import advice, allow_form
from tui.screens.message import MessageScreen
from tui.text import safe
from tui.widgets.associations_table import when_rejected

if TYPE_CHECKING:
    from engine.model.receiver import Receiver
    from engine.view import AssociationStatus, EngineSnapshot, EngineView
    from tui.app import ConsoleApp
    from tui.forms.allow_form import AllowForm


class AssociationCommands:
    """Carries out commands on associations for one console."""

    def __init__(self, app: ConsoleApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def allow(self, association: AssociationStatus) -> None:
        """Offer the lines that would let a rejected caller in, if that is what it needs."""
        self._app.refresh_from_engine()
        snapshot = self._app.reading.snapshot
        if snapshot is None:
            return
        form = allow_form(association, snapshot)
        if form is None:
            self._explain(association, snapshot)
        else:
            self._open_dialog(form)

    def _explain(self, association: AssociationStatus, snapshot: EngineSnapshot) -> None:
        title = f"{association.calling_ae_title} can't be allowed by a whitelist line"
        detail = f"rejected {when_rejected(association)}: {association.why}"
        helps = advice(association, snapshot)
        self._app.push_screen(MessageScreen(title, detail, helps, error=False))

    def _open_dialog(self, form: AllowForm) -> None:
        from tui.screens.allow_dialog import AllowDialog

        caller = safe(form.association.calling_ae_title)

        def saved(receiver: Receiver | None) -> None:
            if receiver is not None:
                self._app.refresh_from_engine()
                line = safe(receiver.whitelist[-1])
                self._app.tell(f"{safe(receiver.label)} lets {caller} in now, by line {line}")

        dialog = AllowDialog(
            form,
            save=lambda changed, seen: self._engine.save_receiver(
                changed, self._actor, replacing=seen
            ),
            current=lambda: self._app.look_at(form.receiver.id),
        )
        self._app.push_screen(dialog, saved)
