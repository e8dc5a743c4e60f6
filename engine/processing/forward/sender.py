"""The thread of one destination: takes objects from the queue, sends them, notes each result."""

from __future__ import annotations

import logging
import random
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.dicom.part10 import open_sendable
from engine.dimse.commands import RetryDecision, is_peer_full, retry_decision, status_in_words
from engine.dimse.scu import store_one
from engine.errors import (
    AssociationBroken,
    ConfigurationError,
    ContextRefused,
    PeerError,
    PeerFull,
    SessionError,
    StorageUnusable,
    UnreadableObject,
)
from engine.events.delivery import (
    DestinationFails,
    DestinationRecovered,
    ForwardingHalted,
    ForwardingResumed,
    ObjectsNotForwarded,
)
from engine.events.repeats import should_report_repeat
from engine.model.session import QUEUED, WORKING, SessionArea, SessionStatus
from engine.processing.forward.connection import DestinationConnection
from engine.state.outbox import delay_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.dicom.part10 import Sendable
    from engine.dimse.scu import OutgoingAssociation
    from engine.errors import EngineError
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.arrivals import Arrivals, ObjectPlace
    from engine.processing.forward.connection import Destination
    from engine.processing.forward.queue import ForwardingQueue, QueuedObject
    from engine.sessions.trash import ExpiryClock
    from engine.storage.areas import Areas


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
    waits: str = ""
    """Why it has no path just now, though it may have one again."""


def locate(arrivals: Arrivals, areas: Areas, item: QueuedObject) -> Located:
    """Return where a queued object is.

    Raises:
        StorageUnusable: if the index can't be read.
    """
    try:
        place = _place(arrivals, item)
    except SessionError as error:
        return Located(waits=error.detail)
    if place is None:
        return Located(gone="it was replaced or removed for good, or the index does not know it")
    if place.area is SessionArea.TRASH or place.status is SessionStatus.DELETED:
        return Located(gone="its session was deleted")
    if place.status in _BEING_REMOVED:
        return Located(is_moving=True, waits="its session is being deleted")
    path = areas.path(place.area, str(place.folder)) / place.file
    return Located(path, is_moving=place.status in WORKING or place.status in QUEUED)


def _place(arrivals: Arrivals, item: QueuedObject) -> ObjectPlace | None:
    """Return an object's place; rows of an index that was made anew have other numbers."""
    place = None if item.object is None else arrivals.place(item.object)
    if place is not None and place.sop_instance_uid == item.sop_instance_uid:
        return place
    newest = arrivals.latest_of(item.sop_instance_uid)
    return None if newest is None else arrivals.place(newest)


@dataclass(slots=True)
class DeliveryResult:
    """The outcome of a delivery, until it is noted in the queue."""

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
        """Take the parts, and the result that is filled while items are delivered."""
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
        """Open an object, so that a move can't disturb it; None if it can't be sent now."""
        located = locate(self._context.arrivals, self._context.areas, item)
        if located.gone:
            self._give_up(item, located.gone)
        # Not given up: the deletion may still be cancelled.
        elif located.path is None:
            self._postpone(item, BUSY_SECONDS, located.waits, attempts=0)
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
            # Broken by our own stop: no attempt of the object.
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
                # PS3.4 B.2.3: the peer has no room. Other objects would be refused too.
                raise PeerFull(told, "make room there")

    def _repeat(self, item: QueuedObject, reason: str, told: str = "") -> None:
        """Try an object again later, unless it was tried often enough."""
        at, rule = self._context, self._destination.retries
        now, chance = at.clock.now(), at.chance()
        if at.queue.try_again(item.id, item.attempts + 1, reason, now, rule, chance):
            self._note_given_up(reason, told)

    def _postpone(
        self, item: QueuedObject, seconds: float, reason: str, *, attempts: int = 1
    ) -> None:
        until = self._context.clock.now() + timedelta(seconds=seconds)
        self._context.queue.postpone(item.id, until, reason, attempts=attempts)

    def _give_up(self, item: QueuedObject, reason: str, told: str = "") -> None:
        """Give up an object until a person retries it; `told` is the reason without peer text."""
        self._context.queue.fail(item.id, reason)
        self._note_given_up(reason, told)

    def _note_given_up(self, reason: str, told: str) -> None:
        self._context.queue.note_trouble(
            self._destination.id, reason, self._context.clock.now(), None
        )
        self._delivered.given_up += 1
        self._delivered.why = told or reason


