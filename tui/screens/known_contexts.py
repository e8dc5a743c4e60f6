"""The accepted contexts of the association under the cursor, asked for once and kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.link import EngineCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.errors import EngineError
    from engine.view import AssociationStatus, EngineView
    from engine.view.associations import AcceptedContext

KEPT = 100


class KnownContexts:
    """Asks the engine for one association at a time; the newest wish counts."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._ask = ask
        self._changed = changed
        self._known: dict[str, tuple[AcceptedContext, ...]] = {}
        self._asked = ""

    def of(self, association: AssociationStatus | None) -> tuple[AcceptedContext, ...]:
        """Return what is known of an association's contexts; asks if that is nothing yet."""
        if association is None or not association.contexts_accepted:
            return ()
        known = self._known.get(association.id)
        if known is None and self._asked != association.id:
            self._asked = association.id
            self._ask(self._call(association.id))
        return known or ()

    def _call(self, association_id: str) -> EngineCall:
        def look(engine: EngineView) -> tuple[AcceptedContext, ...]:
            return engine.associations.contexts(association_id)

        return EngineCall(
            f"look at the contexts of {association_id}",
            "contexts",
            look,
            partial(self._take, association_id),
            partial(self._miss, association_id),
            changes=False,
            latest=True,
        )

    def _take(self, association_id: str, contexts: tuple[AcceptedContext, ...]) -> None:
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[association_id] = contexts
        self._changed()

    def _miss(self, association_id: str, error: EngineError) -> None:
        self._take(association_id, ())
