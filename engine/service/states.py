"""States of receivers for the console and `status`, and settings that have no effect."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from engine.api import ReceiverState, ReceiverStatus
from engine.errors import StorageUnusable
from engine.events import AnonymizationNotApplied, AnonymizationOutOfForce, OptionNotApplied
from engine.index.reader import ObservedReceiver
from engine.model.anonymization import AsReceived, stored_as_received
from engine.model.plugins import file_namer_problems
from engine.reception.receivers import ObservedState, Receivers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.events import Event
    from engine.identification.installed import IdentifierFaults
    from engine.index.store import SessionIndex
    from engine.metrics import Metrics, Throughput, Today
    from engine.model.configuration import Configuration
    from engine.model.plugins import FileNamerInfo
    from engine.model.receiver import Receiver

    _Parts = tuple[Receiver, ObservedState, tuple[Today, Throughput], int]
    """All that the status of a receiver is made of."""

_logger = logging.getLogger(__name__)


class ReceiverStates:
    """Combines the states of listeners, identifiers and metrics; for any thread."""

    def __init__(
        self, receivers: Receivers, faults: IdentifierFaults, metrics: Metrics, index: SessionIndex
    ) -> None:
        self._receivers = receivers
        self._faults = faults
        self._metrics = metrics
        self._index = index
        self._shown: dict[int, tuple[_Parts, ReceiverStatus]] = {}
        """By receiver. Not locked: after a race a status is made again, but is never wrong."""

    def observed(self, receivers: Sequence[Receiver]) -> Sequence[ObservedState]:
        """Return whether each receiver listens, or why not."""
        states = self._receivers.states_of(receivers)
        failures = map(self._faults.of, receivers)
        return [
            # A receiver without its identifier is not given to the listeners.
            ObservedState(ReceiverState.FAILED, failure.since, failure=failure)
            if failure
            else state
            for failure, state in zip(failures, states, strict=True)
        ]

    def statuses(
        self, receivers: Sequence[Receiver], open_associations: Mapping[str, int]
    ) -> tuple[ReceiverStatus, ...]:
        """Return the state and today's counts of each receiver.

        A receiver of which nothing has changed since the last call has the same status object, so
        that whoever asks again and again sees at once what has changed.

        Args:
            receivers: as they are shown.
            open_associations: how many are open, by the label of their receiver.
        """
        labels = [receiver.label for receiver in receivers]
        states, counts = self.observed(receivers), self._metrics.of_receivers(labels)
        opened = [open_associations.get(label, 0) for label in labels]
        before, shown = self._shown, {}
        for parts in zip(receivers, states, counts, opened, strict=True):
            known = before.get(parts[0].id)
            is_same = known is not None and known[0] == parts
            shown[parts[0].id] = known if known and is_same else (parts, _status(*parts))
        self._shown = shown
        return tuple(status for _, status in shown.values())

    def publish(self, receivers: Sequence[Receiver]) -> None:
        """Write the states of the receivers to the index, for `dicomdock status`."""
        observed = []
        for receiver, state in zip(receivers, self.observed(receivers), strict=True):
            reason = state.failure.reason if state.failure else ""
            observed.append(ObservedReceiver(receiver.label, state.state, reason, state.since))
        try:
            self._index.observe(tuple(observed))
        except StorageUnusable as error:
            # An index that can't be written must not stop a new configuration.
            _logger.warning("`status` does not know the states of the receivers: %s", error)


def _status(
    receiver: Receiver,
    observed: ObservedState,
    counts: tuple[Today, Throughput],
    open_associations: int,
) -> ReceiverStatus:
    drains = observed.state is ReceiverState.DISABLED and open_associations
    today, throughput = counts
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
        throughput=throughput,
        certificate=observed.certificate,
        certificate_problem=observed.certificate_problem,
    )


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
    in_force = configuration.has_anonymization
    for receiver in configuration.receivers:
        why = stored_as_received(wanted=receiver.anonymization, in_force=in_force)
        if why is AsReceived.NO_SCRIPT:
            yield receiver.label
