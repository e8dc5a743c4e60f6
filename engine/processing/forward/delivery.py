"""Sends some objects to one destination, and notes the result of each in the queue."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.dicom.sendable import open_sendable
from engine.dimse.scu import store_one
from engine.dimse.store_status import RetryDecision, is_peer_full, retry_decision, status_in_words
from engine.errors import (
    AssociationBroken,
    ConfigurationError,
    ContextRefused,
    PeerError,
    PeerFull,
    UnreadableObject,
)
from engine.events.delivery import ObjectsNotForwarded
from engine.model.session import QUEUED, WORKING, SessionArea, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.dicom.sendable import Sendable
    from engine.dimse.scu import OutgoingAssociation
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.arrivals import Arrivals, ObjectPlace
    from engine.processing.forward.connection import DestinationConnection
    from engine.processing.forward.destination import Destination
    from engine.processing.forward.queue import ForwardingQueue, QueuedObject
    from engine.sessions.trash import ExpiryClock
    from engine.storage.areas import Areas


FIRST_SECONDS = 2.0
# Beyond any longest wait; a float would overflow after a thousand failures.
_MOST_DOUBLINGS = 30


def delay_seconds(failures: int, longest_seconds: float, chance: float) -> float:
    """Return how long to wait after some failures in a row.

    Args:
        failures: how many there were, from 1 on; each doubles the time.
        longest_seconds: what it never exceeds.
        chance: from 0 to 1; half of the time depends on it, so that not all try at once.
    """
    doubled = FIRST_SECONDS * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest_seconds) * (0.5 + 0.5 * chance)


BUSY_SECONDS = 2.0
"""How long to wait while the session is being worked on."""

_BEING_REMOVED = frozenset((SessionStatus.QUEUED_DELETING, SessionStatus.DELETING))


@dataclass(frozen=True, slots=True)
class Located:
    """Where an object is, or why it can't be sent."""

    path: Path | None = None
    is_moving: bool = False
    """Whether it may be elsewhere in a moment."""
    gone: str = ""
    """Why it will never be there again."""


def locate(arrivals: Arrivals, areas: Areas, item: QueuedObject) -> Located:
    """Return where a queued object is.

    Raises:
        StorageUnusable: if the index can't be read.
    """
    place = _place(arrivals, item)
    if place is None:
        return Located(gone="it was replaced or removed for good, or the index does not know it")
    if place.area is SessionArea.TRASH or place.status is SessionStatus.DELETED:
        return Located(gone="its session was deleted")
    if place.status in _BEING_REMOVED:
        return Located(is_moving=True)  # which may be cancelled
    path = areas.path(place.area, str(place.folder)) / place.file
    return Located(path, is_moving=place.status in WORKING or place.status in QUEUED)


def _place(arrivals: Arrivals, item: QueuedObject) -> ObjectPlace | None:
    """Return an object's place; rows of an index that was made anew have other numbers."""
    place = arrivals.place(item.object)
    if place is not None and place.sop_instance_uid == item.sop_instance_uid:
        return place
    newest = arrivals.latest_of(item.sop_instance_uid)
    return None if newest is None else arrivals.place(newest)


@dataclass(slots=True)
class DeliveryResult:
    """What became of a delivery, until it is noted in the queue."""

    done: list[int] = field(default_factory=list)
    """The items that the peer has now."""
    bytes: int = 0
    given_up: int = 0
    why: str = ""
    """Why the last one was given up, without anything that the peer wrote."""


