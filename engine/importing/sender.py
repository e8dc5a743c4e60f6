"""Sends what is found to a peer, over several associations at once.

The caller's thread finds the objects and gets the results. Each other thread has one association.
It proposes what the last objects needed, and associates anew when an object needs something else:
what is still to come is not known.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.dimse.acse import MAX_CONTEXTS
from engine.dimse.commands import SUCCESS, is_peer_full, retry_decision, status_in_words
from engine.dimse.commands import RetryDecision as Retry
from engine.dimse.commitment import Reference
from engine.dimse.contexts import COMMITMENT_CONTEXTS
from engine.errors import (
    AssociationBroken,
    AssociationRefused,
    ContextRefused,
    PeerError,
    PeerFull,
    UnreadableObject,
)
from engine.importing.commitment import ASKED_AT_ONCE, not_committed
from engine.importing.found import FoundObject, Outcome
from engine.importing.outcomes import Answered, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.dimse.acse import Context
    from engine.dimse.scu import OutgoingAssociation
    from engine.importing.commitment import Commitment
    from engine.importing.found import Found
    from engine.importing.outcomes import Outcomes

    _Stored = list[tuple[Reference, Result]]
    """Objects of which the peer is still to be asked whether it commits to them."""

_POLL_SECONDS = 0.1
_AHEAD = 2
"""So many objects are opened ahead for each association."""
_TRIES_OF_OBJECT = 3
"""So often an object may be begun: a restarted peer costs one, its own fault costs all."""
_MOST_GIVEN_UP = 3
"""After so many objects in a row that cost all their tries, it is not the objects."""
_TRANSIENT = 2
"""The result of an A-ASSOCIATE-RJ that may be another one the next time (PS3.8 9.3.4)."""
_TRIES, _BETWEEN_TRIES_SECONDS = 10, 1.0


@dataclass(slots=True)
class _RecentContexts:
    """The contexts of the last objects, newest last; no more than an association may have."""

    more: Sequence[Context]
    """Other ones, which every association has."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: OrderedDict[Context, None] = field(default_factory=OrderedDict)

    def including(self, context: Context | None) -> list[Context]:
        """Return the contexts to propose, with this one among them."""
        with self.lock:
            if context is not None and context not in self.more:
                self.known[context] = None
                self.known.move_to_end(context)
            while len(self.known) > MAX_CONTEXTS - len(self.more):
                self.known.popitem(last=False)
            return [*self.known, *self.more]


@dataclass(frozen=True, slots=True)
class _Association:
    """The association of one thread, and what it proposed."""

    peer: OutgoingAssociation
    proposed: frozenset[Context]
    address: str


