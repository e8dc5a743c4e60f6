"""Where an object belongs, and which element said so."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.model.identifying import NO_VALUES
from engine.model.trace import masked

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.identifying import IdentifyingValues
    from engine.model.processing import ProcessorStep
    from engine.model.trace import Trace

UNASSIGNED = "Unassigned"
DEFAULT_SESSION_LABEL = "dicom_upload"

_NOT_LABEL = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Decision:
    """One decided attribute and where its value came from."""

    value: str | None
    source: str
    """Such as ``(0008,1030) StudyDescription`` or ``nothing matched``."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Project, subject and session of one object, each with its source."""

    project: Decision
    """The project's id; None means Unassigned."""
    subject: Decision
    session: Decision
    auto_archive: bool | None = None
    """What the header asks for; None leaves it to the project."""
    warning: str = ""
    """Why something could not be decided as configured; told with the object."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Project, subject and session as they are filed; a subject may be empty."""
        return self.project.value or UNASSIGNED, self.subject.value or "", self.session_label

    @property
    def session_label(self) -> str:
        """The session's label, never empty."""
        return self.session.value or DEFAULT_SESSION_LABEL


@dataclass(frozen=True, slots=True)
class Identification:
    """What identifying an object came to, with every step on the way."""

    identity: Identity | None
    """None if a rule failed so that the object would be refused."""
    failure: str
    """Why, if it would."""
    trace: Trace

    @property
    def outcome(self) -> tuple[object, ...]:
        """All that becomes of the object: equal if nothing would change."""
        if self.identity is None:
            return (None,)
        return (*self.identity.labels, self.identity.auto_archive)

    def masked(self, known: IdentifyingValues = NO_VALUES) -> Identification:
        """Return the same without subject, session and any value of the object.

        Args:
            known: what the object says of its patient; a reason in words may repeat that.
        """
        identity = self.identity
        if identity is not None:
            subject = replace(identity.subject, value=masked(identity.subject.value))
            session = replace(identity.session, value=masked(identity.session.value))
            identity = replace(identity, subject=subject, session=session)
        return Identification(identity, known.hide(self.failure), self.trace.masked())


@dataclass(frozen=True, slots=True)
class RoutingPreview:
    """One object that arrived not long ago, as it would be identified."""

    at: datetime
    """When it arrived."""
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    saved: Identification
    """With the settings in force."""
    draft: Identification
    """With the settings that are only being considered."""
    saved_processing: tuple[ProcessorStep, ...] = ()
    """What the receiver's processors do to it."""
    draft_processing: tuple[ProcessorStep, ...] = ()
    sop_instance_uid: str = ""
    """As it arrived."""
    differs: bool | None = None
    """Whether the draft would file it elsewhere, where masked labels can't tell."""

    @property
    def changes(self) -> bool:
        """Tell whether the draft would file the object elsewhere."""
        return self.saved.outcome != self.draft.outcome if self.differs is None else self.differs

    def masked(self, known: IdentifyingValues = NO_VALUES) -> RoutingPreview:
        """Return the same without values of the object; `known` is what it says of its patient."""
        return replace(
            self,
            saved=self.saved.masked(known),
            draft=self.draft.masked(known),
            saved_processing=tuple(step.masked(known) for step in self.saved_processing),
            draft_processing=tuple(step.masked(known) for step in self.draft_processing),
            differs=self.changes,
        )


def to_label(text: str) -> str:
    """Replace every character outside ``[A-Za-z0-9_-]`` by ``_`` (XNAT 5.4)."""
    return _NOT_LABEL.sub("_", text)
