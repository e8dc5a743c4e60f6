"""Some objects of one destination: opened, sent, and what became of each noted in the queue."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.delivery_events import ObjectsNotForwarded
from engine.dimse.scu import store_one
from engine.errors import (
    AssociationBroken,
    ConfigurationError,
    ContextRefused,
    PeerError,
    PeerFull,
    UnreadableObject,
)
from engine.forwarding.backoff import delay_seconds
from engine.forwarding.locating import BUSY_SECONDS, locate
from engine.intake.sendable import open_sendable
from engine.model.store_status import Verdict, is_peer_full, status_in_words, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dimse.scu import OutgoingAssociation
    from engine.forwarding.destination import Destination
    from engine.forwarding.line import Line
    from engine.forwarding.surroundings import Surroundings
    from engine.forwarding.tables import Item
    from engine.intake.sendable import Sendable


@dataclass(slots=True)
class Delivered:
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
        at: Surroundings,
        line: Line,
        stopping: Callable[[], bool],
        delivered: Delivered,
    ) -> None:
        """Take what is needed, and what is to be told what became of the items."""
        self._destination = destination
        self._at = at
        self._line = line
        self._stopping = stopping
        self._delivered = delivered

    def deliver(self, items: Sequence[Item]) -> PeerError | ConfigurationError | None:
        """Send items until something stands in the way, and return that.

        Raises:
            StorageUnusable: if queue or index can't be used.
        """
        with ExitStack() as opened:
            objects = [(item, s) for item in items if (s := self._open(item, opened)) is not None]
            try:
                self._send(objects)
            except (PeerError, ConfigurationError) as error:
                return error
        return None

    def _open(self, item: Item, opened: ExitStack) -> Sendable | None:
        """Open an object, which no move disturbs any more; None if there is nothing to send now."""
        located = locate(self._at.arrivals, self._at.areas, item)
        if located.gone:
            self._give_up(item, located.gone)
        elif located.path is None:
            self._postpone(item, BUSY_SECONDS, "its session is being deleted", attempts=0)
        else:
            try:
                return opened.enter_context(open_sendable(located.path))
            except UnreadableObject as error:
                self._give_up(item, f"the stored file {error.detail}")
            except OSError as error:
                if located.is_moving or self._has_moved(item, located):
                    self._postpone(item, BUSY_SECONDS, "its session is being moved", attempts=0)
                else:
                    self._repeat(item, f"its file can't be read ({error.strerror})")
        return None

    def _has_moved(self, item: Item, before: object) -> bool:
        return locate(self._at.arrivals, self._at.areas, item) != before

    def _send(self, objects: Sequence[tuple[Item, Sendable]]) -> None:
        if not objects:
            return
        association = self._line.require(sendable.context for _, sendable in objects)
        for item, sendable in objects:
            if self._stopping() or not association.is_open:
                return
            self._send_one(association, item, sendable)

    def _send_one(self, association: OutgoingAssociation, item: Item, sendable: Sendable) -> None:
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

    def _judge(self, item: Item, sendable: Sendable, status: int, detail: str) -> None:
        verdict, told = verdict_of(status), f"the peer answers {status_in_words(status)}"
        if verdict is Verdict.DONE:
            self._delivered.done.append(item.id)
            self._delivered.bytes += sendable.size_bytes
        elif verdict is Verdict.GIVE_UP:
            self._give_up(item, detail, told)
        else:
            self._repeat(item, detail, told)
            if is_peer_full(status):
                raise PeerFull(told, "make room there")

    def _repeat(self, item: Item, reason: str, told: str = "") -> None:
        """Try an object again later, unless it was tried often enough."""
        attempts, longest = item.attempts + 1, self._destination.longest_wait_seconds
        if attempts >= self._destination.max_attempts:
            self._give_up(item, reason, told)
        else:
            self._postpone(item, delay_seconds(attempts, longest, self._at.chance()), reason)

    def _postpone(self, item: Item, seconds: float, reason: str, *, attempts: int = 1) -> None:
        until = self._at.clock.now() + timedelta(seconds=seconds)
        self._at.queue.postpone(item.id, until, reason, attempts=attempts)

    def _give_up(self, item: Item, reason: str, told: str = "") -> None:
        """Leave an object to a person; `told` is the reason without what the peer wrote."""
        self._at.queue.fail(item.id, reason)
        self._at.queue.note_trouble(self._destination.id, reason, self._at.clock.now(), None)
        self._delivered.given_up += 1
        self._delivered.why = told or reason


def tell_given_up(destination: Destination, at: Surroundings, objects: int, reason: str) -> None:
    """Tell that objects wait for a person."""
    at.journal.record(
        ObjectsNotForwarded(destination=destination.label, objects=objects, reason=reason)
    )
