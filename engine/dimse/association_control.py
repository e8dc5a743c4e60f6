"""What a console may ask of associations: see `engine.view.associations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dimse.contexts import named_contexts
from engine.errors import NotFound

if TYPE_CHECKING:
    from engine.dimse.associations import Associations
    from engine.view.associations import AcceptedContext


class AssociationControl:
    """Answers and acts on associations by their number; from any thread."""

    def __init__(self, associations: Associations) -> None:
        self._associations = associations

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
        self._associations.abort(live, f"aborted by {actor}")
