"""The live associations with their counts, and the ones that ended lately."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypedDict

from engine.api import AssociationEnd, AssociationStatus
from engine.commitment.service import ReportContext
from engine.dimse.contexts import STORAGE_COMMITMENT, named_contexts
from engine.errors import NotFound, OutOfResources
from engine.events import (
    AssociationAbortAsked,
    AssociationAborted,
    AssociationEstablished,
    AssociationRejected,
    AssociationReleased,
    CalledFromNewAddress,
    ContextsRefused,
    ObjectRefused,
    ObjectsStored,
)
from engine.events.repeats import Budget, Repetitions, should_report_repeat
from engine.host.memory import Crowd, release_free_memory
from engine.index.writer import WhitelistUse
from engine.metrics import RATE_SECONDS
from engine.model.peer import origin_of
from engine.model.session import ObjectState
from engine.reception.acceptance import OpenAssociation
from engine.reception.callers import KnownAddresses, SenderStatistics
from engine.reception.live_association import LiveAssociation, Report
from engine.state.commitments import NewCommitment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.api import RefusedContext
    from engine.api.status import AcceptedContext
    from engine.dimse.contexts import AcceptedUIDs
    from engine.events import Event
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.senders import SenderNote
    from engine.metrics import Metrics
    from engine.model.receiver import Receiver
    from engine.reception.acceptance import Acceptance, AssociationRequest, Rejection

ENDED_KEPT = 50
MAX_REPORTED_CALLERS = 10
"""How many AE titles of one address are reported singly, if rejected for the same cause."""
REJECTIONS_PER_MINUTE = 60
"""The most reports of rejections, over all addresses; further ones are counted.

