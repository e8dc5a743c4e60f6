"""Where an object belongs, and which element said so."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    def session_label(self) -> str:
        """The session's label, never empty."""
        return self.session.value or DEFAULT_SESSION_LABEL


def to_label(text: str) -> str:
    """Replace every character outside ``[A-Za-z0-9_-]`` by ``_`` (XNAT 5.4)."""
    return _NOT_LABEL.sub("_", text)
