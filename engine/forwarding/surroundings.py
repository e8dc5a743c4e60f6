"""What every sender works with."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.expiry import ExpiryClock
    from engine.forwarding.queue import ForwardingQueue
    from engine.journal import Journal
    from engine.sessions.areas import Areas
    from engine.sessions.arrivals import Arrivals


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of an engine that forwarding needs."""

    queue: ForwardingQueue
    arrivals: Arrivals
    areas: Areas
    journal: Journal
    clock: Clock
    expiry: ExpiryClock
    chance: Callable[[], float] = random.random
    """Returns from 0 to 1; makes waits uneven."""
