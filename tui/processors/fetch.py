"""Fetches processors, classes and destinations when an event says that they changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.api.forwarding import DestinationState
from engine.errors import EngineError
from tui.processors.commitments import undelivered
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.api import EngineView
    from engine.api.commitments import CommitmentStatus
    from engine.api.forwarding import DestinationStatus, NotForwarded
    from engine.model.processing import ProcessorStatus
    from engine.model.processor import ProcessorClass
    from tui.engine_client import Asker, EngineState

LEAST_SECONDS: Final = 1.0
"""Least time between two questions."""
MOVING_SECONDS: Final = 2.0
"""Between two polls while a queue is being sent: there is no event for each object."""
MOST_FAILED: Final = 500
"""At most so many objects that are not retried are listed, the newest."""
MOST_COMMITMENTS: Final = 200
"""Among so many newest requests for storage commitment those without a report are looked for."""


@dataclass(frozen=True, slots=True)
class ProcessorData:
    """The answers of one poll."""

    statuses: tuple[ProcessorStatus, ...] = ()
    classes: tuple[ProcessorClass, ...] = ()
    destinations: tuple[DestinationStatus, ...] = ()
    failed: tuple[NotForwarded, ...] = ()
    """Of the one destination that was asked about."""
    commitments: tuple[CommitmentStatus, ...] = ()
    """The newest requests for storage commitment whose report is not delivered."""

    @property
    def is_moving(self) -> bool:
        """Whether a queue is being worked off."""
        return any(
            d.state is DestinationState.SENDING or (d.queued and d.state is DestinationState.IDLE)
            for d in self.destinations
        )


@dataclass(frozen=True, slots=True)
class RefreshState:
    """What says that something may have happened since."""

    at: datetime
    revision: int
    received: int
    """Objects ever since the start."""
    event: int
    """The number of the newest event."""


def refresh_state(engine_state: EngineState) -> RefreshState | None:
    """Return what a reading says of that; None before the first answer."""
    snapshot = engine_state.snapshot
    if snapshot is None:
        return None
    newest = engine_state.events[0].sequence if engine_state.events else 0
    return RefreshState(snapshot.taken_at, snapshot.revision, snapshot.totals.received, newest)


def is_due(now: RefreshState, asked: RefreshState | None, *, moving: bool) -> bool:
    """Tell whether to ask again."""
    if asked is None:
        return True
    seconds = (now.at - asked.at).total_seconds()
    if now.revision != asked.revision:
        return True
    happened = (now.received, now.event) != (asked.received, asked.event)
    return (happened and seconds >= LEAST_SECONDS) or (moving and seconds >= MOVING_SECONDS)


class ProcessorFetch:
    """Asks the engine on worker threads; an answer that fails leaves what was known."""

    def __init__(
        self,
        asker: Asker,
        changed: Callable[[], None],
        destination: int | None = None,
    ) -> None:
        """Take how to ask, what is called after an answer, and whose failed objects matter."""
        self._asker = asker
        self._changed = changed
        self._destination = destination
        self._asked: RefreshState | None = None
        self.known: ProcessorData | None = None
        """None before the first answer."""
        self.problem = ""
        """Why the last question was not answered; safe text."""

    def look(self, engine_state: EngineState) -> None:
        """Ask if something may have happened since the last question."""
        now = refresh_state(engine_state)
        moving = self.known is not None and self.known.is_moving
        if now is not None and not engine_state.silent and is_due(now, self._asked, moving=moving):
            self._asked = now
            self.refresh_now()

    def refresh_now(self) -> None:
        """Ask at once."""
        self._asker.ask(self._fetch)

    async def _fetch(self) -> None:
        try:
            known = await self._asker.engine.call(
                "look at the processors",
                self._read,
                about=("processors", self._destination),
                changes=False,
                latest=True,
            )
        except EngineError as error:
            self.problem = safe(error.detail)
            self._changed()
            return
        if known != self.known or self.problem:
            self.known, self.problem = known, ""
            self._changed()

    def _read(self, engine: EngineView) -> ProcessorData:
        destinations = engine.forwarding.destinations()
        if self._destination is not None:
            failed = engine.forwarding.failed(self._destination, MOST_FAILED)
            return ProcessorData(destinations=destinations, failed=failed)
        commitments = undelivered(engine.commitments.list(MOST_COMMITMENTS))
        return ProcessorData(
            *(engine.processors.list(), engine.processors.classes(), destinations),
            commitments=commitments,
        )
