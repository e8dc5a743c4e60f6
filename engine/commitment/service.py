"""Takes requests for storage commitment, and sees to it that each gets its answer.

A request is on the disk before its N-ACTION is answered. One thread starts what is due, a few
threads do it: look the objects up, then deliver the report. A report goes out on the association of
the request while that is open, then on any other one of the same caller, then on a new association
to the peer of that name. It is tried again, ever later, until it is too old.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.api.commitments import CommitmentState
from engine.commitment.lookup import CommitmentLookup, SessionBusy
from engine.commitment.peers import peer_to_call
from engine.dimse.commands import N_EVENT_REPORT, RetryDecision, retry_decision, status_in_words
from engine.dimse.commitment import (
    REASONS,
    CommitmentReport,
    Reference,
    encode_report,
)
from engine.dimse.contexts import COMMITMENT_CONTEXTS, STORAGE_COMMITMENT
from engine.dimse.scu import OutgoingAssociation, call
from engine.errors import AssociationBroken, ConfigurationError, PeerError, StorageUnusable
from engine.events.commitment import (
    CommitmentDelivered,
    CommitmentGivenUp,
    CommitmentNotDelivered,
    CommitmentRequested,
    ObjectsNotCommitted,
)
from engine.events.repeats import should_report_repeat
from engine.index.arrivals import Arrivals
from engine.model.peer import PeerDeadlines
from engine.settings import Durability
from engine.state.commitments import TARGET, Commitments
from engine.state.outbox import RetryRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Event
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.store import SessionIndex
    from engine.metrics import Metrics
    from engine.model.configuration import Configuration
    from engine.model.peer import Peer
    from engine.sessions.trash import ExpiryClock
    from engine.settings import EngineSettings
    from engine.state.commitments import Commitment, CommitmentItem, NewCommitment
    from engine.storage.areas import Areas

THREADS = 4
"""One that waits for a peer does not hold up the others."""
ITEMS_AT_ONCE = 64
REPORT_SECONDS = 10.0
"""How long the answer to a report may take on an association that the caller has opened."""
LEAVING = timedelta(seconds=0.25)
"""How long the association of a request is left alone: its requestor may release it at once.

