"""The forward copies of a `FakeEngine`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import NotFound

if TYPE_CHECKING:
    from engine.api.forwarding import DestinationStatus, NotForwarded


@dataclass
class FakeForwarding:
    """A `ForwardingView` that answers from memory and notes every command in `calls`."""

    known: tuple[DestinationStatus, ...] = ()
    given_up: tuple[NotForwarded, ...] = ()
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def destinations(self) -> tuple[DestinationStatus, ...]:
        return self.known

    def failed(self, destination: int | None = None, limit: int = 100) -> tuple[NotForwarded, ...]:
        found = (f for f in self.given_up if destination in {None, f.destination})
        return tuple(found)[:limit]

    def retry(self, destination: int, actor: str, items: tuple[int, ...] = ()) -> int:
        self.calls.append(("retry", destination, actor, items))
        self._require(destination)
        return len(items)

    def drop(
        self,
        destination: int,
        actor: str,
        items: tuple[int, ...] = (),
        *,
        waiting: bool = False,
    ) -> int:
        self.calls.append(("drop", destination, actor, items, waiting))
        self._require(destination)
        return len(items)

    def _require(self, destination: int) -> None:
        if destination not in {status.id for status in self.known}:
            raise NotFound(f"there is no destination {destination}", "look at the list again")
