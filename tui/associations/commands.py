"""The commands on associations, with their keys and palette entries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.api import AssociationEnd
from tui.associations.table import association_of, repeated, row_key, when_rejected, why_ended
from tui.engine_client import AllowRequested
from tui.keys import Key, Scope, pressed
from tui.shell.dialogs import MessageDialog, QuestionDialog, WorkStep
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import clock, counted, host_of, safe
from tui.widgets.marks import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.api import AssociationStatus, EngineSnapshot
    from tui.shell.engine_app import EngineApp


class AssociationCommands:
    """Carries out commands on associations for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def allow(self, association: AssociationStatus) -> None:
        """Offer the lines that would let a rejected caller in, if that is what it needs."""
        # Loaded when a dialog is opened: the first picture does without it.
        from tui.associations.allow import AllowDialog, allow_form

        snapshot = (await self._app.look()).snapshot
        if snapshot is None:
            return
        form = allow_form(association, snapshot)
        if form is None:
            self._explain(association, snapshot)
            return
        receiver = await self._app.push_screen_wait(AllowDialog(form))
        if receiver is not None:
            await self._app.look()
            caller, line = safe(association.calling_ae_title), safe(receiver.whitelist[-1])
            self._app.show_saved(f"{safe(receiver.label)} lets {caller} in now, by line {line}")

    def _explain(self, association: AssociationStatus, snapshot: EngineSnapshot) -> None:
        title = f"Why {association.calling_ae_title} was rejected"
        detail = f"rejected {when_rejected(association)}: {association.why}"
        from tui.associations.allow import advice

        helps = advice(association, snapshot)
        self._app.push_screen(MessageDialog(title, detail, helps, error=False))

    async def abort(self, associations: Sequence[AssociationStatus]) -> bool:
        """Abort live associations, after a yes; return whether it was tried."""
        question, sentence = abort_question(associations), abort_sentence(associations)
        if not await self._app.push_screen_wait(
            QuestionDialog.confirm(question, sentence, "Abort")
        ):
            return False
        steps = [self._aborting(association) for association in associations]
        outcome = await self._app.work_through("Abort associations", steps)
        self._app.show_toast(f"{counted(outcome.done, 'association')} aborted")
        return True

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


MAX_CALLERS = 10
"""So many rejected callers are offered to be let in, the newest first."""


class AssociationActions(ConsoleScreen):
    """A screen whose `Scope.ASSOCIATIONS` keys act on `associations_here`."""

    def associations_here(self) -> tuple[AssociationStatus, ...]:
        """Return the marked associations, else the one under the cursor."""
        return ()

    @property
    def rejected_caller(self) -> AssociationStatus | None:
        """The rejected association that keys act on."""
        here = self.associations_here()
        one = here[0] if len(here) == 1 else None
        return one if one is not None and one.end is AssociationEnd.REJECTED else None

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the associations' states forbid."""
        if action == "allow":
            return self.rejected_caller is not None
        if action == "abort":
            return bool(self._live_ones())
        return super().check_own(action, parameters)

    def why_not(self, key: Key) -> str:
        """Return why a key does nothing for the associations under the cursor; safe text."""
        reason = super().why_not(key)
        if key.scope is not Scope.ASSOCIATIONS or self.frame.read_only or self._engine_state.silent:
            return reason
        if key.id == "association.allow":
            return "choose one rejected association first (tab goes to their panel)"
        return "choose a live association first (tab goes to their panel)"

    def _live_ones(self) -> tuple[AssociationStatus, ...]:
        return tuple(a for a in self.associations_here() if a.end is None)

    def action_allow(self) -> None:
        """Ask to let the rejected caller in."""
        if self.rejected_caller is not None:
            self.post_message(AllowRequested(self.rejected_caller))

    def action_abort(self) -> None:
        """Ask to abort the live ones."""
        live = self._live_ones()
        if live and self.console.may():
            self.console.carry_out(self._abort, live)

    async def _abort(self, live: tuple[AssociationStatus, ...]) -> None:
        if await AssociationCommands(self.console).abort(live):
            for table in self.query(MarkableTable):
                table.unmark()


def caller_entries(
    screen: ConsoleScreen, chosen: AssociationStatus | None
) -> Iterator[PaletteEntry]:
    """Offer to let rejected callers in."""
    from tui.associations.allow import allow_form

    snapshot = screen.engine_state.snapshot
    if snapshot is None or screen.frame.read_only:
        return
    rejected = [a for a in snapshot.ended_associations if allow_form(a, snapshot)]
    for association in rejected[:MAX_CALLERS]:
        caller, called = safe(association.calling_ae_title), safe(association.called_ae_title)
        yield PaletteEntry(
            f"association: Allow {caller} in {called}",
            f"rejected {when_rejected(association)} from {safe(host_of(association.address))}",
            pressed("association.allow") if association == chosen else "",
            partial(screen.post_message, AllowRequested(association)),
        )


def explanation(snapshot: EngineSnapshot, chosen: str | None, *, read_only: bool = False) -> str:
    """Return why the chosen one ended, else the newest rejected one; empty if none was."""
    found = association_of(snapshot, chosen)
    if found is not None and found.end is AssociationEnd.ABORTED:
        return f"▲ aborted {clock(found.ended_at or found.since)}: {why_ended(found)}"
    rejected = [a for a in snapshot.ended_associations if a.end is AssociationEnd.REJECTED]
    if not rejected:
        return ""
    shown = next((a for a in rejected if row_key(a) == chosen), rejected[0])
    last = shown.ended_at or shown.since
    when = f"{repeated(shown)}, last {clock(last)}" if shown.repeats > 1 else clock(last)
    if row_key(shown) == chosen and not read_only:
        when += f", {_what_helps(shown, snapshot)}"
    return f"✗ rejected {when}: {safe(shown.why)}"


def _what_helps(rejected: AssociationStatus, snapshot: EngineSnapshot) -> str:
    from tui.associations.allow import allow_form  # whitelists, which the first picture needs not

    helps = "allows it" if allow_form(rejected, snapshot) else "says what helps"
    return f"{pressed('association.allow')} {helps}"
