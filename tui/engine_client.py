"""The console's only way to the engine: snapshots, events, calls, and answers that are kept.

`EngineClient` asks on threads and is awaited on the UI thread. The subscribed callable runs on
engine threads and only posts a message.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, TypeVarTuple

from textual.message import Message

from engine.errors import EngineError
from tui.late_engine import EngineStarting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot, EngineView, ReceiverStatus
    from engine.api.forwarding import DestinationStatus
    from engine.events import RecordedEvent
    from engine.model.processor import Processor

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EVENTS_KEPT = 10_000
PAGE = 500
MAX_PAGES = 4
"""Pages of events per look, so that a burst never holds the screen."""
MAX_TOLD = 200
SITE = -1
"""In place of a receiver's id: the whole installation."""
CONSOLES = -2
"""In place of a receiver's id: other consoles."""
URGENT_EVENT_SECONDS = 60
"""The same news about the same receiver is not told again for so long."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What one look at the engine brought."""

    snapshot: EngineSnapshot | None = None
    """The newest one there is; None before the first answer."""
    silent: bool = False
    """The engine did not answer, so `snapshot` is old."""
    events: tuple[RecordedEvent, ...] = ()
    """Newest first."""
    dropped: int = 0
    """Events that were gone before they could be read."""

    @property
    def silent_since(self) -> datetime | None:
        """When the engine answered last, if it does not any more."""
        return self.snapshot.taken_at if self.silent and self.snapshot else None

    def receiver(self, receiver_id: int | None) -> ReceiverStatus | None:
        """Return the receiver with this id, if it (still) exists."""
        receivers = self.snapshot.receivers if self.snapshot else ()
        return next((s for s in receivers if s.receiver.id == receiver_id), None)


class UrgentEvent(Message):
    """An urgent event, told by an engine thread."""

    def __init__(self, recorded: RecordedEvent) -> None:
        super().__init__()
        self.recorded = recorded


class ReceiverCommand(Message):
    """Someone asks for an action on a receiver."""

    def __init__(self, action: str, receiver_id: int = 0) -> None:
        super().__init__()
        self.action = action
        self.receiver_id = receiver_id


class AllowRequested(Message):
    """Someone wants to let a rejected caller in."""

    def __init__(self, association: AssociationStatus) -> None:
        super().__init__()
        self.association = association


class AbortRequested(Message):
    """Someone wants to abort live associations."""

    def __init__(
        self, associations: tuple[AssociationStatus, ...], then: Callable[[], None]
    ) -> None:
        """Take the associations and what is done on the UI thread when it was tried."""
        super().__init__()
        self.associations = associations
        self.then = then


class SettingsCommand(Message):
    """Someone asks for an action on a section of the settings, a project or a target."""

    def __init__(self, action: str, section: str, name: str = "") -> None:
        super().__init__()
        self.action = action
        self.section = section
        self.name = name


class ProcessorCommand(Message):
    """Someone asks for an action on a processor."""

    def __init__(self, action: str, processor: Processor | None, then: Callable[[], None]) -> None:
        """Take what to do with which (none for a new one), and what is done when it was tried."""
        super().__init__()
        self.action = action
        self.processor = processor
        self.then = then


class ForwardingCommand(Message):
    """Someone asks for an action on a destination of forward copies."""

    def __init__(
        self,
        action: str,
        destination: DestinationStatus,
        items: tuple[int, ...],
        then: Callable[[], None],
    ) -> None:
        """Take what to do with which objects (all if none is named), and what is done then."""
        super().__init__()
        self.action = action
        self.destination = destination
        self.items = items
        self.then = then


class SwitchRequested(Message):
    """Someone wants the site to allow, or not to allow, DICOM receivers."""

    def __init__(self, *, allowed: bool) -> None:
        super().__init__()
        self.allowed = allowed


class GoRequested(Message):
    """Someone wants to see a screen, filtered by some words."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__()
        self.place = place
        self.words = words


class ReceiverWanted(Message):
    """Someone wants to see the screen of a receiver."""

    def __init__(self, receiver_id: int) -> None:
        super().__init__()
        self.receiver_id = receiver_id


class UndoRequested(Message):
    """Someone wants to take back the newest change of the configuration."""


class RestoreRequested(Message):
    """Someone wants to bring back a revision of the configuration."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class ChoiceRequested(Message):
    """Someone wants to choose one of several commands by name."""

    def __init__(self, placeholder: str, choices: Sequence[tuple[str, Callable[[], None]]]) -> None:
        super().__init__()
        self.placeholder = placeholder
        self.choices = choices


