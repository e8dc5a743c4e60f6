"""The interface of an engine for consoles: the `EngineView` protocol and its frozen values."""

from engine.api.protocol import EngineView
from engine.api.status import (
    AssociationEnd,
    AssociationStatus,
    EchoResult,
    EngineSnapshot,
    ListenFailure,
    PortHolder,
    PortState,
    PortStatus,
    ProcessStatus,
    ReceiverState,
    ReceiverStatus,
    RecoveryStatus,
    RefusedContext,
    StorageStatus,
)

__all__ = [
    "AssociationEnd",
    "AssociationStatus",
    "EchoResult",
    "EngineSnapshot",
    "EngineView",
    "ListenFailure",
    "PortHolder",
    "PortState",
    "PortStatus",
    "ProcessStatus",
    "ReceiverState",
    "ReceiverStatus",
    "RecoveryStatus",
    "RefusedContext",
    "StorageStatus",
]
