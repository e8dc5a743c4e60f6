"""What a pipeline asks the engine for: sessions, copies of an object, and a row for its end.

A pipeline that runs in the engine's own process asks by direct calls: `LocalObjectDock`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.index.store import Copy, SessionIndex, SessionKey, SessionOrigin, SessionPlace
    from engine.index.traces import TraceIndex
    from engine.index.writer import ObjectRow
    from engine.intake.filing import Filing
    from engine.metrics import Metrics
    from engine.model.receiver import Receiver
    from engine.sessions.recovery import Recovery


class ObjectDock(Protocol):
    """The part of the engine that a pipeline uses; for all threads."""

    @property
    def may_wait(self) -> bool:
        """Whether the other calls may take long just now."""
        ...

    def known_place(self, key: SessionKey) -> SessionPlace | None:
        """Return where a session's files go and hold it; None if that is not known yet."""
        ...

    def file(self, key: SessionKey, origin: SessionOrigin, *, directly: bool) -> SessionPlace:
        """Find or create the session of an object and hold it; see `Filing.file`."""
        ...

    def release(self, hold: int) -> None:
        """Give back what `known_place` or `file` held, once the object's row is recorded."""
        ...

    def archives_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive; see `Filing.archives_directly`."""
        ...

    def copies(self, key: SessionKey, sop_instance_uid: str) -> tuple[Copy, ...]:
        """Return where a SOP instance is already; see `SessionIndex.copies`."""
        ...

    def trace(self, session_id: int, values: Iterable[tuple[int, str | None]]) -> None:
        """Note the values that a session can be found by; see `TraceIndex.note`."""
        ...

    def record(self, row: ObjectRow, answer_seconds: float, discard: Callable[[], object]) -> None:
        """Give an object its one row, and count it.

        Args:
            row: of the object.
            answer_seconds: how long the peer waited for the answer.
            discard: removes the part's name. Until then a published object can be found by it, if
                this process ends before the row is on its way.
        """
        ...


class LocalObjectDock:
    """Satisfies `ObjectDock` by direct calls."""

    def __init__(
        self,
        index: SessionIndex,
        filing: Filing,
        metrics: Metrics,
        recovery: Recovery,
        traces: TraceIndex | None = None,
    ) -> None:
        """Take the parts; objects wait for the sessions of `recovery` that they need."""
        self._index = index
        self._metrics = metrics
        self._traces = traces
        # Called for each object: a method that only calls another one would cost a frame.
        self.known_place = index.place_of
        self.release = index.session_writers.release
        self._filing = filing
        self._recovery = recovery

    # Read for each object: this property needs no frame.
    may_wait = property(attrgetter("_recovery.is_going_on"))
    """Whether an object may have to wait until a session is recovered."""

    def file(self, key: SessionKey, origin: SessionOrigin, *, directly: bool) -> SessionPlace:
        """Find or create the session of an object and hold it."""
        # Before the session is held: its recovery may find that it is empty, and remove it.
        self._recovery.await_sessions(key)
        return self._filing.file(key, origin, directly=directly)

    def archives_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive."""
        self._recovery.await_sessions(key)
        return self._filing.archives_directly(receiver, key)

    def copies(self, key: SessionKey, sop_instance_uid: str) -> tuple[Copy, ...]:
        """Return where a SOP instance is already."""
        self._recovery.await_sessions(key)
        return self._index.copies(key, sop_instance_uid)

    def trace(self, session_id: int, values: Iterable[tuple[int, str | None]]) -> None:
        """Note the values that a session can be found by."""
        if self._traces is not None:
            self._traces.note(session_id, values)

    def record(self, row: ObjectRow, answer_seconds: float, discard: Callable[[], object]) -> None:
        """Give an object its one row, and count it."""
        discard()
        self._index.record(row)
        self._metrics.record_object(
            *(row.receiver, row.state, row.bytes, answer_seconds),
            *(row.calling_ae_title, row.status),
        )
