"""The association keys and palette entries, and what helps, on every screen with associations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.api import AssociationEnd
from tui.associations.table import repeated, row_key, when_rejected
from tui.engine_client import AbortRequested, AllowRequested
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import clock, host_of, safe
from tui.widgets.table import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import AssociationStatus, EngineSnapshot

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

    def _live_ones(self) -> tuple[AssociationStatus, ...]:
        return tuple(a for a in self.associations_here() if a.end is None)

    def action_allow(self) -> None:
        """Ask to let the rejected caller in."""
        if self.rejected_caller is not None:
            self.post_message(AllowRequested(self.rejected_caller))

    def action_abort(self) -> None:
        """Ask to abort the live ones."""
        live = self._live_ones()
        if live:
            self.post_message(AbortRequested(live, self._aborted))

    def _aborted(self) -> None:
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
            "w" if association == chosen else "",
            partial(screen.post_message, AllowRequested(association)),
        )


def explanation(snapshot: EngineSnapshot, chosen: str | None, *, read_only: bool = False) -> str:
    """Return why the chosen, else the newest rejected association was rejected; empty if none."""
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

    return "w allows it" if allow_form(rejected, snapshot) else "w says what helps"
