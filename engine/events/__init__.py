"""Everything worth telling: frozen values that say what happened, to whom, and what it means.

Events carry AE titles, addresses and counts, never names, identifiers or labels of patients.
This package is the one door to them; those of sessions, storage, delivery and monitoring are in
modules of their own.
"""

from engine.events.associations import (
    AssociationAborted,
    AssociationEstablished,
    AssociationRejected,
    AssociationReleased,
    CalledFromNewAddress,
    ConnectionDropped,
    ContextsRefused,
)
from engine.events.engine import (
    AnonymizationNotApplied,
    AnonymizationOutOfForce,
    ConfigurationApplied,
    ConfigurationRefused,
    EngineStarted,
    EngineStopping,
    IdentifyingValuesShown,
    LeftoversSwept,
    ObjectsAdopted,
    OptionNotApplied,
    SecretsShown,
)
from engine.events.event import (
    Event,
    EventPage,
    Listener,
    RecordedEvent,
    Severity,
    counted,
)
from engine.events.intake import (
    AnonymizationFailed,
    IdentifierSlow,
    ObjectRefused,
    ObjectsStored,
    PluginBroken,
    ProcessorFailed,
    ProcessorProblem,
    RuleFailed,
    SessionOpened,
)
from engine.events.listening import (
    CertificateExpired,
    CertificateExpiring,
    CertificateRefused,
    CertificateReplaced,
    ReceiverFailed,
    ReceiverListening,
    ReceiverStopped,
    SocketUnused,
)

__all__ = [
    "AnonymizationFailed",
    "AnonymizationNotApplied",
    "AnonymizationOutOfForce",
    "AssociationAborted",
    "AssociationEstablished",
    "AssociationRejected",
    "AssociationReleased",
    "CalledFromNewAddress",
    "CertificateExpired",
    "CertificateExpiring",
    "CertificateRefused",
    "CertificateReplaced",
    "ConfigurationApplied",
    "ConfigurationRefused",
    "ConnectionDropped",
    "ContextsRefused",
    "EngineStarted",
    "EngineStopping",
    "Event",
    "EventPage",
    "IdentifierSlow",
    "IdentifyingValuesShown",
    "LeftoversSwept",
    "Listener",
    "ObjectRefused",
    "ObjectsAdopted",
    "ObjectsStored",
    "OptionNotApplied",
    "PluginBroken",
    "ProcessorFailed",
    "ProcessorProblem",
    "ReceiverFailed",
    "ReceiverListening",
    "ReceiverStopped",
    "RecordedEvent",
    "RuleFailed",
    "SecretsShown",
    "SessionOpened",
    "Severity",
    "SocketUnused",
    "counted",
]
