"""What a console may ask of associations: see `engine.view.associations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dimse.contexts import named_contexts
from engine.errors import NotFound
from engine.events import AssociationAbortAsked

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dimse.associations import Associations
    from engine.events import Event
    from engine.view.associations import AcceptedContext


class AssociationControl:
    """Answers and acts on associations by their number; from any thread."""

    def __init__(self, associations: Associations, tell: Callable[[Event], object]) -> None:
        self._associations = associations
        self._tell = tell

    def contexts(self, association_id: str) -> tuple[AcceptedContext, ...]:
        """Return the accepted presentation contexts, in the order of their ids."""
        accepted = self._associations.accepted_by(association_id)
        if accepted is None:
            raise NotFound(
                f"association {association_id} is not known any more",
                "only live associations and those that ended lately are kept",
            )
        return named_contexts(accepted)

    def abort(self, association_id: str, actor: str) -> None:
        """Abort a live association; who did it is told."""
        live = next((a for a in self._associations.live() if a.id == association_id), None)
        if live is None:
            raise NotFound(f"association {association_id} has ended", "nothing needs to be aborted")
        self._tell(AssociationAbortAsked(association=association_id, by=actor))
        self._associations.abort(live, f"aborted by {actor}")
