"""Records callers: the addresses of each AE title, and what it sends and when."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.index.senders import contexts_in_words, hour_of, sender_note
from engine.model.peer import origin_of
from engine.model.whitelist import normalize_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from engine.host.clock import Clock
    from engine.index.senders import SenderNote
    from engine.model.whitelist import Address
    from engine.reception.acceptance import AssociationRequest
    from engine.reception.live_association import LiveAssociation

MOST_TITLES: Final = 5_000
MOST_ADDRESSES: Final = 16
"""A title that is at home at more addresses is shared, and no address of it is news."""


class KnownAddresses:
    """Remembers addresses by AE title, of those who called last; not thread-safe.

    A familiar name at a new address is worth a line: an AE title is only a name, which anybody may
    use. A device that was moved looks just the same.
    """

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


class SenderStatistics:
    """Turns what happens to associations into notes; may be used by any thread."""

    def __init__(self, clock: Clock, record: Callable[[SenderNote], None] | None) -> None:
        self._clock = clock
        self._record = record

    def rejected(self, request: AssociationRequest, receiver: str, at: datetime, why: str) -> None:
        """Note that a caller was refused."""
        if self._record:
            who = (request.calling_ae_title, str(request.address))
            what: dict[str, str | int] = {"rejected": 1, "rejection": why}
            self._record(sender_note(who, at, receiver, what))

    def record_opened(
        self, live: LiveAssociation, implementation_class_uid: str, refused: Sequence[str]
    ) -> None:
        """Note the outcome of the negotiation, with the refused contexts in words."""
        self._note(
            live,
            implementation=live.implementation,
            implementation_class_uid=implementation_class_uid,
            contexts_proposed=live.contexts_accepted + len(refused),
            contexts_refused=len(refused),
            refused_contexts=contexts_in_words(refused),
        )

    def record_hour(self, live: LiveAssociation) -> None:
        """Note what came in the hour before, once another one has begun."""
        hour = hour_of(self._clock.now())
        if live.noted_hour and hour != live.noted_hour:
            self._note(live, **_unrecorded_counts(live))
        live.noted_hour = hour

    def record_closed(self, live: LiveAssociation, *, aborted: bool) -> None:
        """Note that an association ended, and what came since the last note."""
        error = (live.why or "the connection ended") if aborted else live.last_error
        self._note(
            live, associations=1, aborted=int(aborted), error=error, **_unrecorded_counts(live)
        )

    def _note(self, live: LiveAssociation, **what: str | int) -> None:
        if self._record:
            who, at = (live.calling_ae_title, str(live.peer)), self._clock.now()
            self._record(sender_note(who, at, live.receiver.label, what))


def _unrecorded_counts(live: LiveAssociation) -> dict[str, str | int]:
    """Return what came since the sender's row was written, and take it as written."""
    now = (live.objects, live.bytes, live.failed)
    objects, size, failed = (count - noted for count, noted in zip(now, live.noted, strict=True))
    live.noted = now
    hour = live.noted_hour if objects or failed else ""
    return {"objects": objects, "bytes": size, "failed": failed, "hour": hour}
