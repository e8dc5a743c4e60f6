"""The commands on associations: allow a rejected caller, and abort current associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.associations.allow import advice, allow_form
from tui.associations.table import when_rejected
from tui.engine_client import EngineCall, WorkRequested
from tui.shell.dialogs import ConfirmDialog, MessageDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.api import AssociationStatus, EngineSnapshot, EngineView
    from engine.model.receiver import Receiver
    from tui.app import CommandApp
    from tui.associations.allow import AllowForm
    from tui.engine_client import AbortRequested, WorkOutcome


class AssociationCommands:
    """Carries out commands on associations for one console."""

    def __init__(self, app: CommandApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def allow(self, association: AssociationStatus) -> None:
        """Offer the lines that would let a rejected caller in, if that is what it needs."""
        self._app.refresh_from_engine()
        snapshot = self._app.engine_state.snapshot
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
        self._app.push_screen(MessageDialog(title, detail, helps, error=False))

    def _open_dialog(self, form: AllowForm) -> None:
        from tui.associations.allow import AllowDialog

        caller = safe(form.association.calling_ae_title)

        def saved(receiver: Receiver | None) -> None:
            if receiver is not None:
                self._app.refresh_from_engine()
                line = safe(receiver.whitelist[-1])
                self._app.show_saved(f"{safe(receiver.label)} lets {caller} in now, by line {line}")

        dialog = AllowDialog(
            form,
            save=lambda changed, seen: self._engine.save_receiver(
                changed, self._actor, replacing=seen
            ),
            current=lambda: self._app.refresh_receiver(form.receiver.id),
        )
        self._app.push_screen(dialog, saved)

    def abort(self, request: AbortRequested) -> None:
        """Abort live associations, after a yes."""
        associations = request.associations
        confirm = ConfirmDialog(abort_question(associations), abort_sentence(associations), "Abort")

        def answered(yes: bool | None) -> None:
            if yes:
                self._abort([self._aborting(a) for a in associations], request.then)

        self._app.push_screen(confirm, answered)

    def _abort(self, calls: list[EngineCall], then: Callable[[], None]) -> None:
        def over(outcome: WorkOutcome) -> None:
            then()
            self._app.show_toast(f"{counted(outcome.done, 'association')} aborted")

        self._app.post_message(WorkRequested("Abort associations", calls, over))

    def _aborting(self, association: AssociationStatus) -> EngineCall:
        return EngineCall(
            f"abort {safe(association.calling_ae_title)} {safe(association.id)}",
            association.id,
            lambda engine: engine.associations.abort(association.id, self._actor),
            lambda _: None,
        )


def abort_question(associations: Sequence[AssociationStatus]) -> str:
    """Ask about one association by name, about more by number."""
    if len(associations) > 1:
        return f"Abort {len(associations):,} associations?"
    return f"Abort {safe(associations[0].calling_ae_title)} · {safe(associations[0].id)}?"


def abort_sentence(associations: Sequence[AssociationStatus]) -> str:
    """Say what an abort means."""
    objects = sum(association.objects for association in associations)
    whose = "its caller" if len(associations) == 1 else "their callers"
    return (
        f"The connection ends at once; {whose} may try again. What is stored stays: "
        f"{counted(objects, 'object')} so far. An object under way has to be sent again."
    )
