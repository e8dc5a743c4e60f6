"""From the rows of stored objects to the queue: which destinations want an object, and how far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.index.database import stamp
from engine.model.processing import is_test_object
from engine.processing.forward.queue import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.host.clock import Clock
    from engine.index.arrivals import Arrivals, Arrived
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.processing.forward.queue import ForwardingQueue

# One transaction for so many rows. A stop waits for one of them at most.
ROWS_AT_ONCE = 500


def forwards_to_processor(
    processor: Processor, arrived: Arrived, configuration: Configuration
) -> bool:
    """Tell whether a processor that acts after storing is to see an object (XNAT 10.2).

    As for all processors, the receiver must have custom processing on. The object of a self-test
    is for nobody else.
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
        """See whether the index is the one that was followed; return whether it is another.

        What a new index says is not new, so it is followed from its end. What waits is looked up
        by its SOP Instance UID; what is not found fails when it is due.
        """
        marks = self._queue.marks()
        newest = self._arrivals.newest()
        if all(self._is_known(mark, newest) for mark in marks.values()):
            return False
        self._queue.restart(self.newest())
        known: dict[str, int | None] = {}
        for item in self._queue.items():
            if item.sop_instance_uid not in known:
                known[item.sop_instance_uid] = self._arrivals.latest_of(item.sop_instance_uid)
        self._queue.refer(
            (known[item.sop_instance_uid] or -item.id, item.id) for item in self._queue.items()
        )
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