def report_given_up(
    destination: Destination, at: ForwardingContext, objects: int, reason: str
) -> None:
    """Report objects that are not tried any more."""
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


OBJECTS_AT_ONCE = 64
"""The most files that are open, and objects that are sent again after a kill."""
LINGER_SECONDS = 2.0
"""How long an association is kept for objects that are still arriving."""
STORAGE_SECONDS = 10.0
"""Pause before a queue or index that failed is used again."""
EXPIRE_SECONDS = 60.0
"""Pause between two looks for objects that are too old."""
_SHORTEST_WAIT_SECONDS = 0.05

_logger = logging.getLogger(__name__)


class DestinationSender:
    """Sends to one destination until it is stopped; every method may be called by any thread."""

    def __init__(self, destination: Destination, at: ForwardingContext) -> None:
        self.destination = destination
        self._context = at
        self._connection = DestinationConnection(destination)
        self._wake = threading.Condition()
        self._notified = self._stopping = False
        self._delivered = DeliveryResult()
        """Outcomes that are not noted in the queue yet."""
        self._failures = 0
        """Failures of the peer in a row."""
        self._retry_at = 0.0
        self._expire_at = 0.0
        longest = max(destination.longest_wait_seconds, BUSY_SECONDS)
        self._longest_wait = timedelta(seconds=longest)
        """The longest wait of any object. A later time was written while the clock was ahead."""
        self._halted = ""
        """The reason, as reported last, why nothing is sent; empty if objects are."""
        self._asked = at.queue.asked(destination.id)
        self._thread = threading.Thread(target=self._run, name=f"forward-{destination.id}")

    @property
    def is_sending(self) -> bool:
        """Whether an association is open."""
        return self._connection.is_open

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def notify(self) -> None:
        """Wake the thread, to send what is due or was requested."""
        with self._wake:
            self._notified = True
            self._wake.notify_all()

    def request_stop(self) -> None:
        """Request the end, also in the middle of an object, which stays in the queue."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._connection.hang_up()

    def join(self) -> None:
        """Wait until it has ended; a connection that is just being made may take a while."""
        self._thread.join()

    def _run(self) -> None:
        seconds: float | None = 0.0
        while self._wait(seconds):
            try:
                seconds = self._round()
                self._resume()
            except StorageUnusable as error:
                seconds = self._halt(error.detail)
            except Exception as error:
                # An unforeseen fault of one object must not end the thread.
                _logger.exception("forwarding failed; trying again")
                seconds = self._halt(f"internal error ({type(error).__name__})")
        self._connection.close()

    def _wait(self, seconds: float | None) -> bool:
        """Wait for `notify` or the end of the time; return whether to go on."""
        with self._wake:
            self._wake.wait_for(lambda: self._notified or self._stopping, seconds)
            self._notified = False
            return not self._stopping

    def _halt(self, reason: str) -> float:
        """Return how long to wait after a failure, and report its reason once."""
        self._connection.close()
        if reason != self._halted:
            self._halted = reason
            halted = ForwardingHalted(destination=self.destination.label, reason=reason)
            self._context.journal.record(halted)
        return STORAGE_SECONDS

    def _resume(self) -> None:
        """Report that forwarding goes on, if it was halted."""
        if self._halted:
            self._halted = ""
            self._context.journal.record(ForwardingResumed(destination=self.destination.label))

    def _round(self) -> float | None:
        """Send what is due; return the seconds until the next round, None if the queue is empty."""
        # First, what a failed queue could not note: the peer has these objects.
        self._note()
        held_back = self._held_back()
        if held_back > 0:
            return held_back
        self._expire()
        at, number = self._context, self.destination.id
        now = at.clock.now()
        items = at.queue.due(number, now, OBJECTS_AT_ONCE, now + self._longest_wait)
        if not items:
            return self._idle()
        parts = (self.destination, at, self._connection, self._is_stopping, self._delivered)
        trouble = Delivery(*parts).deliver(items)
        self._judge(trouble, any_done=self._note())
        return self._held_back()

    def _note(self) -> bool:
        """Remove delivered objects from the queue; return whether there were any.

        If the storage fails, they are kept here, and removed before anything else is sent.
        """
        found, at = self._delivered, self._context
        if found.done:
            at.queue.sent(self.destination.id, found.done, found.bytes, at.clock.now())
        if found.given_up:
            report_given_up(self.destination, at, found.given_up, found.why)
        self._delivered = DeliveryResult()
        return bool(found.done)

    def _judge(self, trouble: EngineError | None, *, any_done: bool) -> None:
        """Hold back after a failure of the peer, or report that it has recovered."""
        failures = self._failures
        if any_done:
            self._failures = 0
        if trouble is not None and not self._stopping:
            self._hold_back(trouble)
        elif any_done and failures:
            recovered = DestinationRecovered(
                destination=self.destination.label, queued=self._queued()
            )
            self._context.journal.record(recovered)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _idle(self) -> float | None:
        """Return when something is due; the association is kept for a moment before."""
        due_at = self._context.queue.next_due(self.destination.id)
        seconds = None
        if due_at is not None:
            left = min(due_at - self._context.clock.now(), self._longest_wait)
            seconds = max(_SHORTEST_WAIT_SECONDS, left.total_seconds())
        # Kept for a moment: a study arrives object by object, and each association costs a
        # handshake.
        if self._connection.is_open and (seconds is None or seconds > LINGER_SECONDS):
            with self._wake:
                woken = self._wake.wait_for(
                    lambda: self._notified or self._stopping, LINGER_SECONDS
                )
            if not woken:
                self._connection.close()
            return 0.0
        return seconds

    def _held_back(self) -> float:
        """Return the seconds until the next try; 0 if a user asked for a try now."""
        asked = self._context.queue.asked(self.destination.id)
        if asked != self._asked:
            self._asked, self._retry_at = asked, 0.0
        if not self._failures:
            return 0.0
        return max(0.0, self._retry_at - self._context.clock.monotonic())

    def _expire(self) -> None:
        """Give up objects that are too old; not at every call, as that reads the whole queue."""
        at, age = self._context, self.destination.max_age
        if at.clock.monotonic() < self._expire_at:
            return
        self._expire_at = at.clock.monotonic() + EXPIRE_SECONDS
        reason = f"not sent within {age.total_seconds() / 3600:.0f} hours"
        # By the clock of expiries: a wall clock that is days ahead for a moment gives nothing up.
        before, now = at.expiry.now() - age, at.clock.now()
        expired = at.queue.expire(self.destination.id, before, reason, now)
        if expired:
            report_given_up(self.destination, at, expired, reason)

    def _hold_back(self, error: EngineError) -> None:
        """Leave the destination alone for a while, longer each time."""
        # The association itself may be the fault: the next try gets a new one.
        self._connection.close()
        self._failures += 1
        at, longest = self._context, self.destination.longest_wait_seconds
        seconds = delay_seconds(self._failures, longest, at.chance())
        self._retry_at = at.clock.monotonic() + seconds
        now = at.clock.now()
        until = now + timedelta(seconds=seconds)
        at.queue.note_trouble(self.destination.id, error.detail, now, until)
        if should_report_repeat(self._failures):
            at.journal.record(
                DestinationFails(
                    destination=self.destination.label,
                    reason=error.detail,
                    queued=self._queued(),
                    failures=self._failures,
                    retry_seconds=seconds,
                )
            )

    def _queued(self) -> int:
        row = self._context.queue.targets().get(self.destination.id)
        return row.queued if row else 0