class Sender:
    """Sends objects over several associations; used once."""

    def __init__(
        self,
        call: Callable[[Sequence[Context]], OutgoingAssociation],
        outcomes: Outcomes | None,
        jobs: int,
        commitment: Commitment | None = None,
    ) -> None:
        """Take how to reach the peer.

        Args:
            call: makes an association.
            outcomes: what an answer comes to; None if the answer of the peer is all there is.
            jobs: how many associations there may be at once.
            commitment: how the peer is asked whether it commits to what it has stored; None if it
                is not asked.
        """
        self._call = call
        self._outcomes = outcomes
        self._jobs = jobs
        self._commitment = commitment
        self._contexts = _RecentContexts(COMMITMENT_CONTEXTS if commitment is not None else ())
        self._changed = threading.Condition()
        self._waiting: deque[FoundObject] = deque()
        self._busy = 0
        """How many threads send, or wait for an object."""
        self._open = 0
        """How many associations are open, or being opened."""
        self._is_all = False
        """Whether nothing more is found."""
        self._ended = threading.Event()
        """Set when nothing more is to be sent."""
        self._why: Exception | None = None
        """Why nothing more can be sent."""
        self._has_answered = False
        """Whether the peer has answered any object."""
        self._given_up = 0
        """Objects in a row that cost all their tries."""
        self._broken: AssociationBroken | None = None
        """The error of the last of these."""
        self._done: deque[Result] = deque()
        self.awaiting = 0
        """Stored objects of which the peer has not said yet whether it commits to them."""
        self._polled = 0.0
        self._meanwhile: Callable[[], object] = lambda: None

    def run(
        self, found: Iterable[Found], meanwhile: Callable[[], object] = lambda: None
    ) -> Iterator[Result]:
        """Send everything, and yield what becomes of it, in no order.

        Args:
            found: what is sent; taken one by one, on the caller's thread.
            meanwhile: called a few times a second while there is no result.

        Raises:
            PeerError: if nothing more can be sent; after all results that there are.
            KeyboardInterrupt: likewise, after the objects that were being sent.
            StorageUnusable: if the index can't be read.
        """
        self._meanwhile = meanwhile
        interrupted: KeyboardInterrupt | None = None
        threads = [
            threading.Thread(target=self._work, name=f"send-{n}", daemon=True)
            for n in range(self._jobs)
        ]
        self._busy = len(threads)
        for thread in threads:
            thread.start()
        try:
            yield from self._feed(found)
            self._end()
            while self._busy:
                self._wait()
                yield from self._ready()
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
        finally:
            # What is being sent is sent to its end: half an object would be a failed one.
            self._ended.set()
            self._end()
            for thread in threads:
                thread.join()
            while self._waiting:
                self._waiting.popleft().close()
        yield from self._ready(at_once=True)
        # Rows are written by another process, and SQLite tells nobody of a change: so the index is
        # asked again and again. It has 5 s for each row, then the answer is the outcome.
        while self._outcomes is not None and not self._outcomes.are_complete:
            time.sleep(_POLL_SECONDS / 5)
            yield from self._ready(at_once=True)
        why = interrupted or self._why or (None if self._has_answered else self._broken)
        if why is not None:
            raise why

    def _feed(self, found: Iterable[Found]) -> Iterator[Result]:
        for one in found:
            if not isinstance(one, FoundObject):
                yield Result(one.name, one.outcome, one.reason, read_bytes=one.read_bytes)
                continue
            with self._changed:
                self._waiting.append(one)
                self._changed.notify_all()
            while self._must_wait(one):
                self._wait()
                yield from self._ready()
            if self._ended.is_set():
                return
            yield from self._ready()

    def _must_wait(self, one: FoundObject) -> bool:
        """Tell whether the next object must not be asked for yet."""
        if not self._busy:
            return False
        if len(self._waiting) >= self._jobs * _AHEAD:
            return True
        # The archive goes on only when this one is read.
        return not (one.content.can_repeat or one.closed.is_set())

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait(_POLL_SECONDS)
        self._meanwhile()

    def _ready(self, *, at_once: bool = False) -> Iterator[Result]:
        while self._done:
            yield self._done.popleft()
        now = time.monotonic()
        if self._outcomes is not None and (at_once or now - self._polled >= _POLL_SECONDS):
            self._polled = now
            yield from self._outcomes.ready(now)

    def _end(self) -> None:
        with self._changed:
            self._is_all = True
            self._changed.notify_all()

    # On the threads of the associations.

    def _work(self) -> None:
        one: FoundObject | None = None
        stored: _Stored = []
        why = "the run ended before it was asked for"
        try:
            one = self._next()
            while one is not None or (stored and not self._ended.is_set()):
                is_for_commitment = one is None
                with self._association(one.context if one is not None else None) as association:
                    one = self._send_all(association, one, stored)
                    if one is None and (is_for_commitment or association.peer.is_quiet()):
                        self._ask_commitment(association, stored)
        except Exception as error:  # the border of the thread: `run` raises it
            self._stop(error)
            why = error.detail if isinstance(error, PeerError) else why
        finally:
            if one is not None:
                one.close()
            self._tell(not_committed(result, why) for _, result in stored)
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _next(self) -> FoundObject | None:
        """Wait for an object; None if there are no more."""
        with self._changed:
            while not (self._waiting or self._is_all or self._ended.is_set()):
                self._changed.wait()
            if self._ended.is_set() or not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def _stop(self, error: Exception) -> None:
        with self._changed:
            self._why = self._why or error
            self._ended.set()
            self._changed.notify_all()

    @contextmanager
    def _association(self, context: Context | None) -> Iterator[_Association]:
        contexts = self._contexts.including(context)
        peer = self._called(contexts)
        try:
            with peer:
                yield _Association(peer, frozenset(contexts), peer.address)
        finally:
            self._count_open(-1)

    def _called(self, contexts: Sequence[Context]) -> OutgoingAssociation:
        """Associate; while other associations of ours are open, a failure may be due to a limit.

        There are peers that reject for that for good, and peers that let a second one wait.
        """
        tries = 0
        while True:
            self._count_open(1)
            try:
                return self._call(contexts)
            except Exception as error:
                self._count_open(-1)
                is_limit = isinstance(error, AssociationRefused) and error.result == _TRANSIENT
                tries += not self._open
                is_last = tries >= (_TRIES if is_limit else 1) or not isinstance(error, PeerError)
                if is_last or self._ended.wait(_BETWEEN_TRIES_SECONDS):
                    raise

    def _count_open(self, change: int) -> None:
        with self._changed:
            self._open += change

    def _send_all(
        self, association: _Association, one: FoundObject | None, stored: _Stored
    ) -> FoundObject | None:
        """Send objects until one needs another association; return that one, None at the end."""
        following = one
        while following is not None:
            one = following
            if one.context not in association.proposed:
                return one
            one.tries += 1
            try:
                self._send(association, one, stored)
            except AssociationBroken as error:
                if one.tries < _TRIES_OF_OBJECT and one.content.can_repeat:
                    return one
                self._give_up(one, error)
                return self._next()
            following = self._next()
            # It may have ended since, as an idle one does: that costs the next object no try.
            if following is not None and not association.peer.is_quiet():
                return following
        return None

    def _give_up(self, one: FoundObject, error: AssociationBroken) -> None:
        """Report an object that cost all its tries; end the run if all objects do."""
        self._report(one, Outcome.FAILED, error.detail)
        with self._changed:
            self._given_up += 1
            self._broken = error
            is_peer = self._given_up >= _MOST_GIVEN_UP
        if is_peer:
            self._stop(error)

    def _send(self, association: _Association, one: FoundObject, stored: _Stored) -> None:
        uid = one.head.sop_instance_uid
        try:
            answer = association.peer.store(one.context, uid, one.data_set(), one.data_set_bytes)
        except ContextRefused as error:
            self._report(one, Outcome.REFUSED, error.detail)
            return
        except UnreadableObject as error:
            self._report(one, Outcome.UNREADABLE, error.detail)
            return
        except OSError as error:
            words = error.strerror or type(error).__name__
            self._report(one, Outcome.UNREADABLE, f"can't be read: {words.lower()}")
            return
        with self._changed:
            self._has_answered, self._given_up = True, 0
        status = answer.status
        is_done = retry_decision(status) is Retry.DONE
        comment = f": {answer.comment}" if answer.comment else ""
        words = "" if status == SUCCESS else f"{status_in_words(status)}{comment}"
        result = Result(
            *(one.name, Outcome.STORED if is_done else Outcome.FAILED, words, uid, status),
            sent_bytes=one.data_set_bytes,
            read_bytes=one.read_bytes,
        )
        one.close()
        if is_done and self._commitment is not None:
            stored.append((Reference(one.head.sop_class_uid, uid), result))
            with self._changed:
                self.awaiting += 1
            if len(stored) >= ASKED_AT_ONCE:
                self._ask_commitment(association, stored)
        elif self._outcomes is not None:
            self._outcomes.expect(association.address, Answered(result, time.monotonic()))
        else:
            self._tell([result])
        if is_peer_full(status):
            remedy = "free space, then go on with --resume"
            self._stop(PeerFull(f"the peer has no room: {words}", remedy))

    def _ask_commitment(self, association: _Association, stored: _Stored) -> None:
        if self._commitment is not None and stored:
            self._tell(self._commitment.outcomes(association.peer, stored, self._ended.is_set))
            with self._changed:
                self.awaiting -= len(stored)
            stored.clear()

    def _report(self, one: FoundObject, outcome: Outcome, reason: str) -> None:
        uid = one.head.sop_instance_uid
        result = Result(one.name, outcome, reason, uid, read_bytes=one.read_bytes)
        one.close()
        self._tell([result])

    def _tell(self, results: Iterable[Result]) -> None:
        with self._changed:
            self._done.extend(results)
            self._changed.notify_all()
