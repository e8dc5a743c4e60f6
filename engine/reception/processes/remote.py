"""The engine as a receiving process sees it: every question goes over the link.

Where a session's files go is asked once, and remembered until the engine takes the session back.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.reception.acceptance import Rejection
from engine.reception.live_association import LiveAssociation
from engine.reception.processes.link import LinkClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.api import AssociationEnd, RefusedContext
    from engine.dimse.acse import AssociateRQ
    from engine.dimse.contexts import AcceptedUIDs
    from engine.events import Event
    from engine.index.store import Copy, SessionKey, SessionOrigin, SessionPlace
    from engine.index.writer import ObjectRow
    from engine.intake.rule_failures import RuleKey
    from engine.model.processing import Verdict
    from engine.model.receiver import Receiver
    from engine.model.session import ObjectState
    from engine.net.reactor import Reactor
    from engine.net.tls import PortTls
    from engine.reception.association import Decision, IncomingAssociation
    from engine.reception.processes.link import Link

BATCH_SECONDS = 0.02
"""For how long rows and counts are collected for one message."""


@dataclass(slots=True)
class _Hold:
    """One grant of the engine: this process may put objects into a session."""

    key: SessionKey
    place: SessionPlace
    """As further objects of the session get it."""
    objects: int = 1
    """How many are on their way into the session."""
    is_taken_back: bool = False


class RemoteDock:
    """Satisfies `ObjectDock` and `AssociationDock`; for all threads."""

    def __init__(self, link: Link, reactor: Reactor) -> None:
        self._link = link
        self._reactor = reactor
        self._lock = threading.Lock()
        """Guards the holds."""
        self._discards: deque[Callable[[], object]] = deque()
        """They remove the parts of objects whose rows are queued."""
        self._is_flush_due = False
        self._numbers = count(1)
        self._holds: dict[int, _Hold] = {}
        """All that are not given back yet, by number."""
        self._places: dict[SessionKey, _Hold] = {}
        """Those that the next object may use."""

    # Sessions and objects.

    @property
    def may_wait(self) -> bool:
        """Whether calls may take long: not more than any other question to the engine."""
        return False

    def known_place(self, key: SessionKey) -> SessionPlace | None:
        """Return where a session's files go and hold it; None if that is not known yet."""
        with self._lock:
            hold = self._places.get(key)
            if hold is None:
                return None
            hold.objects += 1
            return hold.place

    def file(self, key: SessionKey, origin: SessionOrigin, *, directly: bool) -> SessionPlace:
        """Find or create the session of an object and hold it."""
        granted: list[SessionPlace] = []

        def take(answer: Any) -> Any:
            # On the receiving thread: the engine may take the session back with its next message.
            if not isinstance(answer, Exception):
                granted.append(self._granted(key, answer))

        self._link.call("file", key, origin, directly, first=take)
        return granted[0]

    def release(self, hold: int) -> None:
        """Give back what `known_place` or `file` held, once the object's row is recorded."""
        with self._lock:
            held = self._holds[hold]
            held.objects -= 1
            is_over = held.is_taken_back and not held.objects
            if is_over:
                del self._holds[hold]
        if is_over:
            # In the stream of the rows: whoever waits for the session then has them all.
            self._link.tell("give_back", held.place.id)

    def take_back(self, session_id: int) -> None:
        """Let the next object of a session ask again; returns at once, on any thread."""
        with self._lock:
            for number, held in list(self._holds.items()):
                if held.place.id == session_id and not held.is_taken_back:
                    self._retire(number, held)
        self._reactor.call_soon(self._link.flush)

    def archives_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive."""
        return bool(self._link.call("archives_directly", receiver, key))

    def copies(self, key: SessionKey, sop_instance_uid: str) -> tuple[Copy, ...]:
        """Return where a SOP instance is already."""
        found: tuple[Copy, ...] = self._link.call("copies", key, sop_instance_uid)
        return found

    def trace(self, session_id: int, values: Iterable[tuple[int, str | None]]) -> None:
        """Note the values that a session can be found by."""
        self._link.call("trace", session_id, tuple(values))

    def record(self, row: ObjectRow, answer_seconds: float, discard: Callable[[], object]) -> None:
        """Give an object its one row, and count it."""
        # A plain tuple takes half as long as its class, at both ends.
        self._link.put("record", tuple(row), answer_seconds)
        if not row.file:
            # At once: nothing on the disk would tell of the object if this process were killed.
            self._link.flush()
            discard()
            return
        self._discards.append(discard)  # after `put`, and before the look at the timer
        self._flush_soon()

    # Associations.

    def established(
        self,
        live: LiveAssociation,
        accepted: int,
        refused: tuple[RefusedContext, ...],
        implementation: str,
        implementation_class_uid: str = "",
        contexts: tuple[AcceptedUIDs, ...] = (),
    ) -> None:
        """Record the outcome of the negotiation."""
        about = accepted, refused, implementation, implementation_class_uid, contexts
        self._link.tell("established", live.id, *about)

    def count_object(
        self, live: LiveAssociation, state: ObjectState, size_bytes: int, status: int, why: str
    ) -> None:
        """Count one object."""
        self._link.put("count_object", live.id, state, size_bytes, status, why)
        self._flush_soon()

    def commit(
        self, live: LiveAssociation, transaction_uid: str, references: Sequence[tuple[str, str]]
    ) -> None:
        """Take a request for storage commitment; not on the loop's thread, as it waits."""
        # As plain tuples: they take half as long as their class, at both ends.
        self._link.call("commit", live.id, transaction_uid, tuple(map(tuple, references)))

    def reported(self, live: LiveAssociation, number: int, status: int) -> None:
        """Take the answer to the report on a request for storage commitment."""
        self._link.tell("reported", live.id, number, status)

    def close(
        self,
        live: LiveAssociation,
        end: AssociationEnd,
        closed: Callable[[], object] = lambda: None,
    ) -> None:
        """Record the end of an association; a second call for the same one has no effect."""
        if live.is_open:
            live.is_open = False
            self._link.ask(
                lambda _: self._reactor.call_soon(closed), "close", live.id, end, live.why
            )

    def flush(self) -> None:
        """Send what is queued, then remove the parts of objects whose rows are on their way."""
        self._is_flush_due = False
        queued = len(self._discards)
        self._link.flush()
        for _ in range(queued):
            self._discards.popleft()()

    def _flush_soon(self) -> None:
        # Not locked: a second timer only finds nothing.
        if not self._is_flush_due:
            self._is_flush_due = True
            self._reactor.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        self._reactor.call_at(self._reactor.now() + BATCH_SECONDS, self.flush)

    def _granted(self, key: SessionKey, place: SessionPlace) -> SessionPlace:
        """Note that the engine has granted a session; return the place for the object."""
        key = key._replace(area=place.area)
        with self._lock:
            known = self._places.get(key)
            # Another association of this process was faster.
            if known is not None and known.place.id == place.id:
                known.objects += 1
                self._link.put("give_back", place.id)
                self._reactor.call_soon(self._link.flush)
                return replace(known.place, is_new=place.is_new)
            if known is not None:
                self._retire(known.place.hold, known)
            number = next(self._numbers)
            held = _Hold(key, replace(place, is_new=False, hold=number))
            self._holds[number] = self._places[key] = held
        return replace(place, hold=number)

    def _retire(self, number: int, held: _Hold) -> None:
        held.is_taken_back = True
        if self._places.get(held.key) is held:
            del self._places[held.key]
        if not held.objects:
            del self._holds[number]
            self._link.put("give_back", held.place.id)


