"""Implements `ForwardingView`: queue and state of forward copies, retry and drop."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from engine.api.forwarding import DestinationState, DestinationStatus, NotForwarded
from engine.errors import ConfigurationError, NotFound
from engine.events.delivery import ForwardsDropped, ForwardsRetried
from engine.processing.forward.connection import peer_of
from engine.processing.forward.processor import CLASS_ID, ForwardCopy
from engine.processing.installed import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.processing.forward.queue import ForwardingQueue
    from engine.state.outbox import TargetRow

_NOTHING = (0, 0, "", "", "", "", 0, 0, 0, "")


def forward_copies(configuration: Configuration) -> tuple[Processor, ...]:
    """Return the processors that are destinations, in their order."""
    found = (p for p in configuration.processors if p.processor_class == CLASS_ID)
    return tuple(sorted(found, key=lambda processor: processor.order))


class ForwardingControl:
    """A `ForwardingView`; may be used by any thread."""

    def __init__(
        self,
        queue: ForwardingQueue,
        configuration: Callable[[], Configuration],
        clock: Clock,
        report: Callable[[Event], object],
        sending: Callable[[int], bool] | None = None,
        notify: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the parts.

        Args:
            queue: what waits.
            configuration: the one in force.
            clock: the time.
            report: records an event.
            sending: whether an association with a destination is open; None without an engine.
            notify: wakes the engine.
        """
        self._queue = queue
        self._configuration = configuration
        self._clock = clock
        self._report = report
        self._sending = sending
        self._notify = notify

    def destinations(self) -> tuple[DestinationStatus, ...]:
        """Return all destinations in the order of their processors."""
        rows = self._queue.targets()
        return tuple(
            self._status(processor, rows.get(processor.id))
            for processor in forward_copies(self._configuration())
        )

    def failed(self, destination: int | None = None, limit: int = 100) -> tuple[NotForwarded, ...]:
        """Return the objects that were given up, of one destination or all, the newest first."""
        labels = {p.id: p.label for p in forward_copies(self._configuration())}
        return tuple(
            NotForwarded(
                item.id,
                item.destination,
                labels.get(item.destination, ""),
                item.sop_instance_uid,
                datetime.fromisoformat(item.queued_at),
                item.attempts,
                item.reason,
            )
            for item in self._queue.failed(destination, limit)
        )

    def retry(self, destination: int, actor: str, items: tuple[int, ...] = ()) -> int:
        """Try a destination at once, also objects that were given up: some of them, or all."""
        # First: an unknown destination must not change the queue.
        label = self._label(destination)
        count = self._queue.retry(destination, items, self._clock.now())
        self._report(ForwardsRetried(destination=label, objects=count, by=actor))
        self._notify()
        return count

    def drop(
        self,
        destination: int,
        actor: str,
        items: tuple[int, ...] = (),
        *,
        waiting: bool = False,
    ) -> int:
        """Remove objects from the queue: those given up, or those that wait; stored files stay."""
        label = self._label(destination)
        # What waits is dropped as a whole.
        count = self._queue.drop(destination, () if waiting else items, waiting=waiting)
        self._report(ForwardsDropped(destination=label, objects=count, by=actor))
        self._notify()
        return count

    def _label(self, destination: int) -> str:
        for processor in forward_copies(self._configuration()):
            if processor.id == destination:
                return processor.label
        detail = f"there is no destination {destination}"
        raise NotFound(detail, "list them with: forwarding list")

    def _status(self, processor: Processor, row: TargetRow | None) -> DestinationStatus:
        settings = settings_of(ForwardCopy.info, processor)
        sent, size, sent_at, error, error_at, next_at, _, queued, failed, oldest = (
            row[1:] if row else _NOTHING
        )
        return DestinationStatus(
            id=processor.id,
            label=processor.label,
            peer=_shown_peer(processor),
            tls=settings.switch("tls"),
            state=self._state(processor, next_at),
            queued=queued,
            failed=failed,
            sent=sent,
            bytes_sent=size,
            oldest_queued_at=_time(oldest),
            last_sent_at=_time(sent_at),
            last_error=error,
            last_error_at=_time(error_at),
            next_attempt_at=_time(next_at),
        )

    def _state(self, processor: Processor, next_attempt_at: str) -> DestinationState:
        if not processor.enabled:
            return DestinationState.PAUSED
        if self._sending is None:
            return DestinationState.STOPPED
        if self._sending(processor.id):
            return DestinationState.SENDING
        return DestinationState.WAITING if next_attempt_at else DestinationState.IDLE


def named(processors: Sequence[Processor], name: str) -> Processor:
    """Return the destination of a number or label.

    Raises:
        NotFound: if there is none.
    """
    for processor in processors:
        if name in {str(processor.id), processor.label}:
            return processor
    raise NotFound(f"there is no destination {name[:80]!r}", "list them with: forwarding list")


def _shown_peer(processor: Processor) -> str:
    try:
        return str(peer_of(settings_of(ForwardCopy.info, processor)))
    except ConfigurationError as error:
        return error.detail


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
