"""States of receivers for the console and `status`, and settings that have no effect."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.api import ReceiverState, ReceiverStatus
from engine.errors import StorageUnusable
from engine.events import AnonymizationNotApplied, AnonymizationOutOfForce, OptionNotApplied
from engine.index.reader import ObservedReceiver
from engine.model.plugins import file_namer_problems
from engine.reception.receivers import ObservedState, Receivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.events import Event
    from engine.identification.installed import IdentifierFaults
    from engine.index.store import SessionIndex
    from engine.metrics import Metrics
    from engine.model.configuration import Configuration
    from engine.model.plugins import FileNamerInfo
    from engine.model.receiver import Receiver


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiverStates:
    """Combines the states of listeners, identifiers and metrics; for any thread."""

    receivers: Receivers
    faults: IdentifierFaults
    metrics: Metrics
    index: SessionIndex

    def observed(self, receiver: Receiver) -> ObservedState:
        """Return whether a receiver listens, or why not."""
        # First: a receiver without its identifier is not given to the listeners.
        failure = self.faults.of(receiver)
        if failure is not None:
            return ObservedState(ReceiverState.FAILED, failure.since, failure=failure)
        return self.receivers.state_of(receiver)

    def status(self, receiver: Receiver, open_associations: int) -> ReceiverStatus:
        """Return the state and today's counts of a receiver."""
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
        """Write the states of the receivers to the index, for `dicomdock status`."""
        observed = []
        for receiver in receivers:
            state = self.observed(receiver)
            reason = state.failure.reason if state.failure else ""
            observed.append(ObservedReceiver(receiver.label, state.state, reason, state.since))
        try:
            self.index.observe(tuple(observed))
        except StorageUnusable as error:
            # An index that can't be written must not stop a new configuration.
            _logger.warning("`status` does not know the states of the receivers: %s", error)


class _Option(NamedTuple):
    receiver: str
    option: str
    instead: str


def settings_without_effect(
    before: Configuration | None, after: Configuration, file_namers: Sequence[FileNamerInfo]
) -> Iterator[Event]:
    """Yield events about settings without effect that the former configuration did not have.

    Args:
        before: the former configuration; None at the start.
        after: the new one.
        file_namers: those that are installed.
    """
    known = set(_options(before, file_namers)) if before is not None else set()
    for found in _options(after, file_namers):
        if found not in known:
            yield OptionNotApplied(
                receiver=found.receiver, option=found.option, instead=found.instead
            )
    yield from _anonymization(before, after)


def _options(
    configuration: Configuration, file_namers: Sequence[FileNamerInfo]
) -> Iterator[_Option]:
    for receiver in configuration.receivers:
        if receiver.custom_processing and not configuration.processors_of(receiver):
            instead = "no processor sees the objects"
            yield _Option(receiver.label, "custom processing", instead)
        if any(file_namer_problems(receiver.file_namer, file_namers)):
            instead = "files are named by the site's template, for it can't be used"
            yield _Option(receiver.label, f"file namer {receiver.file_namer}", instead)


def _anonymization(before: Configuration | None, after: Configuration) -> Iterator[Event]:
    """Yield one event for all receivers that want anonymization while there is nothing to do it.

    It is a warning only if a script or profile was in force before.
    """
    known = set() if before is None else set(_left_as_received(before))
    receivers = tuple(label for label in _left_as_received(after) if label not in known)
    if not receivers:
        return
    if before is not None and before.has_anonymization:
        yield AnonymizationOutOfForce(receivers=receivers)
    else:
        yield AnonymizationNotApplied(receivers=receivers)


def _left_as_received(configuration: Configuration) -> Iterator[str]:
    """Yield the receivers that want anonymization, if no script or profile is in force."""
    if not configuration.has_anonymization:
        yield from (r.label for r in configuration.receivers if r.anonymization)
