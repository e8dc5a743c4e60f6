"""Ports that are free near one that another program holds, asked for after each attempt."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from engine.view import PortState
from tui.screens.fetch import Fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.view import EngineSnapshot, EngineView, ReceiverStatus
    from tui.link import EngineCall

OFFERED = 3
LOOKED_AT = 20


class FreePorts:
    """Asks the engine about one failed receiver at a time."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[int, ...]] = Fetch("look for free ports", ask, changed)

    def near(self, status: ReceiverStatus, snapshot: EngineSnapshot) -> tuple[int, ...]:
        """Return a few ports that a receiver could have; none if nobody holds its own."""
        failure = status.failure
        if failure is None or failure.holder is None:
            return ()
        port = status.receiver.port
        taken = frozenset(other.receiver.port for other in snapshot.receivers)
        about = (status.receiver.id, port)
        wish = (*about, failure.attempts)
        self._fetch.want(wish, partial(_free, port, taken), snapshot.taken_at)
        known = self._fetch.wish
        is_known = isinstance(known, tuple) and known[:2] == about
        return (self._fetch.answer or ()) if is_known else ()


def _free(port: int, taken: frozenset[int], engine: EngineView) -> tuple[int, ...]:
    allowed = engine.site().ports
    found = _probed(range(port + 1, port + 1 + LOOKED_AT), allowed, taken, engine)
    return tuple(islice(found, OFFERED))


def _probed(
    near: range, allowed: range, taken: frozenset[int], engine: EngineView
) -> Iterator[int]:
    for port in near:
        is_candidate = port in allowed and port not in taken
        if is_candidate and engine.port_status(port).state is PortState.FREE:
            yield port
