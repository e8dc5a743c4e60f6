"""The storage SCP: passes C-STORE requests to the intake pipeline; errors become a status."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from engine.errors import ProcessingFailed
from engine.intake.object import ObjectArrival
from engine.intake.pipeline import ABANDONED, ObjectOutcome
from engine.model.session import ObjectState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dimse.commands import StoreRequest
    from engine.intake.object import IncomingObject
    from engine.intake.pipeline import Pipeline
    from engine.reception.dock import AssociationDock
    from engine.reception.live_association import LiveAssociation

R = TypeVar("R")

_logger = logging.getLogger(__name__)


class StorageSCP:
    """Stores objects for all receivers; one association is served by one thread at a time."""

    def __init__(self, pipeline: Pipeline, dock: AssociationDock) -> None:
        self._pipeline = pipeline
        self._dock = dock

    def begin(
        self, request: StoreRequest, transfer_syntax_uid: str, live: LiveAssociation
    ) -> StoreOperation:
        """Begin the object of a C-STORE request, by the receiver's present configuration."""
        source = live.source
        # The receiver was changed since the last object: folders and caches of the old settings go.
        if source is None or source.receiver is not live.settings:
            if source is not None:
                source.close()
            source = live.source = self._pipeline.source(
                live.settings, live.calling_ae_title, live.address, live.id
            )
        arrival = ObjectArrival(
            source, request.sop_class_uid, request.sop_instance_uid, transfer_syntax_uid
        )
        incoming = self._pipeline.begin(arrival)
        return StoreOperation(self._pipeline, self._dock, incoming, live)

    def end(self, live: LiveAssociation) -> None:
        """Close the folders of an association."""
        source, live.source = live.source, None
        if source is not None:  # an association without objects has none
            source.close()


class StoreOperation:
    """One object that is being received; used by one thread at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        dock: AssociationDock,
        incoming: IncomingObject,
        live: LiveAssociation,
    ) -> None:
        self._pipeline = pipeline
        self._dock = dock
        self._incoming = incoming
        self._live = live
        self._is_writing_back = False

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        """Write the next bytes of the data set."""
        self._incoming.write(segments, size_bytes)

    def begins_write_back(self) -> bool:
        """Tell whether `write_back` must be called now, on another thread; `wrote_back` follows."""
        # One at a time: on a slow disk it may block, and must not take all threads of the pool.
        if self._is_writing_back or not self._pipeline.write_back_due(self._incoming):
            return False
        self._is_writing_back = True
        return True

    def write_back(self) -> None:
        """Let the kernel write to the disk what has arrived; for any thread, and may block."""
        self._incoming.part.start_write_back()

    def wrote_back(self, _: None) -> None:
        """Note that `write_back` has returned."""
        self._is_writing_back = False

    def finish_at_once(self) -> ObjectOutcome | None:
        """Do as `finish` does, if that can't block the loop's thread; None if it may."""
        return self._guarded(self._pipeline.finish_at_once)

    def finish(self) -> ObjectOutcome:
        """Store the complete object; call `record` after the answer."""
        return self._guarded(self._pipeline.finish)

    def _guarded(self, finish: Callable[[IncomingObject], R]) -> R | ObjectOutcome:
        try:
            return finish(self._incoming)
        except Exception as error:
            # The border: a defect of ours must not lose the association or go unrecorded.
            _logger.exception("object of %s failed", self._live.id)
            failure = ProcessingFailed(f"internal error ({type(error).__name__})")
            return ObjectOutcome(ObjectState.FAILED, failure.status, failure.detail)

    def record(self, outcome: ObjectOutcome) -> None:
        """Clean up, and record and count the outcome; call it after the answer."""
        self._pipeline.record_outcome(self._incoming, outcome)
        self._count(outcome)

    def abandon(self) -> None:
        """Discard the object, because its association ended before it was complete."""
        why = self._live.why or "the connection ended"
        self._pipeline.abandon(self._incoming, why)
        self._count(ObjectOutcome(ObjectState.FAILED, ABANDONED, why))

    def _count(self, outcome: ObjectOutcome) -> None:
        size = self._incoming.size_bytes
        self._dock.count_object(self._live, outcome.state, size, outcome.status, outcome.reason)
