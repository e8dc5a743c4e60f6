"""The objects of the outbox that are to be forwarded; shared by an engine and commands.

Numbers of rows seen and objects queued are one transaction, and so are answers and what they end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.state.outbox import NewItem, Outbox, OutboxItem, OutboxKind, Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class QueuedObject(NamedTuple):
    """One object on its way to one destination."""

    id: int
    destination: int
    """The number of its processor."""
    object: int | None
    """The number of the object's row in the index; None if the index does not know it any more."""
    sop_instance_uid: str
    queued_at: str
    """UTC, ISO 8601."""
    attempts: int
    reason: str
    """What went wrong last."""


class ForwardingQueue(Outbox[QueuedObject]):
    """The queue; every method may be called from any thread and any process."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OutboxKind.FORWARD, _object_of)

    def put(
        self,
        objects: Sequence[tuple[int, int, str]],
        mark: Position,
        followed: Iterable[int],
        at: str,
    ) -> None:
        """Queue objects, and note how far the index was followed.

        Args:
            objects: destination, row and SOP instance UID of each.
            mark: the last row that was looked at.
            followed: the destinations for which it was.
            at: the time.
        """
        items = [NewItem(destination, row, "", uid, at) for destination, row, uid in objects]
        self.add(items, mark, followed)


def _object_of(item: OutboxItem) -> QueuedObject:
    return QueuedObject(
        item.id, item.target, item.row, item.what, item.queued_at, item.attempts, item.reason
    )
