"""The commands on associations: allow a rejected caller, and abort current ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.associations.allow import advice, allow_form
from tui.associations.table import when_rejected
from tui.shell.dialogs import MessageDialog, QuestionDialog, WorkStep
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.api import AssociationStatus, EngineSnapshot
    from engine.model.receiver import Receiver
    from tui.associations.allow import AllowDialog, AllowForm
    from tui.shell.engine_app import EngineApp


class AssociationCommands:
    """Carries out commands on associations for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._engine = app.view
        self._actor = app.actor

    async def allow(self, association: AssociationStatus) -> None:
        """Offer the lines that would let a rejected caller in, if that is what it needs."""
        snapshot = (await self._app.look()).snapshot
        if snapshot is None:
            return
        form = allow_form(association, snapshot)
        if form is None:
            self._explain(association, snapshot)
            return
        receiver = await self._app.push_screen_wait(self._dialog(form))
        if receiver is not None:
            await self._app.look()
            caller, line = safe(association.calling_ae_title), safe(receiver.whitelist[-1])
            self._app.show_saved(f"{safe(receiver.label)} lets {caller} in now, by line {line}")

    def _explain(self, association: AssociationStatus, snapshot: EngineSnapshot) -> None:
        title = f"{association.calling_ae_title} can't be allowed by a whitelist line"
        detail = f"rejected {when_rejected(association)}: {association.why}"
        helps = advice(association, snapshot)
        self._app.push_screen(MessageDialog(title, detail, helps, error=False))

    def _dialog(self, form: AllowForm) -> AllowDialog:
        from tui.associations.allow import AllowDialog

        def current() -> Receiver | None:
            found = (status.receiver for status in self._engine.snapshot().receivers)
            return next((one for one in found if one.id == form.receiver.id), None)

        return AllowDialog(
            form,
            save=lambda changed, seen: self._engine.save_receiver(
                changed, self._actor, replacing=seen
            ),
            current=current,
        )

    async def abort(
        self, associations: Sequence[AssociationStatus], then: Callable[[], None]
    ) -> None:
        """Abort live associations, after a yes."""
        question, sentence = abort_question(associations), abort_sentence(associations)
        if await self._app.push_screen_wait(QuestionDialog.confirm(question, sentence, "Abort")):
            steps = [self._aborting(association) for association in associations]
            outcome = await self._app.work_through("Abort associations", steps)
            then()
            self._app.show_toast(f"{counted(outcome.done, 'association')} aborted")

    def _aborting(self, association: AssociationStatus) -> WorkStep:
        return WorkStep(
            f"abort {safe(association.calling_ae_title)} {safe(association.id)}",
            lambda engine: engine.associations.abort(association.id, self._actor),
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
