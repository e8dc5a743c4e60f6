"""Records callers: the addresses of each AE title, and its volumes by hour."""

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
"""A title with more addresses is shared by devices, so its new addresses are not reported."""


class KnownAddresses:
    """Remembers the addresses of the AE titles that called last; not thread-safe.

    A known AE title at a new address is reported: a title is only a name, which anybody may use.
    A device that was moved looks the same.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        """Begin with pairs of calling AE title and address, the most recent last."""
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()
        for ae_title, address in known:
            with suppress(ValueError):
                self.note(ae_title, normalize_address(address))

    def note(self, ae_title: str, address: Address) -> str:
        """Remember a call; return the address before if this one is new, else an empty text.

        Another address of the same IPv6 /64 is not new: devices change theirs by themselves
        (RFC 8981).
        """
        places = self._known.setdefault(ae_title, {})
        self._known.move_to_end(ae_title)
        # Peers choose their titles: the least recent one goes.
        if len(self._known) > MOST_TITLES:
            self._known.popitem(last=False)
        place = origin_of(address)
        if place in places or len(places) >= MOST_ADDRESSES:
            return ""
        before = next(reversed(places.values()), "")
        places[place] = str(address)
        return before


class SenderStatistics:
    """Sends counts and facts of callers to the index; for all threads."""

    def __init__(self, clock: Clock, record: Callable[[SenderNote], None] | None) -> None:
        self._clock = clock
        self._record = record

    def rejected(self, request: AssociationRequest, receiver: str, at: datetime, why: str) -> None:
        """Record a rejection of a caller."""
        if self._record:
            who = (request.calling_ae_title, str(request.address))
            what: dict[str, str | int] = {"rejected": 1, "rejection": why}
            self._record(sender_note(who, at, receiver, what))

    def record_opened(
        self, live: LiveAssociation, implementation_class_uid: str, refused: Sequence[str]
    ) -> None:
        """Record the outcome of the negotiation, with the refused contexts in words."""
        self._note(
            live,
            implementation=live.implementation,
            implementation_class_uid=implementation_class_uid,
            contexts_proposed=live.contexts_accepted + len(refused),
            contexts_refused=len(refused),
            refused_contexts=contexts_in_words(refused),
        )

    def record_hour(self, live: LiveAssociation) -> None:
        """Record the counts of the last hour, once another hour has begun."""
        hour = hour_of(self._clock.now())
        if live.noted_hour and hour != live.noted_hour:
            self._note(live, **_unrecorded_counts(live))
        live.noted_hour = hour

    def record_closed(self, live: LiveAssociation, *, aborted: bool) -> None:
        """Record the end of an association, and the counts since the last record."""
        error = (live.why or "the connection ended") if aborted else live.last_error
        self._note(
            live, associations=1, aborted=int(aborted), error=error, **_unrecorded_counts(live)
        )

    def _note(self, live: LiveAssociation, **what: str | int) -> None:
        if self._record:
            who, at = (live.calling_ae_title, str(live.peer)), self._clock.now()
            self._record(sender_note(who, at, live.receiver.label, what))


def _unrecorded_counts(live: LiveAssociation) -> dict[str, str | int]:
    """Return the counts that are not recorded yet, and mark them as recorded."""
    now = (live.objects, live.bytes, live.failed)
    objects, size, failed = (count - noted for count, noted in zip(now, live.noted, strict=True))
    live.noted = now
    hour = live.noted_hour if objects or failed else ""
    return {"objects": objects, "bytes": size, "failed": failed, "hour": hour}
