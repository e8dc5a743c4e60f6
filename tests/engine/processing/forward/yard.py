"""A depot with a forwarding queue, whose objects go to SCPs of this process."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from engine.host.clock import SystemClock
from engine.index.arrivals import Arrivals
from engine.model.configuration import Configuration
from engine.model.processor import Location, Processor
from engine.processing.forward.connection import destination_of
from engine.processing.forward.forwarding import Follower, Forwarding
from engine.processing.forward.processor import CLASS_ID, ForwardCopy
from engine.processing.forward.queue import ForwardingQueue
from engine.processing.installed import settings_of
from engine.sessions.trash import ExpiryClock
from engine.settings import EngineSettings
from tests.engine.index.depot import open_depot
from tests.fakes import FixedClock
from tests.running import LOOPBACK, WatchedJournal, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.api.forwarding import DestinationStatus
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.processing.forward.connection import Destination
    from engine.processing.forward.service import ForwardingControl
    from tests.engine.index.depot import Depot

RECEIVER = replace(make_receiver("XNAT", 8104), id=1, custom_processing=True)


def forward_copy(number: int = 1, port: int = 104, **changes: Any) -> Processor:
    """Return a destination that is named after its number."""
    told = {"ae_title": "PACS", "host": LOOPBACK, "port": str(port), "timeout_seconds": "5"}
    told |= changes.pop("told", {})
    parameters = tuple(told.items())
    return Processor(
        number,
        f"PACS {number}",
        CLASS_ID,
        location=Location.AFTER_STORED,
        parameters=parameters,
        **changes,
    )


def destination(processor: Processor) -> Destination:
    return destination_of(processor, settings_of(ForwardCopy.info, processor))


@dataclass
class Yard:
    """What forwarding has around it, with real files, a real index and a real queue."""

    depot: Depot
    queue: ForwardingQueue
    arrivals: Arrivals
    configuration: Configuration = field(
        default_factory=lambda: Configuration(receivers=(RECEIVER,))
    )

    def follower(self) -> Follower:
        return Follower(self.queue, self.arrivals, lambda: self.configuration, self.depot.clock)

    def configure(self, *processors: Processor) -> None:
        """Bring destinations into force."""
        self.configuration = replace(self.configuration, processors=processors)
        self.queue.set_targets(
            [p.id for p in processors],
            [p.id for p in processors if p.enabled],
            self.follower().newest(),
        )

    def follow(self) -> list[tuple[int, str]]:
        """Queue what is new and return everything queued: destination and SOP Instance UID."""
        self.depot.index.flush()
        processors = {p.id: p for p in self.configuration.processors}
        self.follower().follow(processors, lambda: False)
        return [(item.destination, item.sop_instance_uid) for item in self.queue.items()]


@contextmanager
def yard_in(root: Path) -> Iterator[Yard]:
    """Open a depot and a queue beside it, and close both."""
    with ExitStack() as resources:
        depot = open_depot(root, FixedClock())
        resources.callback(depot.index.close)
        queue = resources.enter_context(ForwardingQueue(root / "state.sqlite"))
        arrivals = Arrivals(root / "index.sqlite")
        resources.callback(arrivals.close)
        yield Yard(depot, queue, arrivals)


class Running:
    """The forward copies of a depot at work, with real time; use it in a `with` block."""

    def __init__(self, root: Path, *processors: Processor, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._opened = ExitStack()
        depot = open_depot(root, FixedClock())
        self._opened.callback(depot.index.close)
        self.journal = WatchedJournal(clock)
        self.depot = replace(depot, journal=self.journal)
        self.configuration = Configuration(receivers=(RECEIVER,), processors=processors)
        self.forwarding = Forwarding(
            EngineSettings(root),
            depot.index,
            depot.areas,
            self.journal,
            clock,
            lambda: self.configuration,
            ExpiryClock(clock, self.journal),
        )
        self._opened.callback(self.forwarding.close)
        self.forwarding.apply(self.configuration)
        self.forwarding.start()
        self._opened.callback(self.end)
        self._is_at_work = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def desk(self) -> ForwardingControl:
        return self.forwarding.desk

    def status(self) -> DestinationStatus:
        """Return how the first destination is doing."""
        return self.desk.destinations()[0]

    def configure(self, *processors: Processor) -> None:
        """Bring other destinations into force."""
        self.configuration = replace(self.configuration, processors=processors)
        self.forwarding.apply(self.configuration)

    def wait_until_told(self, kind: type[Event], times: int = 1) -> list[str]:
        """Wait for events and return what they say."""
        with self.journal.changed:
            assert self.journal.changed.wait_for(lambda: len(self.told(kind)) >= times, 20)
        return self.told(kind)

    def told(self, kind: type[Event]) -> list[str]:
        page = self.journal.events_since(0, 1000)
        return [r.event.sentence() for r in page.events if isinstance(r.event, kind)]

    def end(self) -> None:
        """Stop it, once; what it knows can still be asked."""
        if self._is_at_work:
            self._is_at_work = False
            self.forwarding.stop()
