"""Throttles alerts: repeats are suppressed for a while, and the number per hour is limited."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.events import (
    AnonymizationFailed,
    CertificateExpired,
    CertificateExpiring,
    CertificateRefused,
    CertificateReplaced,
    ConfigurationApplied,
    ConfigurationRefused,
    Event,
    PluginBroken,
    ReceiverFailed,
    ReceiverListening,
    ReceiverStopped,
    RevocationListExpired,
    RevocationListExpiring,
    RuleFailed,
)
from engine.events.delivery import (
    CommandsResumed,
    DestinationFails,
    DestinationRecovered,
    ForwardingHalted,
    ForwardingResumed,
    ObjectsNotForwarded,
    ProgramFailed,
    QueueSetAside,
    StateLost,
)
from engine.events.monitoring import (
    SenderHeard,
    SenderSilent,
    StorageLow,
    StorageRefuses,
    StorageSuffices,
)
from engine.model.alerts import AlertKind

if TYPE_CHECKING:
    from engine.events import RecordedEvent


_BEGINS = {
    ReceiverFailed: AlertKind.RECEIVER,
    StorageLow: AlertKind.STORAGE,
    StorageRefuses: AlertKind.STORAGE,
    QueueSetAside: AlertKind.STORAGE,
    StateLost: AlertKind.STORAGE,
    AnonymizationFailed: AlertKind.SCRIPT,
    RuleFailed: AlertKind.SCRIPT,
    ProgramFailed: AlertKind.SCRIPT,
    DestinationFails: AlertKind.FORWARDING,
    ObjectsNotForwarded: AlertKind.FORWARDING,
    ForwardingHalted: AlertKind.FORWARDING,
    SenderSilent: AlertKind.SILENCE,
    CertificateExpiring: AlertKind.CERTIFICATE,
    CertificateExpired: AlertKind.CERTIFICATE,
    CertificateRefused: AlertKind.CERTIFICATE,
    RevocationListExpiring: AlertKind.CERTIFICATE,
    RevocationListExpired: AlertKind.CERTIFICATE,
    ConfigurationRefused: AlertKind.CONFIGURATION,
    PluginBroken: AlertKind.CONFIGURATION,
}
_ENDS = {
    ReceiverListening: AlertKind.RECEIVER,
    ReceiverStopped: AlertKind.RECEIVER,
    StorageSuffices: AlertKind.STORAGE,
    DestinationRecovered: AlertKind.FORWARDING,
    ForwardingResumed: AlertKind.FORWARDING,
    CommandsResumed: AlertKind.SCRIPT,
    SenderHeard: AlertKind.SILENCE,
    CertificateReplaced: AlertKind.CERTIFICATE,
    ConfigurationApplied: AlertKind.CONFIGURATION,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong, or is so no longer."""

    kind: AlertKind
    subject: str
    """What it is about, such as ``XNAT:8104``, a calling AE title, or nothing."""
    event: str
    """The event's kind: a storage that refuses is another condition than one that runs low."""
    begins: bool


def concerns(event: Event) -> bool:
    """Tell whether an event may begin or end a condition."""
    return type(event) in _BEGINS or type(event) in _ENDS


def condition_of(event: Event) -> Condition | None:
    """Return what an event begins or ends, if anything."""
    begins = _BEGINS.get(type(event))
    kind = begins or _ENDS.get(type(event))
    if kind is None:
        return None
    return Condition(kind, _subject(event), type(event).__name__, begins is not None)


def _subject(event: Event) -> str:
    if isinstance(event, SenderSilent | SenderHeard):
        return event.calling_ae_title
    if isinstance(event, PluginBroken):
        return event.plugin
    if isinstance(event, DestinationFails | DestinationRecovered | ObjectsNotForwarded):
        return event.destination
    if isinstance(event, ForwardingHalted | ForwardingResumed):
        # Another matter than a peer in trouble, which may go on when the queue works again.
        return " ".join(filter(None, ("queue", event.destination)))
    if isinstance(event, QueueSetAside):
        return event.kept_as
    if isinstance(event, ProgramFailed | CommandsResumed):
        return event.processor
    if isinstance(event, RuleFailed):
        return " ".join(filter(None, (event.receiver, event.rule)))
    return event.receiver


ALERTS_PER_HOUR = 60
CONDITIONS_KEPT = 1_000
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Alert:
    """The content of an alert about one condition; holds nothing about patients."""

    kind: str
    subject: str
    event: str
    severity: str
    message: str
    at: str
    """UTC, ISO 8601."""
    resolved: bool = False
    suppressed: int = 0
    """How often the same happened since the last alert, without one."""


@dataclass(slots=True)
class _SentAlert:
    at: float
    suppressed: int = 0


class AlertThrottle:
    """Decides which events become alerts; used by one thread."""

    def __init__(self) -> None:
        self._told: dict[Condition, _SentAlert] = {}
        self._sent: deque[float] = deque()
        """When the alerts of the last hour were sent."""

    def judge(
        self, recorded: RecordedEvent, monotonic: float, repeat_seconds: float
    ) -> Alert | None:
        """Return the alert that an event needs, if any.

        Args:
            recorded: what happened.
            monotonic: now, in seconds that never run backwards.
            repeat_seconds: for how long the same is not reported again.
        """
        condition = condition_of(recorded.event)
        if condition is None:
            return None
        if not condition.begins:
            ended = [known for known in self._told if _is_same_condition(known, condition)]
            for known in ended:
                del self._told[known]
            return _alert(recorded, condition, 0) if ended and self._may_tell(monotonic) else None
        told = self._told.get(condition)
        # The suppressed ones do not use up the alerts of the hour.
        if told is not None and monotonic - told.at < repeat_seconds:
            told.suppressed += 1
            return None
        if not self._may_tell(monotonic):
            return None
        self._told.pop(condition, None)
        if len(self._told) >= CONDITIONS_KEPT:
            # The first is the oldest: one that is told again is put at the end.
            del self._told[next(iter(self._told))]
        self._told[condition] = _SentAlert(monotonic)
        return _alert(recorded, condition, told.suppressed if told else 0)

    def _may_tell(self, monotonic: float) -> bool:
        while self._sent and monotonic - self._sent[0] >= _HOUR:
            self._sent.popleft()
        if len(self._sent) >= ALERTS_PER_HOUR:
            return False
        self._sent.append(monotonic)
        return True


def _is_same_condition(known: Condition, ending: Condition) -> bool:
    return (known.kind, known.subject) == (ending.kind, ending.subject)


def _alert(recorded: RecordedEvent, condition: Condition, suppressed: int) -> Alert:
    event = recorded.event
    about = " ".join(filter(None, (event.receiver, event.calling_ae_title, event.sentence())))
    return Alert(
        kind=str(condition.kind),
        subject=condition.subject,
        event=condition.event,
        severity=str(event.severity),
        message=about,
        at=recorded.at.isoformat(),
        resolved=not condition.begins,
        suppressed=suppressed,
    )
