"""One destination's thread: takes what is due from the queue, leaves a peer in trouble alone."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.events.delivery import (
    DestinationFails,
    DestinationRecovered,
    ForwardingHalted,
    ForwardingResumed,
)
from engine.events.journal import should_report_repeat
from engine.processing.forward.connection import DestinationConnection
from engine.processing.forward.delivery import (
    BUSY_SECONDS,
    Delivery,
    DeliveryResult,
    delay_seconds,
    report_given_up,
)

if TYPE_CHECKING:
    from engine.errors import EngineError
    from engine.processing.forward.delivery import ForwardingContext
    from engine.processing.forward.destination import Destination

OBJECTS_AT_ONCE = 64
"""So many files are open, and so many objects may be sent again after a kill."""
LINGER_SECONDS = 2.0
"""How long an association is kept for objects that are still arriving."""
STORAGE_SECONDS = 10.0
"""After which a queue or index that can't be used is tried again."""
EXPIRE_SECONDS = 60.0
"""How often what is too old is looked for."""
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
        """What became of objects and is not noted yet."""
        self._failures = 0
        """How often in a row the peer was in trouble."""
        self._retry_at = 0.0
        self._expire_at = 0.0
        longest = max(destination.longest_wait_seconds, BUSY_SECONDS)
        self._longest_wait = timedelta(seconds=longest)
        """No object waits for longer: a later time was noted by a clock that was ahead."""
        self._halted = ""
        """Why nothing can be sent, as it was told last."""
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
        """Let the thread look at once for what is due or was requested."""
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
                # One object that nobody foresaw must not end the forwarding of all others.
                _logger.exception("forwarding failed; trying again")
                seconds = self._halt(f"internal error ({type(error).__name__})")
        self._connection.close()

    def _wait(self, seconds: float | None) -> bool:
        """Wait until it rings or the time is over; return whether to go on."""
        with self._wake:
            self._wake.wait_for(lambda: self._notified or self._stopping, seconds)
            self._notified = False
            return not self._stopping

    def _halt(self, reason: str) -> float:
        """Wait until the storage is better, and tell once for which reason."""
        self._connection.close()
        if reason != self._halted:
            self._halted = reason
            halted = ForwardingHalted(destination=self.destination.label, reason=reason)
            self._context.journal.record(halted)
        return STORAGE_SECONDS

    def _resume(self) -> None:
        """Tell that what stood in the way is over, if anything did."""
        if self._halted:
            self._halted = ""
            self._context.journal.record(ForwardingResumed(destination=self.destination.label))

    def _round(self) -> float | None:
        """Send what is due; return for how long nothing will be, None if nothing waits."""
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
        """Note what the peer has, which must not be sent again; return whether that is anything.

        What a storage that fails keeps from being noted is noted before anything else is sent.
        """
        found, at = self._delivered, self._context
        if found.done:
            at.queue.sent(self.destination.id, found.done, found.bytes, at.clock.now())
        if found.given_up:
            report_given_up(self.destination, at, found.given_up, found.why)
        self._delivered = DeliveryResult()
        return bool(found.done)

    def _judge(self, trouble: EngineError | None, *, any_done: bool) -> None:
        """Leave a peer in trouble alone, or tell that it is no longer in any."""
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
        """Give up what is too old; now and then, as that looks at all that waits."""
        at, age = self._context, self.destination.max_age
        if at.clock.monotonic() < self._expire_at:
            return
        self._expire_at = at.clock.monotonic() + EXPIRE_SECONDS
        reason = f"not sent within {age.total_seconds() / 3600:.0f} hours"
        before, now = at.expiry.now() - age, at.clock.now()
        expired = at.queue.expire(self.destination.id, before, reason, now)
        if expired:
            report_given_up(self.destination, at, expired, reason)

    def _hold_back(self, error: EngineError) -> None:
        """Leave the destination alone for a while, longer each time."""
        # Whatever is wrong may be the association itself; the next try gets a new one.
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
        row = self._context.queue.destinations().get(self.destination.id)
        return row.queued if row else 0
