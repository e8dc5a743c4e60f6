"""What is noted of a sender: when it comes, when it leaves, and each hour that it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.sessions.senders import contexts_in_words, hour_of, sender_note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.clock import Clock
    from engine.dimse.acceptance import AssociationRequest
    from engine.dimse.associations import LiveAssociation
    from engine.sessions.senders import SenderNote


class SenderNotes:
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

    def came(
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

    def stays(self, live: LiveAssociation) -> None:
        """Note what came in the hour before, once another one has begun."""
        hour = hour_of(self._clock.now())
        if live.noted_hour and hour != live.noted_hour:
            self._note(live, **_unnoted(live))
        live.noted_hour = hour

    def left(self, live: LiveAssociation, *, aborted: bool) -> None:
        """Note that an association ended, and what came since the last note."""
        error = (live.why or "the connection ended") if aborted else live.last_error
        self._note(live, associations=1, aborted=int(aborted), error=error, **_unnoted(live))

    def _note(self, live: LiveAssociation, **what: str | int) -> None:
        if self._record:
            who, at = (live.calling_ae_title, str(live.peer)), self._clock.now()
            self._record(sender_note(who, at, live.receiver.label, what))


def _unnoted(live: LiveAssociation) -> dict[str, str | int]:
    """Return what came since the sender's row was written, and take it as written."""
    now = (live.objects, live.bytes, live.failed)
    objects, size, failed = (count - noted for count, noted in zip(now, live.noted, strict=True))
    live.noted = now
    hour = live.noted_hour if objects or failed else ""
    return {"objects": objects, "bytes": size, "failed": failed, "hour": hour}
