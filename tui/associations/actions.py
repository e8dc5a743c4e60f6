"""The association keys, for every screen that lists associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import AssociationEnd
from tui.engine_client import AbortRequested, AllowRequested
from tui.shell.screen import ConsoleScreen
from tui.widgets.table import MarkableTable

if TYPE_CHECKING:
    from engine.api import AssociationStatus


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
