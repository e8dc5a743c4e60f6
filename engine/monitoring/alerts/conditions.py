"""Maps events to alert conditions that begin or end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

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
)
from engine.events.monitoring import SenderHeard, SenderSilent
from engine.events.storage import StorageLow, StorageRefuses, StorageSuffices
from engine.model.alerts import AlertKind

_BEGINS = {
    ReceiverFailed: AlertKind.RECEIVER,
    StorageLow: AlertKind.STORAGE,
    StorageRefuses: AlertKind.STORAGE,
    QueueSetAside: AlertKind.STORAGE,
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