class RefreshRequested(Message):
    """A screen is seen again and wants to show what is known now."""


class EngineStopped(Message):
    """The engine of this process has been stopped, or could not be."""


class EngineLink:
    """Reads an engine for one console; `read` runs on one thread at a time, never the UI's."""

    def __init__(self, engine: EngineView, post: Callable[[Message], object]) -> None:
        self._engine = engine
        self._post = post
        self._unsubscribe: Callable[[], None] | None = None
        self._snapshot: EngineSnapshot | None = None
        self._events: deque[RecordedEvent] = deque(maxlen=EVENTS_KEPT)
        self._next_sequence = 0
        self._dropped = 0
        self._told: dict[tuple[str, str, str], datetime] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to listen for urgent news."""
        self._unsubscribe = self._engine.subscribe(self._on_event)

    def stop(self) -> None:
        """Stop listening."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def read(self) -> EngineState:
        """Look at the engine once; never raises."""
        try:
            self._take(self._engine.snapshot())
            self._read_events()
        except EngineStarting:
            return EngineState()
        except Exception:  # whatever keeps it from answering, the screen must say so and go on
            return EngineState(self._snapshot, True, tuple(self._events), self._dropped)
        return EngineState(self._snapshot, False, tuple(self._events), self._dropped)

    def _take(self, snapshot: EngineSnapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        if before is not None and before.started_at != snapshot.started_at:
            self._next_sequence = 0  # an engine that was started anew counts from the beginning

    def _read_events(self) -> None:
        for _ in range(MAX_PAGES):
            page = self._engine.events_since(self._next_sequence, PAGE)
            self._next_sequence = page.next_sequence
            self._dropped += page.dropped
            self._events.extendleft(page.events)
            if len(page.events) < PAGE:
                break

    def _on_event(self, recorded: RecordedEvent) -> None:
        event = recorded.event
        kind = (type(event).__name__, event.receiver, event.sentence())
        with self._lock:
            told = self._told.get(kind)
            if told is not None and (recorded.at - told).total_seconds() < URGENT_EVENT_SECONDS:
                return
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            self._told[kind] = recorded.at
        self._post(UrgentEvent(recorded))


class NotNow(EngineError):
    """A call is not made: by a read-only console, or as the one before it is not done yet."""

    title = "Not now"


class EngineClient:
    """Asks an engine on threads: looks, and calls of which one at a time is about the same.

    All methods belong to the UI thread, which never waits for the engine.
    """

    def __init__(self, engine: EngineView, link: EngineLink, *, read_only: bool = False) -> None:
        self._engine = engine
        self._link = link
        self._read_only = read_only
        self._stopping = False
        self._looking = asyncio.Lock()
        self._lookers = ThreadPoolExecutor(1, "look")
        """Looks have a thread of their own, so that no number of slow calls holds them up."""
        self._busy: dict[Hashable, asyncio.Future[Any]] = {}
        self._newest: dict[Hashable, object] = {}

    def stop(self) -> None:
        """Make no more calls; those that are made go on."""
        self._stopping = True

    def close(self) -> None:
        """Look no more."""
        self._lookers.shutdown(wait=False)

    async def look(self) -> EngineState:
        """Look at the engine once; never raises."""
        async with self._looking:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._lookers, self._link.read)

    def check(self, *, changes: bool) -> None:
        """See that a call may be made now.

        Raises:
            NotNow: if it changes something and the console is read-only.
            CancelledError: if the console is being left.
        """
        if changes and self._read_only:
            raise NotNow("this console is read-only: nothing is changed", "")
        if self._stopping:
            raise asyncio.CancelledError

    async def call(
        self,
        what: str,
        run: Callable[[EngineView, *Ts], T],
        *args: *Ts,
        about: Hashable = None,
        changes: bool = True,
        latest: bool = False,
    ) -> T:
        """Make a call that may block, on a thread, and return its result.

        Args:
            what: such as ``stop XNAT:8104``.
            run: gets the engine and `args`.
            args: of `run`.
            about: what is busy meanwhile: a receiver's id (0 for a new one), `SITE`, or any other
                name; None for nothing.
            changes: whether it changes anything; a read-only console makes no such call.
            latest: whether it waits for the one before it, and gives way to a newer one.

        Raises:
            EngineError: what the engine says, and `NotNow` if it is not asked.
            CancelledError: if it gives way, or the console is being left.
        """
        self.check(changes=changes)
        if about in self._busy:
            if not latest:
                raise NotNow(f"{what}: wait, the last command is not done yet", "")
            await self._turn(about)
            self.check(changes=changes)
        job = asyncio.ensure_future(asyncio.to_thread(run, self._engine, *args))
        if about is not None:
            self._busy[about] = job
            job.add_done_callback(partial(self._done, about))
        try:
            return await asyncio.shield(job)  # who asked may go; the thread is busy until its end
        except EngineError:
            raise
        except Exception as error:  # the one border: an unforeseen failure becomes a message
            detail = f"{what}: {type(error).__name__}: {error}"
            raise EngineError(detail, "this is a defect; report it") from error

    def _done(self, about: Hashable, job: asyncio.Future[Any]) -> None:
        del self._busy[about]
        if not job.cancelled():
            job.exception()  # whoever asked may be gone, and then nobody takes it

    async def _turn(self, about: Hashable) -> None:
        """Wait until nothing is busy with it; only the newest who waits gets through."""
        turn = self._newest[about] = object()
        while about in self._busy:
            await asyncio.wait([self._busy[about]])
            if self._newest.get(about) is not turn:
                raise asyncio.CancelledError
        del self._newest[about]