It may not answer a report that crosses its A-RELEASE-RQ (PS3.8 7.2.2), and some abort then.
"""
GREETING_SECONDS = 1.0
"""How long a new association of a caller is left alone, which may begin to send at once."""
BUSY_SECONDS = 2.0
"""Pause while a session is being worked on."""
INDEX_SECONDS = 10.0
"""How long the rows of objects that came before a request may take."""
UNKNOWN_SECONDS = 3600.0
"""Pause while there is nobody to call; what may change that ends it."""
STORAGE_SECONDS = 10.0
KEPT = timedelta(days=30)
"""How long requests that are done are listed."""
RETRIES = RetryRule(longest_seconds=600)

_logger = logging.getLogger(__name__)


class ReportContext(NamedTuple):
    """A presentation context for reports on an open association."""

    association: str
    id: int
    transfer_syntax_uid: str


class OpenAssociations(Protocol):
    """The open associations of callers; for any thread."""

    def commitment_context(self, association: str) -> ReportContext | None:
        """Return the context of an association; None if it has none or is closed."""
        ...

    def commitment_context_of(self, calling: str, receiver: str) -> ReportContext | None:
        """Return the context of the newest association of a caller with a receiver."""
        ...

    def send_report(
        self, context: ReportContext, number: int, event_type: int, data_set: bytes
    ) -> None:
        """Send a report; `CommitmentService.answered` or `.closed` follows."""
        ...


class CommitmentService:
    """The storage commitments of one engine; every method may be called from any thread."""

    def __init__(
        self,
        settings: EngineSettings,
        index: SessionIndex,
        areas: Areas,
        journal: Journal,
        metrics: Metrics,
        clock: Clock,
        configuration: Callable[[], Configuration],
        expiry: ExpiryClock,
        associations: OpenAssociations,
        settle: Callable[[], object],
        require_rows: Callable[[int], object] | None = None,
    ) -> None:
        """Open the table; nothing runs yet.

        Args:
            settings: of the engine.
            index: where the rows of objects are.
            areas: where their files are.
            journal: records events.
            metrics: counts results.
            clock: the engine's.
            configuration: the one in force.
            expiry: the clock by which reports become too old.
            associations: those that are open.
            settle: returns when the rows of all answered objects are on their way to the index.
            require_rows: as `Arrivals` takes it.

        Raises:
            StorageUnusable: if table or index can't be used.
        """
        self._index, self._journal, self._metrics, self._clock = index, journal, metrics, clock
        self._configuration, self._expiry = configuration, expiry
        self._associations, self._settle = associations, settle
        self._max_age = timedelta(hours=settings.commitment_hours)
        self._lock = threading.Lock()
        """Guards what is below."""
        self._busy = set[int]()
        """Items that a thread works on."""
        self._reported: dict[int, str] = {}
        """The association that a request's report was sent on last."""
        self._callers = frozenset[tuple[str, str]]()
        """Caller and receiver of what waits."""
        self._calls = set[OutgoingAssociation]()
        """Associations that are open with peers."""
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="commitment")
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="commitment")
        # One thread: the answer to a report comes before the end of its association.
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="commitment-notes")
        # What is open is closed again if a later step fails.
        with ExitStack() as resources:
            self._table = Commitments(settings.state_file)
            resources.callback(self._table.close)
            arrivals = Arrivals(settings.index_file, require_rows)
            resources.callback(arrivals.close)
            flushes = settings.durability is not Durability.FULL
            self._lookup = CommitmentLookup(arrivals, areas, flushes=flushes)
            self._table.forget_waits()
            self._callers = self._table.callers()
            self._open = resources.pop_all()

    def start(self) -> None:
        """Begin to answer."""
        # All threads now: a process that may have no more of them fails at its start, not later.
        for pool, size in ((self._pool, THREADS), (self._notes, 1)):
            started = threading.Barrier(size + 1)
            for _ in range(size):
                pool.submit(started.wait)
            started.wait()
        self._thread.start()

    def stop(self) -> None:
        """End all threads; what is not done stays in the table."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            calls = tuple(self._calls)
        for association in calls:
            association.hang_up()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._notes.shutdown()

    def close(self) -> None:
        """Close table and index."""
        self._open.close()

    def notify(self) -> None:
        """Look for what is due now, such as after a request of another process."""
        self._wake.set()

    def waiting(self) -> int:
        """Return how many requests are not done."""
        return self._table.waiting()

    def apply(self) -> None:
        """Try all reports again: peers have changed."""
        self._later(self._table.forget_waits)

    # Called by the reception.

    def take(self, new: NewCommitment) -> None:
        """Keep a request; it is on the disk when this returns.

        Raises:
            StorageUnusable: if it can't be kept, or too many wait.
        """
        number = self._table.put(new, self._clock.now())
        with self._lock:
            self._callers |= {(new.calling_ae_title, new.receiver)}
            self._reported.pop(number, None)
        self._journal.record(
            CommitmentRequested(
                receiver=new.receiver,
                calling_ae_title=new.calling_ae_title,
                association=new.association,
                number=number,
                objects=len(new.references),
            )
        )
        self._wake.set()

    def answered(self, number: int, status: int) -> None:
        """Take the answer to a report on an open association."""
        self._later(partial(self._take_answer, number, status))

    def opened(self, calling: str, receiver: str) -> None:
        """Note that a caller has opened an association with a context for reports."""
        if (calling, receiver) in self._callers:
            self._later(partial(self._greet, calling, receiver))

    def closed(self, association: str) -> None:
        """Note that an association is closed."""
        # Not locked for the look: nearly always there is nothing.
        if association in self._reported.copy().values():
            self._later(partial(self._take_end, association))

    def _later(self, work: Callable[[], object]) -> None:
        """Do what may wait for the disk, on another thread, then look for what is due."""

        def do() -> None:
            try:
                work()
            except StorageUnusable:
                _logger.warning("storage commitment: the state database can't be used")
            self._wake.set()

        with suppress(RuntimeError):  # the engine stops
            self._notes.submit(do)

    def _take_answer(self, number: int, status: int) -> None:
        if retry_decision(status) is RetryDecision.DONE:
            with self._lock:
                association = self._reported.pop(number, "")
            self._note_delivered(number, f"on association {association}")
        else:
            self._table.make_due([number], self._clock.now())

    def _greet(self, calling: str, receiver: str) -> None:
        numbers = self._table.waiting_of(calling, receiver)
        self._table.make_due(numbers, self._clock.now() + timedelta(seconds=GREETING_SECONDS))

    def _take_end(self, association: str) -> None:
        with self._lock:
            numbers = [n for n, one in self._reported.items() if one == association]
        self._table.make_due(numbers, self._clock.now())

    # On the thread `commitment`.

    def _run(self) -> None:
        tidy_at = 0.0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                if self._clock.monotonic() >= tidy_at:
                    tidy_at = self._clock.monotonic() + UNKNOWN_SECONDS
                    self._table.forget_done(self._expiry.now() - KEPT)
                seconds = self._start_due()
            except StorageUnusable as error:
                _logger.warning("storage commitment: %s; trying again", error.detail)
                seconds = STORAGE_SECONDS
            except Exception:
                _logger.exception("storage commitment failed; trying again")
                seconds = STORAGE_SECONDS
            self._wake.wait(seconds)

    def _start_due(self) -> float:
        """Start what is due; return the seconds until more may be."""
        now = self._clock.now()
        latest = now + timedelta(seconds=UNKNOWN_SECONDS)
        with self._lock:
            limit = ITEMS_AT_ONCE + len(self._busy)
        for item in self._table.due(TARGET, now, limit, latest):
            with self._lock:
                if item.id in self._busy:
                    continue
                self._busy.add(item.id)
            with suppress(RuntimeError):  # the engine stops
                self._pool.submit(self._do, item)
        with self._lock:
            if self._busy:
                return BUSY_SECONDS  # those are still due in the table
        following = self._table.next_due(TARGET)
        seconds = (following - now).total_seconds() if following else UNKNOWN_SECONDS
        return min(max(seconds, 0.01), UNKNOWN_SECONDS)

    # On a thread of the pool.

    def _do(self, item: CommitmentItem) -> None:
        try:
            self._answer(item)
        except StorageUnusable as error:
            _logger.warning("storage commitment: %s; trying again", error.detail)
            self._stopping.wait(BUSY_SECONDS)
        except Exception:
            # An unforeseen fault of one request must not end the others.
            _logger.exception("a storage commitment failed; trying again")
            self._stopping.wait(BUSY_SECONDS)
        finally:
            with self._lock:
                self._busy.discard(item.id)
            self._wake.set()

    def _answer(self, item: CommitmentItem) -> None:
        commitment = self._table.get(item.commitment)
        if commitment is None:
            self._table.end(item.id)
            return
        if datetime.fromisoformat(item.queued_at) < self._expiry.now() - self._max_age:
            self._give_up(commitment, item)
            return
        if commitment.state is CommitmentState.ASKED:
            try:
                commitment = self._looked_up(commitment)
            except SessionBusy as error:
                self._postpone(item, BUSY_SECONDS, str(error))
                return
        self._deliver(commitment, item)

    def _looked_up(self, commitment: Commitment) -> Commitment:
        """Return the request with its result, which is noted."""
        self._settle()
        # Not for ever: while the disk is full, the engine must be able to stop.
        if not self._index.flush(INDEX_SECONDS):
            raise SessionBusy("the index is behind")
        failures = self._lookup.failures(commitment.references)
        self._table.note_result(commitment.id, failures, self._clock.now())
        total = len(commitment.references)
        self._metrics.record_commitment(total - len(failures), len(failures))
        if failures:
            counts = Counter(failures.values()).items()
            reasons = ", ".join(f"{n:,} {REASONS.get(reason, hex(reason))}" for reason, n in counts)
            event = partial(ObjectsNotCommitted, failed=len(failures), reasons=reasons)
            self._record(partial(event, objects=total), commitment)
        return commitment._replace(failures=failures)

    def _deliver(self, commitment: Commitment, item: CommitmentItem) -> None:
        report = report_of(commitment)
        with self._lock:
            tried = self._reported.get(commitment.id)
        asked, caller = commitment.association, commitment.calling_ae_title
        contexts = (
            self._associations.commitment_context(asked),
            self._associations.commitment_context_of(caller, commitment.receiver),
        )
        context = next((one for one in contexts if one and one.association != tried), None)
        age = self._clock.now() - datetime.fromisoformat(item.queued_at)
        if context is not None and context.association == asked and age < LEAVING:
            self._postpone(item, (LEAVING - age).total_seconds(), "just asked")
            return
        if context is not None:
            with self._lock:
                self._reported[commitment.id] = context.association
            # Before it is sent: its answer may come at once.
            reason = f"sent on association {context.association}, not answered yet"
            self._postpone(item, REPORT_SECONDS, reason)
            data_set = encode_report(report, context.transfer_syntax_uid)
            self._associations.send_report(context, commitment.id, report.event_type, data_set)
            return
        peer = peer_to_call(self._configuration(), caller, commitment.called_ae_title)
        if peer is None:
            reason = f"no peer {caller} is known; add it with: peers add, or wait for its next call"
            self._postpone(item, UNKNOWN_SECONDS, reason)
            return
        try:
            self._call(peer, report)
        except (PeerError, ConfigurationError) as error:
            # Ended by our own stop: no attempt.
            if not self._stopping.is_set():
                self._try_again(commitment, item, error.detail)
        else:
            self._note_delivered(commitment.id, f"on a new association to {peer}")

    def _call(self, peer: Peer, report: CommitmentReport) -> None:
        """Send a report on a new association.

        Raises:
            PeerError: if the peer does not take it.
            InvalidReceiver: if a certificate file can't be used.
        """
        provided = (str(STORAGE_COMMITMENT),)
        with call(peer, COMMITMENT_CONTEXTS, PeerDeadlines(), provided=provided) as association:
            with self._lock:
                self._calls.add(association)
            try:
                answer = association.ask_commitment(
                    N_EVENT_REPORT, report.event_type, partial(encode_report, report)
                )
            finally:
                with self._lock:
                    self._calls.discard(association)
        if retry_decision(answer.status) is not RetryDecision.DONE:
            raise AssociationBroken(f"{peer} answers {status_in_words(answer.status)}")

    def _try_again(self, commitment: Commitment, item: CommitmentItem, reason: str) -> None:
        attempts = item.attempts + 1
        now, chance = self._clock.now(), random.random()
        self._table.try_again(item.id, attempts, reason, now, RETRIES, chance)
        if should_report_repeat(attempts):
            event = partial(CommitmentNotDelivered, reason=reason, attempts=attempts)
            self._record(event, commitment)

    def _give_up(self, commitment: Commitment, item: CommitmentItem) -> None:
        row = self._table.row(commitment.id)
        why = f": {row.reason}" if row and row.reason else ""
        reason = f"not delivered within {self._max_age.total_seconds() / 3600:.0f} hours{why}"
        self._table.give_up(item, reason, self._clock.now())
        self._forget(commitment.id)
        self._record(partial(CommitmentGivenUp, reason=reason), commitment)

    def _note_delivered(self, number: int, how: str) -> None:
        self._table.delivered(number, self._clock.now())
        self._forget(number)
        commitment = self._table.get(number)
        if commitment is not None:
            failed = len(commitment.failures)
            committed = len(commitment.references) - failed
            event = partial(CommitmentDelivered, committed=committed, failed=failed, how=how)
            self._record(event, commitment)

    def _forget(self, number: int) -> None:
        callers = self._table.callers()
        with self._lock:
            self._reported.pop(number, None)
            self._callers = callers

    def _postpone(self, item: CommitmentItem, seconds: float, reason: str) -> None:
        until = self._clock.now() + timedelta(seconds=seconds)
        self._table.postpone(item.id, until, reason, attempts=0)

    def _record(self, event: Callable[..., Event], commitment: Commitment) -> None:
        self._journal.record(
            event(
                receiver=commitment.receiver,
                calling_ae_title=commitment.calling_ae_title,
                association=commitment.association,
                number=commitment.id,
            )
        )


def report_of(commitment: Commitment) -> CommitmentReport:
    """Return what a requestor is to be told."""
    committed, failed = list[Reference](), list[tuple[Reference, int]]()
    for place, names in enumerate(commitment.references):
        reason = commitment.failures.get(place, 0)
        reference = Reference(*names)
        if reason:
            failed.append((reference, reason))
        else:
            committed.append(reference)
    return CommitmentReport(commitment.transaction_uid, tuple(committed), tuple(failed))
