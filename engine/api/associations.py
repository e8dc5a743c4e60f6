"""Associations for the console, beyond the snapshot: negotiated contexts, and abort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context that was accepted (PS3.8 9.3.3.2)."""

    id: int
    sop_class: str
    """Its name, or the UID where it has none."""
    transfer_syntax: str
    """The accepted one, by name."""


class AssociationsView(Protocol):
    """The live associations of an engine and those that ended lately."""

    def contexts(self, association_id: str) -> tuple[AcceptedContext, ...]:
        """Return the accepted presentation contexts; none before negotiation or if refused.

        Raises:
            NotFound: if the association is not known (any more).
        """
        ...

    def abort(self, association_id: str, actor: str) -> None:
        """Abort a live association without waiting; what it stored stays.

        Raises:
            NotFound: if it has ended.
        """
        ...
