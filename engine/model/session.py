"""Imaging sessions: a study inside a project, while and after it is received."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class SessionStatus(StrEnum):
    """Where a session stands (XNAT 9.5)."""

    RECEIVING = "RECEIVING"
    """The session's row exists and objects arrive."""


class ObjectState(StrEnum):
    """What finally became of one received object; exactly one each."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """Identical to an object already on disk; answered with success, nothing written."""
    FILTERED = "filtered"
    """Not wanted, as the site script says; answered with success, not kept."""
    QUARANTINED = "quarantined"
    """Refused for its content and kept with the reason."""
    FAILED = "failed"
    """Not kept; the sender was told so."""


@dataclass(frozen=True, slots=True)
class Session:
    """One row of the session index."""

    id: int
    project: str | None
    """None means Unassigned."""
    subject: str | None
    label: str
    study_instance_uid: str
    folder: str
    """Relative to the prearchive."""
    status: SessionStatus
    receiver: str
    calling_ae_title: str
    first_object_at: datetime
    last_object_at: datetime
    objects: int
    bytes: int
