"""What every receiver really does, as a console and `dicomdock status` are told."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.api import ReceiverState, ReceiverStatus
from engine.errors import StorageUnusable
from engine.index.reader import ObservedReceiver
from engine.reception.receivers import ObservedState, Receivers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.identification.faults import IdentifierFaults
    from engine.index.store import SessionIndex
    from engine.metrics import Metrics
    from engine.model.receiver import Receiver

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiverStates:
    """Puts together what listeners, identifiers and metrics say; for all threads."""

    receivers: Receivers
    faults: IdentifierFaults
    metrics: Metrics
    index: SessionIndex

    def observed(self, receiver: Receiver) -> ObservedState:
        """Return what a receiver does, or why it does not."""
        failure = self.faults.of(receiver)
        if failure is not None:
            return ObservedState(ReceiverState.FAILED, failure.since, failure=failure)
        return self.receivers.state_of(receiver)

    def status(self, receiver: Receiver, open_associations: int) -> ReceiverStatus:
        """Return all that a console shows of a receiver."""
        observed = self.observed(receiver)
        drains = observed.state is ReceiverState.DISABLED and open_associations
        today = self.metrics.today(receiver.label)
        return ReceiverStatus(
            receiver=receiver,
            state=ReceiverState.DRAINING if drains else observed.state,
            since=observed.since,
            address=observed.address,
            failure=observed.failure,
            open_associations=open_associations,
            objects_today=today.objects,
            bytes_today=today.bytes,
            failed_today=today.failed,
            last_object_at=today.last_object_at,
            throughput=self.metrics.throughput(receiver.label),
            certificate=observed.certificate,
            certificate_problem=observed.certificate_problem,
        )

    def publish(self, receivers: Iterable[Receiver]) -> None:
        """Let `dicomdock status` know what the receivers really do."""
        observed = []
        for receiver in receivers:
            state = self.observed(receiver)
            reason = state.failure.reason if state.failure else ""
            observed.append(ObservedReceiver(receiver.label, state.state, reason, state.since))
        try:
            self.index.observe(tuple(observed))
        except StorageUnusable as error:
            # What is said of a configuration must not keep it from being in force.
            _logger.warning("`status` does not know the states of the receivers: %s", error)
