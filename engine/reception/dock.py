"""What an association asks the engine for: its admission, its place in the live picture, its end.

A loop in the engine's own process asks by direct calls: `PortListener` and `Associations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.api import AssociationEnd, RefusedContext
    from engine.dimse.contexts import AcceptedUIDs
    from engine.model.session import ObjectState
    from engine.reception.live_association import LiveAssociation


class AssociationDock(Protocol):
    """The part of the engine that open associations use; on the loop's thread."""

    def established(
        self,
        live: LiveAssociation,
        accepted: int,
        refused: tuple[RefusedContext, ...],
        implementation: str,
        implementation_class_uid: str = "",
        contexts: tuple[AcceptedUIDs, ...] = (),
    ) -> None:
        """Record the outcome of the negotiation."""
        ...

    def count_object(
        self, live: LiveAssociation, state: ObjectState, size_bytes: int, status: int, why: str
    ) -> None:
        """Count one object."""
        ...

    def commit(
        self, live: LiveAssociation, transaction_uid: str, references: Sequence[tuple[str, str]]
    ) -> None:
        """Take a request for storage commitment; not on the loop's thread, as it may wait.

        Raises:
            EngineError: if it can't be kept.
        """
        ...

    def reported(self, live: LiveAssociation, number: int, status: int) -> None:
        """Take the answer to the report on a request for storage commitment."""
        ...

    def close(
        self,
        live: LiveAssociation,
        end: AssociationEnd,
        closed: Callable[[], object] = lambda: None,
    ) -> None:
        """Record the end of an association; a second call for the same one has no effect.

        Args:
            live: the association.
            end: how it ended.
            closed: called once it no longer counts, at once or later on the loop's thread.
        """
        ...
