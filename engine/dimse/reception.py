"""C-STORE requests → the intake pipeline; whatever goes wrong becomes a status here.

The data set comes complete from pynetdicom. The bytes that were received are the bytes that are
stored and the bytes that the header is read from; they are never decoded as a whole.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE

from engine.errors import ProcessingFailed
from engine.intake.pipeline import SUCCESS, Arrival, Outcome
from engine.model.session import ObjectState

if TYPE_CHECKING:
    from pynetdicom.events import Event

    from engine.dimse.associations import Associations, LiveAssociation
    from engine.intake.pipeline import Pipeline
    from engine.model.receiver import Receiver

_COMMENT_CHARACTERS = 64
"""Longest Error Comment (0000,0902), an LO element."""

_logger = logging.getLogger(__name__)


class Reception:
    """Receives objects for all receivers; called on the thread of each association."""

    def __init__(self, pipeline: Pipeline, associations: Associations) -> None:
        self._pipeline = pipeline
        self._associations = associations

    def store(self, event: Event, live: LiveAssociation, receiver: Receiver) -> Dataset:
        """Take one C-STORE request through the pipeline and return its response's elements."""
        request = event.request
        assert isinstance(request, C_STORE)
        stream = request.DataSet
        encoded = stream.getbuffer() if stream is not None else memoryview(b"")
        transfer_syntax_uid = str(event.context.transfer_syntax)
        outcome = self._receive(_arrival(request, transfer_syntax_uid, live, receiver), encoded)
        self._associations.count_object(
            live, outcome.state, len(encoded), outcome.status, outcome.reason
        )
        return _response(outcome)

    def _receive(self, arrival: Arrival, encoded: memoryview) -> Outcome:
        try:
            return self._pipeline.receive(arrival, encoded)
        except Exception as error:
            # The border: a defect of ours must not lose the association or go unrecorded.
            _logger.exception("object of %s failed", arrival.association)
            failure = ProcessingFailed(f"internal error ({type(error).__name__})")
            outcome = Outcome(ObjectState.FAILED, failure.status, failure.detail)
            self._pipeline.record(arrival, outcome, len(encoded), 0.0)
            return outcome


def _arrival(
    request: C_STORE, transfer_syntax_uid: str, live: LiveAssociation, receiver: Receiver
) -> Arrival:
    return Arrival(
        receiver=receiver,
        calling_ae_title=live.calling_ae_title,
        address=live.address,
        association=live.id,
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=transfer_syntax_uid,
    )


def _response(outcome: Outcome) -> Dataset:
    response = Dataset()
    response.Status = outcome.status
    if outcome.status != SUCCESS:
        comment = outcome.reason.encode("ascii", "replace").decode()
        response.ErrorComment = comment[:_COMMENT_CHARACTERS]
    return response