class RemoteRuleFailures:
    """Satisfies `RuleFailures`: the engine counts, and says which rules are suspended."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.suspended: frozenset[RuleKey] = frozenset()
        """As the engine has said last."""

    def note(self, rule: RuleKey, make: Callable[..., Event], *, timed_out: bool) -> None:
        """Report a failure."""
        self._link.tell("rule_failed", rule, make, timed_out)


class RemoteProcessorNotes:
    """Satisfies `ProcessorNotes`: the engine counts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def note(
        self,
        processor_id: int,
        verdict: Verdict,
        seconds: float,
        why: str,
        make: Callable[..., Event],
    ) -> None:
        """Report what a processor has done."""
        self._link.tell("note_processor", processor_id, verdict, seconds, why, make)

    def forget_all_but(self, ids: set[int]) -> None:
        """Do nothing: the engine forgets by itself."""


class RemoteRoom:
    """Satisfies `Room`: the engine counts and numbers what the quarantine holds."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def reserve(self, size_bytes: int) -> int | None:
        """Return the number of an object that is to be kept; None if there is no room for it."""
        try:
            number: int | None = self._link.call("reserve_room", size_bytes)
        except LinkClosed:
            return None
        return number

    def release(self, size_bytes: int) -> None:
        """Give room back that was not used."""
        self._link.tell("release_room", size_bytes)


class KnownReceivers:
    """Gives equal receivers as the same object; for the loop's thread.

    Each association brings its receiver from the engine, and what is compiled for a receiver is
    compiled for that object.
    """

    def __init__(self) -> None:
        self._by_label: dict[str, Receiver] = {}

    def same(self, receiver: Receiver) -> Receiver:
        """Return the known receiver that is equal to this one, or this one if there is none."""
        known = self._by_label.get(receiver.label)
        if known != receiver:
            known = self._by_label[receiver.label] = receiver
        return known

    def apply(self, receivers: Sequence[Receiver]) -> Mapping[str, Receiver]:
        """Know those of another configuration and no others; return them by their labels."""
        self._by_label = {receiver.label: receiver for receiver in receivers}
        return self._by_label


class HandedPort:
    """Satisfies `ListeningPort` for one connection that the engine has handed over."""

    def __init__(
        self,
        link: Link,
        reactor: Reactor,
        number: int,
        port: int,
        tls: PortTls | None,
        receivers: KnownReceivers,
    ) -> None:
        """Take the link, the connection's number, and what is known of its port."""
        self.port = port
        self.tls = tls
        self._link = link
        self._reactor = reactor
        self._number = number
        self._receivers = receivers
        self._has_closed: Callable[[], object] = lambda: None

    def when_closed(self, call: Callable[[], object]) -> None:
        """Make a call when the connection is closed."""
        self._has_closed = call

    def admit(
        self,
        connection: IncomingAssociation,
        proposal: AssociateRQ,
        decided: Callable[[Decision], object],
    ) -> None:
        """Ask the engine for its decision, which comes later."""

        def take(answer: Any) -> None:
            self._reactor.call_soon(lambda: decided(self._decision(connection, proposal, answer)))

        self._link.ask(
            take,
            "admit",
            self._number,
            proposal.called_ae_title,
            proposal.calling_ae_title,
            proposal.application_context,
            proposal.protocol_version,
            connection.certificate,
        )

    def _decision(
        self, connection: IncomingAssociation, proposal: AssociateRQ, answer: Any
    ) -> Decision:
        if isinstance(answer, Exception):
            return Rejection(2, 1, 1, "internal error")
        if isinstance(answer, Rejection):
            return answer
        association, receiver, whitelist_line, since, limits = answer
        receiver = self._receivers.same(receiver)
        live = LiveAssociation(
            id=association,
            receiver=receiver,
            settings=receiver,
            whitelist_line=whitelist_line,
            calling_ae_title=proposal.calling_ae_title,
            address=connection.peer,
            since=since,
            peer=connection.address,
        )
        return live, limits

    def heard(self) -> None:
        """Record that the first bytes of a request have come."""
        self._link.tell("heard", self._number)

    def refused(
        self, connection: IncomingAssociation, why: str, called: str = "", calling: str = ""
    ) -> None:
        """Record that a connection is refused before its A-ASSOCIATE-RQ was decided."""
        connection.request_received = True
        self._link.tell("refused", self._number, why, called, calling)

    def closed(self, connection: IncomingAssociation) -> None:
        """Record that a connection is closed."""
        end = "" if connection.request_received else connection.describe_end()
        self._link.tell("gone", self._number, end)
        self._has_closed()