class Asker(Protocol):
    """A screen that asks the engine and stops asking when it goes."""

    @property
    def engine(self) -> EngineClient:
        """The way to the engine."""

    def ask(self, asking: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run what asks; an error of the engine that it does not handle is shown."""


AT_MOST_EVERY = timedelta(seconds=1)
AGAIN_AFTER_FAILURE = timedelta(seconds=5)


class Fetch(Generic[T]):
    """Asks one thing at a time; the newest wish counts, and what was there stays until then."""

    def __init__(self, what: str, asker: Asker, changed: Callable[[], None]) -> None:
        """Take what is asked for in words, who asks, and who is told of an answer."""
        self._what = what
        self._asker = asker
        self._changed = changed
        self._asked: Hashable = None
        self._asked_at: datetime | None = None
        self._due = False
        self.wish: Hashable = None
        """What `answer` is for."""
        self.answer: T | None = None
        self.problem: EngineError | None = None
        """Why there is no newer answer."""

    @property
    def is_current(self) -> bool:
        """Whether the answer is for what was wanted last."""
        return self.wish == self._asked and self.problem is None

    def want(
        self,
        wish: Hashable,
        look: Callable[[EngineView], T],
        now: datetime,
        *,
        again: bool = False,
        at_once: bool = False,
    ) -> None:
        """Ask, if that is not what was asked for already.

        Args:
            wish: what is wanted, to be compared.
            look: asks the engine for it; runs on a worker thread.
            now: the time of the reading that is shown.
            again: whether the answer may have changed; asked once a second at most.
            at_once: whether it has changed, by something that was done here.
        """
        self._due |= again
        if wish == self._asked and not at_once and not self._is_time(now):
            return
        self._asked, self._asked_at, self._due = wish, now, False
        self._asker.ask(self._fetch, wish, look)

    def forget(self) -> None:
        """Keep nothing, and ask again when something is wanted."""
        self._asked = self.wish = self.answer = self.problem = None

    def _is_time(self, now: datetime) -> bool:
        since = abs(now - self._asked_at) if self._asked_at is not None else AGAIN_AFTER_FAILURE
        failed = self.problem is not None and since >= AGAIN_AFTER_FAILURE
        return failed or (self._due and since >= AT_MOST_EVERY)

    async def _fetch(self, wish: Hashable, look: Callable[[EngineView], T]) -> None:
        about = (self._what, id(self))
        try:
            answer = await self._asker.engine.call(
                self._what, look, about=about, changes=False, latest=True
            )
        except EngineError as error:
            if wish != self._asked:
                return
            self.problem = error
        else:
            self.wish, self.answer, self.problem = wish, answer, None
        self._changed()
