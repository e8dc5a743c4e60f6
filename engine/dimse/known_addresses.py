"""From where each calling AE title has called: a familiar name at a new address is worth a line.

An AE title is only a name, which anybody may use; a device that was moved looks just the same.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.addresses import origin_of
from engine.model.whitelist import normalize_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.whitelist import Address

MOST_TITLES: Final = 5_000
MOST_ADDRESSES: Final = 16
"""A title that is at home at more addresses is shared, and no address of it is news."""


class KnownAddresses:
    """Remembers addresses by AE title, of those who called last; not thread-safe."""

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        """Take pairs of calling AE title and address, those that called last at the end."""
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()
        for ae_title, address in known:
            with suppress(ValueError):
                self.note(ae_title, normalize_address(address))

    def note(self, ae_title: str, address: Address) -> str:
        """Remember a call; return where the title called from before if this place is news.

        Another address of the same IPv6 /64 is no news: devices change theirs by themselves.
        """
        places = self._known.setdefault(ae_title, {})
        self._known.move_to_end(ae_title)
        if len(self._known) > MOST_TITLES:
            self._known.popitem(last=False)
        place = origin_of(address)
        if place in places or len(places) >= MOST_ADDRESSES:
            return ""
        before = next(reversed(places.values()), "")
        places[place] = str(address)
        return before
