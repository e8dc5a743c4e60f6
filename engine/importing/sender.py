"""Sends what is found to a receiver, over several associations at once.

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
from engine.dimse.requestor import REMEDY
from engine.errors import (
    AssociationBroken,
    AssociationRefused,
    ContextRefused,
    PeerFull,
    UnreadableObject,
)
from engine.importing.found import FoundObject, Outcome
from engine.importing.outcomes import Answered, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.dimse.acse import Context
    from engine.dimse.scu import OutgoingAssociation
    from engine.importing.found import Found
    from engine.importing.outcomes import Outcomes

_POLL_SECONDS = 0.1
_AHEAD = 2
"""So many objects are opened ahead for each association."""
_TRIES_OF_OBJECT = 3
"""So often an object may be begun: a restarted engine costs one, its own fault costs all."""
_TRANSIENT = 2
"""The result of an A-ASSOCIATE-RJ that may be another one the next time (PS3.8 9.3.4)."""
_TRIES, _BETWEEN_TRIES_SECONDS = 10, 1.0


@dataclass(slots=True)
class _RecentContexts:
    """The contexts of the last objects, newest last; no more than an association may have."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    known: OrderedDict[Context, None] = field(default_factory=OrderedDict)

    def including(self, context: Context) -> list[Context]:
        """Return the contexts to propose, with this one among them."""
        with self.lock:
            self.known[context] = None
            self.known.move_to_end(context)
            while len(self.known) > MAX_CONTEXTS:
                self.known.popitem(last=False)
            return list(self.known)


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
        outcomes: Outcomes,
        jobs: int,
    ) -> None:
        """Take what makes an association, and how many there may be at once."""
        self._call = call
        self._outcomes = outcomes
        self._jobs = jobs
        self._contexts = _RecentContexts()
        self._changed = threading.Condition()
        self._waiting: deque[FoundObject] = deque()
        self._busy = 0
        """How many threads send, or wait for an object."""
        self._open = 0
        """How many associations are open."""
        self._is_all = False
        """Whether nothing more is found."""
        self._ended = threading.Event()
        """Set when nothing more is to be sent."""
        self._why: Exception | None = None
        """Why nothing more can be sent."""
        self._done: deque[Result] = deque()
        self._polled = 0.0

    def run(self, found: Iterable[Found]) -> Iterator[Result]:
        """Send everything, and yield what becomes of it, in no order.

        Raises:
            PeerError: if nothing more can be sent; after all results that there are.
            KeyboardInterrupt: likewise, after the objects that were being sent.
            StorageUnusable: if the index can't be read.
        """
        interrupted: KeyboardInterrupt | None = None
        threads = [
            threading.Thread(target=self._work, name=f"import-{n}", daemon=True)
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
        while not self._outcomes.are_complete:
            yield from self._ready()
            time.sleep(_POLL_SECONDS / 10)
        yield from self._ready(at_once=True)
        if interrupted or self._why:
            raise interrupted or self._why or AssertionError

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

    def _ready(self, *, at_once: bool = False) -> Iterator[Result]:
        while self._done:
            yield self._done.popleft()
        now = time.monotonic()
        if at_once or now - self._polled >= _POLL_SECONDS:
            self._polled = now
            yield from self._outcomes.ready(now)

    def _end(self) -> None:
        with self._changed:
            self._is_all = True
            self._changed.notify_all()

    # On the threads of the associations.

    def _work(self) -> None:
        one: FoundObject | None = None
        try:
            one = self._next()
            while one is not None:
                with self._association(one.context) as association:
                    one = self._send_all(association, one)
        except Exception as error:  # the border of the thread: `run` raises it
            self._stop(error)
        finally:
            if one is not None:
                one.close()
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
    def _association(self, context: Context) -> Iterator[_Association]:
        contexts = self._contexts.including(context)
        with self._called(contexts) as peer:
            with self._changed:
                self._open += 1
            try:
                yield _Association(peer, frozenset(contexts), peer.address)
            finally:
                with self._changed:
                    self._open -= 1

    def _called(self, contexts: Sequence[Context]) -> OutgoingAssociation:
        """Associate; where a limit is reached, wait while other associations of ours are open."""
        tries = 0
        while True:
            try:
                return self._call(contexts)
            except AssociationRefused as error:
                tries += not self._open
                if error.result != _TRANSIENT or tries >= _TRIES:
                    raise
                if self._ended.wait(_BETWEEN_TRIES_SECONDS):
                    raise

    def _send_all(self, association: _Association, one: FoundObject) -> FoundObject | None:
        """Send objects until one needs another association; return that one, None at the end."""
        following: FoundObject | None = one
        while following is not None:
            one = following
            if one.context not in association.proposed:
                return one
            one.tries += 1
            try:
                self._send(association, one)
            except AssociationBroken as error:
                if one.tries < _TRIES_OF_OBJECT and one.content.can_repeat:
                    return one
                self._report(one, Outcome.FAILED, error.detail)
                return self._next()
            following = self._next()
        return None

    def _send(self, association: _Association, one: FoundObject) -> None:
        # It may have ended since the last object, as an idle one does.
        if not association.peer.is_quiet():
            raise AssociationBroken("the receiver ended the association", REMEDY)
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
        status = answer.status
        is_done = retry_decision(status) is Retry.DONE
        words = "" if status == SUCCESS else answer.comment or status_in_words(status)
        result = Result(
            *(one.name, Outcome.STORED if is_done else Outcome.FAILED, words, uid, status),
            sent_bytes=one.data_set_bytes,
            read_bytes=one.read_bytes,
        )
        self._outcomes.expect(association.address, Answered(result, time.monotonic()))
        one.close()
        if is_peer_full(status):
            remedy = "free space, then go on with --resume"
            self._stop(PeerFull(f"the receiver has no room: {words}", remedy))

    def _report(self, one: FoundObject, outcome: Outcome, reason: str) -> None:
        uid = one.head.sop_instance_uid
        self._done.append(Result(one.name, outcome, reason, uid, read_bytes=one.read_bytes))
        one.close()
        with self._changed:
            self._changed.notify_all()
