"""The console's only way to the engine: snapshots, events, calls, and answers that are kept.

`EngineLink.read` runs on the UI thread. The subscribed callable runs on engine threads and only
posts a message.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.message import Message

from engine.errors import EngineError
from tui.late_engine import EngineStarting

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot, EngineView, ReceiverStatus
    from engine.api.forwarding import DestinationStatus
    from engine.events import RecordedEvent
    from engine.model.processor import Processor


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


@dataclass(frozen=True, slots=True)
class EngineCall:
    """A call that may block, to be made on a worker thread."""

    what: str
    """Such as ``stop XNAT:8104``."""
    about: Hashable
    """What is kept busy meanwhile: a receiver's id (0 for a new one), `SITE`, or any other name."""
    run: Callable[[EngineView], Any]
    """Runs on the worker thread."""
    then: Callable[[Any], None]
    """Gets the result, on the UI thread."""
    otherwise: Callable[[EngineError], None] | None = None
    """Gets the error, on the UI thread; None shows it in a box."""
    changes: bool = True
    """Whether it changes anything; a read-only console makes no such call."""
    latest: bool = False
    """Whether it may wait for the one before it, and gives way to a newer one (for lists)."""


class CallRequested(Message):
    """A screen wants a call to be made."""

    def __init__(self, call: EngineCall) -> None:
        super().__init__()
        self.call = call


class WorkRequested(Message):
    """A screen wants many calls to be made, one after the other, with progress and a way out."""

    def __init__(
        self,
        title: str,
        calls: Sequence[EngineCall],
        then: Callable[[WorkOutcome], None],
    ) -> None:
        """Take a safe title, the calls, and who gets the outcome on the UI thread."""
        super().__init__()
        self.title = title
        self.calls = tuple(calls)
        self.then = then


@dataclass(frozen=True, slots=True)
class WorkOutcome:
    """What became of many calls."""

    done: int
    """Calls that succeeded."""
    failures: tuple[tuple[EngineCall, EngineError], ...] = ()
    left: int = 0
    """Calls that were not made because the work was cancelled."""


class RefreshRequested(Message):
    """A screen is seen again and wants to show what is known now."""


class EngineAnswered(Message):
    """A call is over."""

    def __init__(
        self, call: EngineCall, result: object = None, error: EngineError | None = None
    ) -> None:
        super().__init__()
        self.call = call
        self.result = result
        self.error = error


class EngineStopped(Message):
    """The engine of this process has been stopped, or could not be."""


class EngineLink:
    """Reads an engine for one console; only `_on_event` may be called from other threads."""

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

    def perform(self, call: EngineCall) -> EngineAnswered:
        """Make a call on this (worker) thread and return its answer."""
        try:
            return EngineAnswered(call, call.run(self._engine))
        except EngineError as error:
            return EngineAnswered(call, error=error)
        except Exception as error:  # the worker's border: an unforeseen failure becomes a message
            detail = f"{call.what}: {type(error).__name__}: {error}"
            return EngineAnswered(call, error=EngineError(detail, "this is a defect; report it"))

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


T = TypeVar("T")
AT_MOST_EVERY = timedelta(seconds=1)
AGAIN_AFTER_FAILURE = timedelta(seconds=5)


class Fetch(Generic[T]):
    """Asks one thing at a time; the newest wish counts, and what was there stays until then."""

    def __init__(
        self, what: str, ask: Callable[[EngineCall], None], changed: Callable[[], None]
    ) -> None:
        """Take what is asked for in words, how calls are made, and who is told of an answer."""
        self._what = what
        self._ask = ask
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
        self._ask(
            EngineCall(
                self._what,
                (self._what, id(self)),
                look,
                partial(self._take, wish),
                partial(self._miss, wish),
                changes=False,
                latest=True,
            )
        )

    def forget(self) -> None:
        """Keep nothing, and ask again when something is wanted."""
        self._asked = self.wish = self.answer = self.problem = None

    def _is_time(self, now: datetime) -> bool:
        since = abs(now - self._asked_at) if self._asked_at is not None else AGAIN_AFTER_FAILURE
        failed = self.problem is not None and since >= AGAIN_AFTER_FAILURE
        return failed or (self._due and since >= AT_MOST_EVERY)

    def _take(self, wish: Hashable, answer: T) -> None:
        self.wish, self.answer, self.problem = wish, answer, None
        self._changed()

    def _miss(self, wish: Hashable, error: EngineError) -> None:
        if wish == self._asked:
            self.problem = error
            self._changed()
