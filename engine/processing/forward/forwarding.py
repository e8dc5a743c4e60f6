"""The forward copies of one engine: a queue, a follower of the index, a sender for each peer."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, SessionError, StorageUnusable
from engine.events.delivery import (
    ForwardingFollowsNewIndex,
    ForwardingHalted,
    ForwardingResumed,
    ForwardsDropped,
)
from engine.index.arrivals import Arrivals
from engine.model.processing import is_test_object
from engine.processing.forward.connection import destination_of
from engine.processing.forward.processor import ForwardCopy
from engine.processing.forward.queue import ForwardingQueue
from engine.processing.forward.sender import DestinationSender, ForwardingContext
from engine.processing.forward.service import ForwardingControl, forward_copies
from engine.processing.installed import settings_of
from engine.state.database import stamp
from engine.state.outbox import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.arrivals import Arrived
    from engine.index.store import SessionIndex
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.processing.forward.connection import Destination
    from engine.sessions.trash import ExpiryClock
    from engine.settings import EngineSettings
    from engine.storage.areas import Areas


# Rows of one transaction. A stop waits for one transaction at most.
ROWS_AT_ONCE = 500


def forwards_to_processor(
    processor: Processor, arrived: Arrived, configuration: Configuration
) -> bool:
    """Tell whether a processor that acts after storing is to see an object (XNAT 10.2).

    As for all processors, the receiver must have custom processing on. The object of a self-test is
    not forwarded.
    """
    if not (arrived.is_stored and processor.enabled) or is_test_object(arrived.sop_instance_uid):
        return False
    receiver = next((r for r in configuration.receivers if r.label == arrived.receiver), None)
    return (
        receiver is not None
        and receiver.custom_processing
        and processor.admits_receiver(arrived.receiver)
        and processor.admits_project(arrived.project, configuration.projects)
    )


class Follower:
    """Follows the index for all destinations; used by one thread."""

    def __init__(
        self,
        queue: ForwardingQueue,
        arrivals: Arrivals,
        configuration: Callable[[], Configuration],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._arrivals = arrivals
        self._configuration = configuration
        self._clock = clock

    def begin(self) -> bool:
        """Return whether the index is another one than before, and adapt the queue to it.

        The objects in a new index are not new, so it is followed from its end. Queued objects are
        looked up by their SOP Instance UID; those that are not found fail when they are due.
        """
        marks = self._queue.marks()
        newest = self._arrivals.newest()
        if all(self._is_known(mark, newest) for mark in marks.values()):
            return False
        self._queue.restart(self.newest())
        known: dict[str, int | None] = {}
        for item in self._queue.items():
            if item.sop_instance_uid not in known:
                known[item.sop_instance_uid] = None
                with suppress(SessionError):  # it is looked up once more when it is due
                    known[item.sop_instance_uid] = self._arrivals.latest_of(item.sop_instance_uid)
        self._queue.refer((known[item.sop_instance_uid], item.id) for item in self._queue.items())
        return True

    def newest(self) -> Position:
        """Return where the index is now."""
        newest = self._arrivals.newest()
        return Position(newest, self._arrivals.time_of(newest))

    def follow(self, processors: Mapping[int, Processor], stopping: Callable[[], bool]) -> None:
        """Queue everything that is new."""
        while not stopping():
            marks = self._queue.marks()
            if not marks:
                return
            # Each destination has a mark of its own: one that was added today must not get what
            # came before.
            begin = min(mark.sequence for mark in marks.values())
            rows = self._arrivals.after(begin, ROWS_AT_ONCE)
            if not rows:
                return
            configuration = self._configuration()
            chosen = [
                (number, row.sequence, row.sop_instance_uid)
                for row in rows
                for number, mark in marks.items()
                if row.sequence > mark.sequence
                and number in processors
                and forwards_to_processor(processors[number], row, configuration)
            ]
            mark = Position(rows[-1].sequence, rows[-1].at)
            self._queue.put(chosen, mark, marks, stamp(self._clock.now()))

    def _is_known(self, mark: Position, newest: int) -> bool:
        """Tell whether the index still has the row of a mark, or has had it."""
        at = self._arrivals.time_of(mark.sequence)
        return newest >= mark.sequence and (not at or not mark.at or at == mark.at)


RETRY_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class Forwarding:
    """Follows the index and sends; `apply` and `desk` may be used by any thread."""

    def __init__(
        self,
        settings: EngineSettings,
        index: SessionIndex,
        areas: Areas,
        journal: Journal,
        clock: Clock,
        configuration: Callable[[], Configuration],
        expiry: ExpiryClock,
        require_rows: Callable[[int], object] | None = None,
    ) -> None:
        """Open the queue; called before a crash is recovered from, which brings new rows.

        `require_rows` is as `Arrivals` takes it.

        Raises:
            StorageUnusable: if queue or index can't be used.
        """
        self._journal = journal
        self._configuration = configuration
        self._senders: dict[int, DestinationSender] = {}
        self._is_registered = False
        """Whether the queue knows which destinations are configured."""
        self._stopping, self._news = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="forwarding")
        # What is open is closed again if a later step fails.
        with ExitStack() as resources:
            self._queue = ForwardingQueue(settings.state_file)
            resources.callback(self._queue.close)
            arrivals = Arrivals(settings.index_file, require_rows)
            resources.callback(arrivals.close)
            self._context = ForwardingContext(self._queue, arrivals, areas, journal, clock, expiry)
            self._follower = Follower(self._queue, arrivals, configuration, clock)
            if self._follower.begin():
                journal.record(ForwardingFollowsNewIndex())
            self._queue.forget_waits()
            # `add` returns the function that ends the calls.
            resources.callback(index.objects_written.add(self._object_stored))
            self._open = resources.pop_all()
        self.desk = ForwardingControl(
            self._queue, configuration, clock, journal.record, self._is_sending, self._news.set
        )

    def apply(self, configuration: Configuration) -> None:
        """Begin or end queuing for destinations; the senders follow soon."""
        try:
            self._register(configuration)
        except StorageUnusable as error:
            self._journal.record(ForwardingHalted(reason=error.detail))
        self._news.set()

    def start(self) -> None:
        """Begin to follow and to send."""
        self._thread.start()

    def stop(self) -> None:
        """End all threads; objects that wait or are half sent stay in the queue."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()
        self._end(tuple(self._senders.values()))

    def followed_to(self) -> int | None:
        """Return up to which row all destinations have followed the index; None without any.

        Raises:
            StorageUnusable: if the queue can't be read.
        """
        return min((mark.sequence for mark in self._queue.marks().values()), default=None)

    def close(self) -> None:
        """Close queue and index."""
        self._open.close()

    def _register(self, configuration: Configuration) -> None:
        self._is_registered = False
        copies = forward_copies(configuration)
        dropped = self._queue.set_targets(
            [processor.id for processor in copies],
            [processor.id for processor in copies if processor.enabled],
            self._follower.newest(),
        )
        self._is_registered = True
        if dropped:
            self._journal.record(ForwardsDropped(objects=dropped))

    def _object_stored(self) -> None:
        """Wake the follower if there is a destination."""
        if self._senders:
            self._news.set()

    def _is_sending(self, destination: int) -> bool:
        sender = self._senders.get(destination)
        return sender is not None and sender.is_sending

    def _run(self) -> None:
        halted = ""
        while not self._stopping.is_set():
            seconds: float | None = None
            try:
                self._serve()
                if halted:
                    halted = ""
                    self._journal.record(ForwardingResumed())
            except StorageUnusable as error:
                if error.detail != halted:
                    halted = error.detail
                    self._journal.record(ForwardingHalted(reason=halted))
                seconds = RETRY_SECONDS
            except Exception:
                _logger.exception("following the index failed; trying again")
                seconds = RETRY_SECONDS
            if not self._stopping.is_set():
                self._news.wait(seconds)
                self._news.clear()

    def _serve(self) -> None:
        """Start and end senders as configured, and queue new objects."""
        if not self._is_registered:
            self._register(self._configuration())
        copies = [p for p in forward_copies(self._configuration()) if p.enabled]
        self._bring_to(list(self._destinations(copies)))
        processors = {processor.id: processor for processor in copies}
        self._follower.follow(processors, self._stopping.is_set)
        for sender in self._senders.values():
            sender.notify()

    def _destinations(self, copies: Iterable[Processor]) -> Iterable[Destination]:
        for processor in copies:
            try:
                yield destination_of(processor, settings_of(ForwardCopy.info, processor))
            except ConfigurationError as error:
                halted = ForwardingHalted(destination=processor.label, reason=error.detail)
                self._journal.record(halted)

    def _bring_to(self, wanted: list[Destination]) -> None:
        """End senders whose settings changed or that are not wanted, and begin the others."""
        before = self._senders
        kept = {d.id: before[d.id] for d in wanted if _is_for(before.get(d.id), d)}
        self._senders = kept  # first: if the rest fails, no ended sender is left here
        self._end([sender for number, sender in before.items() if number not in kept])
        made = {d.id: DestinationSender(d, self._context) for d in wanted if d.id not in kept}
        self._senders = kept | made
        for sender in made.values():
            sender.start()

    def _end(self, senders: Iterable[DestinationSender]) -> None:
        ending = tuple(senders)
        # All are asked before any is waited for.
        for sender in ending:
            sender.request_stop()
        for sender in ending:
            sender.join()


def _is_for(sender: DestinationSender | None, destination: Destination) -> bool:
    return sender is not None and sender.destination == destination