One host may have a whole /48 of IPv6, so a limit per address is not enough.
"""
FOLDED_WITHIN = timedelta(minutes=10)
"""A rejection joins the row of an equal one that ended within this time."""

_REFUSED = frozenset((ObjectState.FAILED, ObjectState.QUARANTINED, ObjectState.REJECTED))


class _EventFields(TypedDict):
    """The fields that every event of an association has."""

    receiver: str
    calling_ae_title: str
    association: str


class TakesCommitments(Protocol):
    """Answers requests for storage commitment; for all threads."""

    def take(self, new: NewCommitment) -> None:
        """Keep a request; it is on the disk when this returns."""
        ...

    def answered(self, number: int, status: int) -> None:
        """Take the answer to a report."""
        ...

    def opened(self, calling: str, receiver: str) -> None:
        """Note that a caller has opened an association with a context for reports."""
        ...

    def closed(self, association: str) -> None:
        """Note that an association is closed."""
        ...


class _NoCommitments:
    """Refuses all requests, until there is something that answers them."""

    def take(self, new: NewCommitment) -> None:
        raise OutOfResources("nothing answers requests for storage commitment")

    def answered(self, number: int, status: int) -> None: ...

    def opened(self, calling: str, receiver: str) -> None: ...

    def closed(self, association: str) -> None: ...


def _commitment_context(live: LiveAssociation) -> ReportContext | None:
    for context in live.accepted:
        if context.sop_class == STORAGE_COMMITMENT:
            return ReportContext(live.id, context.id, context.transfer_syntax)
    return None


class Associations:
    """Opens, counts and closes associations; for all threads unless a method says otherwise."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        count_use: Callable[[WhitelistUse | SenderNote], None] | None = None,
        metrics: Metrics | None = None,
        known: Iterable[tuple[str, str]] = (),
        crowd_gone: Callable[[], None] = release_free_memory,
    ) -> None:
        """Begin with none.

        Args:
            clock: gives times and durations.
            journal: records events.
            count_use: gets uses of whitelist lines and counts of senders, for the index.
            metrics: the counters.
            known: AE titles and addresses that have called before, the most recent last.
            crowd_gone: called when few are left of many.
        """
        self._clock = clock
        self._journal = journal
        self._metrics = metrics
        self._count_use = count_use
        self._notes = SenderStatistics(clock, count_use)
        self.admission = threading.Lock()
        """Held from the decision on an association until it counts, and while receivers change.

        It is taken before `_changed`, never inside it.
        """
        self._changed = threading.Condition()
        self._live: dict[str, LiveAssociation] = {}
        self._ended: deque[AssociationStatus] = deque(maxlen=ENDED_KEPT)
        self._accepted: dict[str, tuple[AcceptedUIDs, ...]] = {}
        """The accepted contexts of the ended ones that are kept, by number."""
        self._ended_lately: deque[tuple[int, LiveAssociation]] = deque(maxlen=ENDED_KEPT)
        """When each ended, in whole monotonic seconds: the engine's rate counts it for a while."""
        self._known_addresses = KnownAddresses(known)
        self.commitments: TakesCommitments = _NoCommitments()
        """Takes requests for storage commitment."""
        self._opened = 0
        self._crowd_gone = crowd_gone
        self._crowd = Crowd()
        self._rejections = Repetitions(clock.monotonic)
        self._rejected_callers = Repetitions(clock.monotonic)
        self._callers_by_cause = Repetitions(clock.monotonic)
        self._rejection_reports = Budget(REJECTIONS_PER_MINUTE, 60, clock.monotonic)

    def open(
        self,
        accepted: Acceptance,
        request: AssociationRequest,
        address: str,
        abort: Callable[[], None],
        report: Callable[[Report], None] = lambda _: None,
    ) -> LiveAssociation:
        """Register an accepted association, before it is negotiated."""
        with self._changed:
            live = LiveAssociation(
                id=self._next_id(),
                receiver=accepted.receiver,
                settings=accepted.receiver,
                whitelist_line=accepted.whitelist_line,
                calling_ae_title=request.calling_ae_title,
                address=address,
                since=self._clock.now(),
                peer=request.address,
                abort=abort,
                report=report,
            )
            self._live[live.id] = live
            self._crowd.has_gone(len(self._live))
        return live

    def configure(self, receivers: Sequence[Receiver]) -> None:
        """Apply the present configuration to open associations, from their next object on."""
        by_label = {receiver.label: receiver for receiver in receivers}
        with self._changed:
            for live in self._live.values():
                live.settings = by_label.get(live.receiver.label, live.settings)

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
        proposed = accepted + len(refused)
        live.accepted = contexts
        live.contexts_accepted, live.contexts_refused = accepted, refused
        live.implementation = implementation
        if self._metrics:
            self._metrics.record_association(live.receiver.label)
        self._journal.record(
            AssociationEstablished(
                receiver=live.receiver.label,
                calling_ae_title=live.calling_ae_title,
                association=live.id,
                address=live.address,
                contexts_accepted=accepted,
                contexts_proposed=proposed,
                whitelist_line=live.whitelist_line,
            )
        )
        self._report_new_address(live)
        if self._count_use and live.whitelist_line:
            at = live.since.isoformat()
            self._count_use(WhitelistUse(live.receiver.label, live.whitelist_line, at))
        words = tuple(f"{context.sop_class}, {context.reason}" for context in refused)
        self._notes.record_opened(live, implementation_class_uid, words)
        if _commitment_context(live) is not None:
            self.commitments.opened(live.calling_ae_title, live.receiver.label)
        if refused:
            self._journal.record(ContextsRefused(**_about(live), contexts=words))

    def _report_new_address(self, live: LiveAssociation) -> None:
        with self._changed:
            before = self._known_addresses.note(live.calling_ae_title, live.peer)
        if before:
            self._journal.record(
                CalledFromNewAddress(**_about(live), address=str(live.peer), before=before)
            )

    def rejected(
        self, request: AssociationRequest, rejection: Rejection, port: int, address: str
    ) -> None:
        """Record a rejected association with its reason; repetitions become a count."""
        if self._metrics:
            self._metrics.record_rejection(rejection.result, rejection.source, rejection.reason)
        now = self._clock.now()
        with self._changed:
            status = AssociationStatus(
                id=self._next_id(),
                receiver=f"{request.called_ae_title}:{port}",
                calling_ae_title=request.calling_ae_title,
                called_ae_title=request.called_ae_title,
                address=address,
                since=now,
                ended_at=now,
                end=AssociationEnd.REJECTED,
                why=rejection.why,
            )
            status = self._folded(status)
            self._keep(status)
        self._notes.rejected(request, status.receiver, now, rejection.why)
        self._report_rejected(status, request, rejection, port)

    def _keep(self, ended: AssociationStatus) -> None:
        if len(self._ended) == ENDED_KEPT:
            self._accepted.pop(self._ended[-1].id, None)
        self._ended.appendleft(ended)

    def _folded(self, status: AssociationStatus) -> AssociationStatus:
        """Return the row joined with a recent equal one, which is taken out."""
        assert status.ended_at is not None
        # At most `ENDED_KEPT` rows, so this costs little also while somebody tries one title after
        # the other.
        for before in self._ended:
            same = (before.receiver, before.calling_ae_title, before.why, before.end) == (
                status.receiver,
                status.calling_ae_title,
                status.why,
                status.end,
            )
            if same and before.ended_at and status.ended_at - before.ended_at < FOLDED_WITHIN:
                self._ended.remove(before)
                return replace(status, since=before.since, repeats=before.repeats + 1)
        return status

    def _report_rejected(
        self,
        status: AssociationStatus,
        request: AssociationRequest,
        rejection: Rejection,
        port: int,
    ) -> None:
        """Report a rejection, or only count it.

        By address, port and code: the caller chooses its AE title, so another title is not another
        cause. But the first few titles are reported, for these may be different devices.
        """
        cause = origin_of(request.address), port, *rejection.code
        times = self._rejections.count(cause)
        is_new = self._rejected_callers.count((cause, status.receiver, status.calling_ae_title))
        is_reported = should_report_repeat(times)
        if is_new == 1 and not is_reported:
            is_reported = self._callers_by_cause.count(cause) < MAX_REPORTED_CALLERS
            times = 1
        # Last: only what would be reported uses up the budget.
        left_out = self._rejection_reports.take() if is_reported else None
        if left_out is None:
            return
        self._journal.record(
            AssociationRejected(
                receiver=status.receiver,
                calling_ae_title=status.calling_ae_title,
                association=status.id,
                called_ae_title=status.called_ae_title,
                address=status.address,
                port=port,
                result=rejection.result,
                source=rejection.source,
                reason=rejection.reason,
                why=status.why,
                times=times,
                left_out=left_out,
            )
        )

    def count_object(
        self, live: LiveAssociation, state: ObjectState, size_bytes: int, status: int, why: str
    ) -> None:
        """Count one object; call it on the loop's thread only."""
        second = int(self._clock.monotonic())
        with self._changed:
            live.ring.add(second, size_bytes)
        if state in _REFUSED:
            live.failed += 1
            live.last_error = why
            self._journal.record(ObjectRefused(**_about(live), status=status, why=why))
            return
        # One event for each second with objects, not one for each object.
        if second != live.unreported_second:
            self._report(live)
        live.unreported_second = second
        if state is ObjectState.FILTERED:
            live.unreported_filtered += 1
            return
        live.objects += 1
        live.bytes += size_bytes
        if state is ObjectState.DUPLICATE:
            live.unreported_duplicates += 1
        else:
            live.unreported_objects += 1
        live.unreported_bytes += size_bytes

    def commit(
        self, live: LiveAssociation, transaction_uid: str, references: Sequence[tuple[str, str]]
    ) -> None:
        """Take a request for storage commitment; not on the loop's thread, as it may wait.

        Raises:
            EngineError: if it can't be kept.
        """
        self.commitments.take(
            NewCommitment(
                transaction_uid,
                live.calling_ae_title,
                str(live.receiver.ae_title),
                live.receiver.label,
                live.id,
                tuple(references),
            )
        )

    def reported(self, live: LiveAssociation, number: int, status: int) -> None:
        """Take the answer to the report on a request for storage commitment."""
        self.commitments.answered(number, status)

    def commitment_context(self, association: str) -> ReportContext | None:
        """Return the context for reports of an association; None if it has none or is closed."""
        with self._changed:
            live = self._live.get(association)
        return _commitment_context(live) if live is not None else None

    def commitment_context_of(self, calling: str, receiver: str) -> ReportContext | None:
        """Return the context for reports of the newest association of a caller."""
        for live in reversed(self.live()):
            if (live.calling_ae_title, live.receiver.label) == (calling, receiver):
                context = _commitment_context(live)
                if context is not None:
                    return context
        return None

    def send_report(
        self, context: ReportContext, number: int, event_type: int, data_set: bytes
    ) -> None:
        """Send a report of storage commitment on an open association."""
        with self._changed:
            live = self._live.get(context.association)
        if live is not None:
            live.report(Report(number, context.id, event_type, data_set))
        else:
            self.commitments.closed(context.association)

    def close(
        self,
        live: LiveAssociation,
        end: AssociationEnd,
        closed: Callable[[], object] = lambda: None,
    ) -> None:
        """Record the end of an association; a second call for the same one has no effect.

        Args:
            live: the association.
            end: how it ended.
            closed: called once it no longer counts.
        """
        now = self._clock.now()
        with self._changed:
            if self._live.pop(live.id, None) is None:
                return
            live.is_open = False
            self._keep(replace(live.status(), ended_at=now, end=end, why=live.why))
            self._accepted[live.id] = live.accepted
            self._ended_lately.append((int(self._clock.monotonic()), live))
            is_crowd_gone = self._crowd.has_gone(len(self._live))
            self._changed.notify_all()
        # Events without the lock: the journal writes to a file.
        self._report(live)
        self._notes.record_closed(live, aborted=end is AssociationEnd.ABORTED)
        self._journal.record(_ending(live, end, (now - live.since).total_seconds()))
        self.commitments.closed(live.id)
        closed()
        if is_crowd_gone:
            self._crowd_gone()

    def abort(self, live: LiveAssociation, why: str) -> None:
        """Abort an association, with the reason for the log; returns without waiting."""
        live.why = why
        live.abort()

    def live(self) -> tuple[LiveAssociation, ...]:
        """Return the open associations, oldest first."""
        with self._changed:
            return tuple(self._live.values())

    def open_ones(self) -> tuple[OpenAssociation, ...]:
        """Return the open associations as the limits count them."""
        return tuple(
            OpenAssociation(live.receiver.label, live.peer, live.calling_ae_title)
            for live in self.live()
        )

    def statuses(self) -> tuple[AssociationStatus, ...]:
        """Return the open associations as the console shows them, oldest first."""
        second = int(self._clock.monotonic())
        everything = self.live()
        with self._changed:
            return tuple(live.status(second) for live in everything)

    def ended(self) -> tuple[AssociationStatus, ...]:
        """Return recently ended and rejected associations, newest first.

        Those that ended within the last seconds keep their rate: so the rates of all associations
        add up to that of the engine.
        """
        second = int(self._clock.monotonic())
        with self._changed:
            lately = self._ended_lately
            while lately and second > lately[0][0] + RATE_SECONDS:
                lately.popleft()  # with all that an association keeps
            rates = {live.id: live.ring.throughput(second).bytes_rate for _, live in lately}
            if not any(rates.values()):
                return tuple(self._ended)
            return tuple(replace(one, bytes_rate=rates.get(one.id, 0.0)) for one in self._ended)

    def accepted_by(self, association_id: str) -> tuple[AcceptedUIDs, ...] | None:
        """Return the accepted contexts of an open or lately ended association; None if unknown."""
        with self._changed:
            live = self._live.get(association_id)
            if live is not None:
                return live.accepted
            if any(status.id == association_id for status in self._ended):
                return self._accepted.get(association_id, ())
        return None

    def wait_until_none(self, timeout_seconds: float) -> bool:
        """Wait for the open associations to end; return whether all did."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._live, timeout_seconds)

    def _next_id(self) -> str:
        self._opened += 1
        return f"A-{self._opened:04d}"

    def _report(self, live: LiveAssociation) -> None:
        self._notes.record_hour(live)
        objects, duplicates = live.unreported_objects, live.unreported_duplicates
        filtered = live.unreported_filtered
        if objects or duplicates or filtered:
            counts = {"objects": objects, "duplicates": duplicates, "filtered": filtered}
            event = ObjectsStored(**_about(live), **counts, bytes=live.unreported_bytes)
            live.unreported_objects = live.unreported_duplicates = live.unreported_bytes = 0
            live.unreported_filtered = 0
            self._journal.record(event)


def _ending(live: LiveAssociation, end: AssociationEnd, seconds: float) -> Event:
    about = _about(live)
    if end is AssociationEnd.RELEASED:
        return AssociationReleased(**about, objects=live.objects, bytes=live.bytes, seconds=seconds)
    return AssociationAborted(
        **about, objects=live.objects, bytes=live.bytes, seconds=seconds, why=live.why
    )


def _about(live: LiveAssociation) -> _EventFields:
    return {
        "receiver": live.receiver.label,
        "calling_ae_title": live.calling_ae_title,
        "association": live.id,
    }


class AssociationControl:
    """Contexts and abort of associations by their number, for the console; for all threads."""

    def __init__(self, associations: Associations, report: Callable[[Event], object]) -> None:
        self._associations = associations
        self._record_event = report

    def contexts(self, association_id: str) -> tuple[AcceptedContext, ...]:
        """Return the accepted presentation contexts, in the order of their ids."""
        accepted = self._associations.accepted_by(association_id)
        if accepted is None:
            raise NotFound(
                f"association {association_id} is not known any more",
                "only live associations and those that ended lately are kept",
            )
        return named_contexts(accepted)

    def abort(self, association_id: str, actor: str) -> None:
        """Abort a live association; the journal records who did."""
        live = next((a for a in self._associations.live() if a.id == association_id), None)
        if live is None:
            raise NotFound(f"association {association_id} has ended", "nothing needs to be aborted")
        # Before the abort, so that the log has the cause above its effect.
        self._record_event(AssociationAbortAsked(association=association_id, by=actor))
        self._associations.abort(live, f"aborted by {actor}")
