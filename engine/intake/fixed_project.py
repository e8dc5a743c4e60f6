"""The identifier ``fixedProjectSubject``: a receiver's objects go to one project, one subject."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.intake.header import MODALITY, STUDY_INSTANCE_UID
from engine.model.identifier import PROJECT_FIELD, IdentifierField, IdentifierInfo
from engine.model.identity import Identity, to_label
from engine.model.trace import Attribute

if TYPE_CHECKING:
    from engine.intake.inquiry import Inquiry

NO_MODALITY = "OT"
"""Other (PS3.3 C.7.3.1.1.1), for objects that don't say."""
MODALITY_CHARACTERS = 16
"""A CS value is not longer (PS3.5 6.2)."""

_SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _subject_fault(text: str) -> str:
    return "" if _SUBJECT.fullmatch(text) else "is not a label"


SUBJECT_FIELD = IdentifierField(
    "subject", "Subject", "use 1 to 64 letters, digits, '_' or '-'", check=_subject_fault
)


class FixedProjectSubject:
    """XNAT's FixedProjectSubject, with project and subject in the receiver (XNAT 7.2)."""

    info = IdentifierInfo(
        "fixedProjectSubject",
        "One project and subject for all objects",
        can_route=False,
        fields=(PROJECT_FIELD, SUBJECT_FIELD),
    )
    tags = frozenset({STUDY_INSTANCE_UID, MODALITY})
    is_settled_by_header = True

    def identify(self, inquiry: Inquiry) -> Identity:
        """Return the receiver's project and subject, and the study's label ``<subject>_CT1``.

        Raises:
            OutOfResources: if the label can't be looked up or kept.
            RoutingFailed: if an auto-archive rule fails.
        """
        settings = inquiry.routing.settings
        named, label = settings.get("project", ""), settings.get("subject", "")
        project = inquiry.routing.projects.find(named)
        missing = "" if project else f"the receiver's project {named!r} does not exist"
        modality = to_label(inquiry.header.modality or NO_MODALITY)[:MODALITY_CHARACTERS]
        session = inquiry.running_label(project, label, modality)
        return Identity(
            inquiry.settle(Attribute.PROJECT, project, "the receiver's project", missing),
            inquiry.settle(Attribute.SUBJECT, label, "the receiver's subject"),
            inquiry.settle(Attribute.SESSION, session, "the subject's next free label"),
            inquiry.auto_archive(),
            missing,
        )