class Delivery:
    """Sends some items; used by one thread."""

    def __init__(
        self,
        destination: Destination,
        at: ForwardingContext,
        line: DestinationConnection,
        stopping: Callable[[], bool],
        delivered: DeliveryResult,
    ) -> None:
        """Take what is needed, and what is to be told what became of the items."""
        self._destination = destination
        self._context = at
        self._connection = line
        self._stopping = stopping
        self._delivered = delivered

    def deliver(self, items: Sequence[QueuedObject]) -> PeerError | ConfigurationError | None:
        """Send items until something stands in the way, and return that.

        Raises:
            StorageUnusable: if queue or index can't be used.
        """
        with ExitStack() as resources:
            objects = [
                (item, s) for item in items if (s := self._open(item, resources)) is not None
            ]
            try:
                self._send(objects)
            except (PeerError, ConfigurationError) as error:
                return error
        return None

    def _open(self, item: QueuedObject, resources: ExitStack) -> Sendable | None:
        """Open an object, which no move disturbs any more; None if there is nothing to send now."""
        located = locate(self._context.arrivals, self._context.areas, item)
        if located.gone:
            self._give_up(item, located.gone)
        elif located.path is None:
            self._postpone(item, BUSY_SECONDS, "its session is being deleted", attempts=0)
        else:
            try:
                return resources.enter_context(open_sendable(located.path))
            except UnreadableObject as error:
                self._give_up(item, f"the stored file {error.detail}")
            except OSError as error:
                # Asked again after the failure: the session may have moved between the look and the
                # opening. That is not the object's fault, so no attempt is counted.
                if located.is_moving or self._has_moved(item, located):
                    self._postpone(item, BUSY_SECONDS, "its session is being moved", attempts=0)
                else:
                    self._repeat(item, f"its file can't be read ({error.strerror})")
        return None

    def _has_moved(self, item: QueuedObject, before: object) -> bool:
        return locate(self._context.arrivals, self._context.areas, item) != before

    def _send(self, objects: Sequence[tuple[QueuedObject, Sendable]]) -> None:
        if not objects:
            return
        association = self._connection.require(sendable.context for _, sendable in objects)
        for item, sendable in objects:
            if self._stopping() or not association.is_open:
                return
            self._send_one(association, item, sendable)

    def _send_one(
        self, association: OutgoingAssociation, item: QueuedObject, sendable: Sendable
    ) -> None:
        try:
            status, detail = store_one(association, sendable)
        except ContextRefused as error:
            return self._give_up(item, error.detail)
        except AssociationBroken as error:
            if not self._stopping():
                self._repeat(item, error.detail)
            raise
        except (UnreadableObject, OSError):
            return self._repeat(item, "its file can't be read to the end")
        return self._judge(item, sendable, status, detail)

    def _judge(self, item: QueuedObject, sendable: Sendable, status: int, detail: str) -> None:
        verdict, told = retry_decision(status), f"the peer answers {status_in_words(status)}"
        if verdict is RetryDecision.DONE:
            self._delivered.done.append(item.id)
            self._delivered.bytes += sendable.size_bytes
        elif verdict is RetryDecision.GIVE_UP:
            self._give_up(item, detail, told)
        else:
            self._repeat(item, detail, told)
            if is_peer_full(status):
                raise PeerFull(told, "make room there")

    def _repeat(self, item: QueuedObject, reason: str, told: str = "") -> None:
        """Try an object again later, unless it was tried often enough."""
        attempts, longest = item.attempts + 1, self._destination.longest_wait_seconds
        if attempts >= self._destination.max_attempts:
            self._give_up(item, reason, told)
        else:
            self._postpone(item, delay_seconds(attempts, longest, self._context.chance()), reason)

    def _postpone(
        self, item: QueuedObject, seconds: float, reason: str, *, attempts: int = 1
    ) -> None:
        until = self._context.clock.now() + timedelta(seconds=seconds)
        self._context.queue.postpone(item.id, until, reason, attempts=attempts)

    def _give_up(self, item: QueuedObject, reason: str, told: str = "") -> None:
        """Leave an object to a person; `told` is the reason without what the peer wrote."""
        self._context.queue.fail(item.id, reason)
        self._context.queue.note_trouble(
            self._destination.id, reason, self._context.clock.now(), None
        )
        self._delivered.given_up += 1
        self._delivered.why = told or reason


def report_given_up(
    destination: Destination, at: ForwardingContext, objects: int, reason: str
) -> None:
    """Tell that objects wait for a person."""
    at.journal.record(
        ObjectsNotForwarded(destination=destination.label, objects=objects, reason=reason)
    )


@dataclass(frozen=True, slots=True)
class ForwardingContext:
    """The parts of an engine that forwarding needs."""

    queue: ForwardingQueue
    arrivals: Arrivals
    areas: Areas
    journal: Journal
    clock: Clock
    expiry: ExpiryClock
    chance: Callable[[], float] = random.random
    """Returns from 0 to 1; makes waits uneven."""
