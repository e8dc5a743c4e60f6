"""The console's only way to the engine: snapshots, events, calls, and answers that are kept.

`EngineClient` asks on threads and is awaited on the UI thread. The subscribed callable runs on
engine threads and only posts a message.
"""

from __future__ import annotations

import asyncio
import threading
import time
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
    from engine.events import RecordedEvent
    from engine.model.receiver import Receiver

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EVENTS_KEPT = 10_000
PAGE = 500
MAX_PAGES = 4
"""Pages of events per poll, so that a burst does not hold up the screen."""
MAX_TOLD = 200
SITE = -1
"""In place of a receiver's id: the whole installation."""
CONSOLES = -2
"""In place of a receiver's id: other consoles."""
URGENT_EVENT_SECONDS = 60
"""The same urgent event of the same receiver shows no second toast for so long."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """The result of one poll of the engine."""

    snapshot: EngineSnapshot | None = None
    """The newest one there is; None before the first answer."""
    silent: bool = False
    """The engine did not answer, so `snapshot` is old."""
    events: tuple[RecordedEvent, ...] = ()
    """Newest first."""
    dropped: int = 0
    """Events that were gone before they could be read."""
    silent_seconds: int = 0
    """For how long the engine has not answered, by this process's clock."""

    @property
    def silent_since(self) -> datetime | None:
        """When the engine answered last, if it does not any more."""
        return self.snapshot.taken_at if self.silent and self.snapshot else None

    def receiver(self, receiver_id: int | None) -> ReceiverStatus | None:
        """Return the receiver with this id, if it (still) exists."""
        receivers = self.snapshot.receivers if self.snapshot else ()
        return next((s for s in receivers if s.receiver.id == receiver_id), None)


class UrgentEvent(Message):
    """An urgent event, posted by an engine thread."""

    def __init__(self, recorded: RecordedEvent) -> None:
        super().__init__()
        self.recorded = recorded


class ReceiverCommand(Message):
    """A user asks for an action on a receiver."""

    def __init__(self, action: str, receiver_id: int = 0) -> None:
        super().__init__()
        self.action = action
        self.receiver_id = receiver_id


class AllowRequested(Message):
    """A user wants to whitelist a rejected caller."""

    def __init__(self, association: AssociationStatus) -> None:
        super().__init__()
        self.association = association


class SettingsCommand(Message):
    """A user asks for an action on a section of the settings, a project or a target."""

    def __init__(self, action: str, section: str, name: str = "") -> None:
        super().__init__()
        self.action = action
        self.section = section
        self.name = name


class SwitchRequested(Message):
    """A user wants to switch all DICOM receivers on or off."""

    def __init__(self, *, allowed: bool) -> None:
        super().__init__()
        self.allowed = allowed


class GoRequested(Message):
    """A user wants to see a screen, filtered by some words."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__()
        self.place = place
        self.words = words


class ReceiverWanted(Message):
    """A user wants to see the screen of a receiver."""

    def __init__(self, receiver_id: int) -> None:
        super().__init__()
        self.receiver_id = receiver_id


class UndoRequested(Message):
    """A user wants to undo the newest change of the configuration."""


class RestoreRequested(Message):
    """A user wants to restore a revision of the configuration."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class ChoiceRequested(Message):
    """A user wants to choose one of several commands by name."""

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

    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, engine: EngineView, post: Callable[[Message], object]) -> None:
        self._engine = engine
        self._answered_at = self.monotonic()
        self._post = post
        self._unsubscribe: Callable[[], None] | None = None
        self._snapshot: EngineSnapshot | None = None
        self._events: deque[RecordedEvent] = deque(maxlen=EVENTS_KEPT)
        self._next_sequence = 0
        self._dropped = 0
        self._told: dict[tuple[str, str, str], datetime] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Subscribe to urgent events."""
        self._unsubscribe = self._engine.subscribe(self._on_event)

    def stop(self) -> None:
        """Stop listening."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def read(self) -> EngineState:
        """Poll the engine once; never raises."""
        try:
            self._take(self._engine.snapshot())
            self._read_events()
        except EngineStarting:
            return EngineState()
        except Exception:  # whatever keeps it from answering, the screen must say so and go on
            silent = int(self.monotonic() - self._answered_at)
            return EngineState(self._snapshot, True, tuple(self._events), self._dropped, silent)
        self._answered_at = self.monotonic()
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
            # Bounded, as peers cause events: at worst a toast is shown twice.
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            self._told[kind] = recorded.at
        self._post(UrgentEvent(recorded))


def receiver_now(engine: EngineView, receiver_id: int) -> Receiver | None:
    """Return a receiver as it is now, None if it is gone; runs on a worker thread."""
    found = (status.receiver for status in engine.snapshot().receivers)
    return next((receiver for receiver in found if receiver.id == receiver_id), None)


class NotNow(EngineError):
    """A call is not made: by a read-only console, or as the one before it is not done yet."""

    title = "Not now"


class EngineClient:
    """Polls and calls the engine on threads; one call at a time about the same thing.

    All methods belong to the UI thread, which never waits for the engine.
    """

    def __init__(self, engine: EngineView, link: EngineLink, *, read_only: bool = False) -> None:
        self._engine = engine
        self._link = link
        self._read_only = read_only
        self._stopping = False
        self._looking = asyncio.Lock()
        self._lookers = ThreadPoolExecutor(1, "look")
        """Polls have a thread of their own: slow calls do not delay them."""
        self._busy: dict[Hashable, asyncio.Future[Any]] = {}
        self._newest: dict[Hashable, object] = {}

    def stop(self) -> None:
        """Refuse further calls; calls in progress continue."""
        self._stopping = True

    def close(self) -> None:
        """Stop polling."""
        # Not waited for: a silent engine may hold the thread for long.
        self._lookers.shutdown(wait=False)

    async def look(self) -> EngineState:
        """Poll the engine once; never raises."""
        async with self._looking:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._lookers, self._link.read)

    def check(self, *, changes: bool) -> None:
        """Check that a call is allowed now.

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
            self.check(changes=changes)  # the console may be closing by now
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
    """Asks one question at a time; the newest question counts, the last answer stays until then."""

    def __init__(self, what: str, asker: Asker, changed: Callable[[], None]) -> None:
        """Take the question in words, the screen that asks, and what is called after an answer."""
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
        """Whether the answer is for the newest question."""
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
        """Ask, unless the same was asked already.

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
        """Forget the answer; the next question is asked in any case."""
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
                return  # something else is wanted by now, and asked for
            self.problem = error
        else:
            self.wish, self.answer, self.problem = wish, answer, None
        self._changed()
