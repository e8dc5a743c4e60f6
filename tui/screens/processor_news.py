"""Processors, classes and destinations: asked for when something happened, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.view.forwarding import DestinationState
from tui.link import EngineCall
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.errors import EngineError
    from engine.model.processing import ProcessorStatus
    from engine.model.processor_class import ProcessorClass
    from engine.view import EngineView
    from engine.view.forwarding import DestinationStatus, NotForwarded
    from tui.link import Reading

LEAST_SECONDS: Final = 1.0
"""Between two questions, whatever happens."""
MOVING_SECONDS: Final = 2.0
"""Between two looks at queues that are being worked off, which tell no event for each object."""
MOST_FAILED: Final = 500
"""So many given-up objects are listed, the newest."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one question brought."""

    statuses: tuple[ProcessorStatus, ...] = ()
    classes: tuple[ProcessorClass, ...] = ()
    destinations: tuple[DestinationStatus, ...] = ()
    failed: tuple[NotForwarded, ...] = ()
    """Of the one destination that was asked about."""

    @property
    def is_moving(self) -> bool:
        """Whether a queue is being worked off."""
        return any(
            d.state is DestinationState.SENDING or (d.queued and d.state is DestinationState.IDLE)
            for d in self.destinations
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """What says that something may have happened since."""

    at: datetime
    revision: int
    received: int
    """Objects ever since the start."""
    event: int
    """The number of the newest event."""


def moment_of(reading: Reading) -> Moment | None:
    """Return what a reading says of that; None before the first answer."""
    snapshot = reading.snapshot
    if snapshot is None:
        return None
    newest = reading.events[0].sequence if reading.events else 0
    return Moment(snapshot.taken_at, snapshot.revision, snapshot.totals.received, newest)


def is_due(now: Moment, asked: Moment | None, *, moving: bool) -> bool:
    """Tell whether to ask again."""
    if asked is None:
        return True
    seconds = (now.at - asked.at).total_seconds()
    if now.revision != asked.revision:
        return True
    happened = (now.received, now.event) != (asked.received, asked.event)
    return (happened and seconds >= LEAST_SECONDS) or (moving and seconds >= MOVING_SECONDS)


class ProcessorNews:
    """Asks the engine on worker threads; an answer that fails leaves what was known."""

    def __init__(
        self,
        ask: Callable[[EngineCall], None],
        changed: Callable[[], None],
        destination: int | None = None,
    ) -> None:
        """Take how to ask, what is called after an answer, and whose failed objects matter."""
        self._ask = ask
        self._changed = changed
        self._destination = destination
        self._asked: Moment | None = None
        self.known: Known | None = None
        """None before the first answer."""
        self.problem = ""
        """Why the last question was not answered; safe text."""

    def look(self, reading: Reading) -> None:
        """Ask if something may have happened since the last question."""
        now = moment_of(reading)
        moving = self.known is not None and self.known.is_moving
        if now is not None and not reading.silent and is_due(now, self._asked, moving=moving):
            self._asked = now
            self.look_now()

    def look_now(self) -> None:
        """Ask at once."""
        self._ask(
            EngineCall(
                "look at the processors",
                ("processors", self._destination),
                self._read,
                self._take,
                self._miss,
                changes=False,
                latest=True,
            )
        )

    def _read(self, engine: EngineView) -> Known:
        destinations = engine.forwarding.destinations()
        if self._destination is not None:
            failed = engine.forwarding.failed(self._destination, MOST_FAILED)
            return Known(destinations=destinations, failed=failed)
        return Known(engine.processors.list(), engine.processors.classes(), destinations)

    def _take(self, known: Known) -> None:
        if known != self.known or self.problem:
            self.known, self.problem = known, ""
            self._changed()

    def _miss(self, error: EngineError) -> None:
        self.problem = safe(error.detail)
        self._changed()
