"""The built-in identifiers: rules and defaults (XNAT 5), fixed project, study routing.

`engine.identification.identifiers` says how to write another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dicom.header import MODALITY, STUDY_INSTANCE_UID
from engine.model.identity import (
    DEFAULT_SESSION_LABEL,
    LABEL_REMEDY,
    Attribute,
    Decision,
    Identity,
    is_label,
    to_label,
)
from engine.model.plugins import DEFAULT_IDENTIFIERS, PROJECT_FIELD, IdentifierField, IdentifierInfo

if TYPE_CHECKING:
    from engine.identification.evaluation import RoutingEvaluation
    from engine.model.study_route import StudyRoute


class DefaultIdentifier:
    """XNAT's ``dicomObjectIdentifier`` (XNAT 5.2)."""

    info = DEFAULT_IDENTIFIERS[0]
    # Rules and defaults are counted by `Routing.tags`.
    tags: frozenset[int] = frozenset()
    is_settled_by_header = True

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return project, subject and session as rules and defaults say.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        project = evaluation.project()
        subject, session = evaluation.subject(), evaluation.session()
        return Identity(project, subject, session, evaluation.auto_archive(), evaluation.warning)


NO_MODALITY = "OT"
"""Other (PS3.3 C.7.3.1.1.1), for objects without a modality."""
MODALITY_CHARACTERS = 16
"""The longest CS value (PS3.5 6.2)."""


def _subject_fault(text: str) -> str:
    return "" if is_label(text) else "is not a label"


SUBJECT_FIELD = IdentifierField("subject", "Subject", LABEL_REMEDY, check=_subject_fault)


class FixedProjectSubject:
    """XNAT's FixedProjectSubject, with project and subject in the receiver (XNAT 7.2)."""

    info = IdentifierInfo(
        "fixedProjectSubject",
        "One project and subject for all objects",
        can_route=False,
        fields=(PROJECT_FIELD, SUBJECT_FIELD),
        on_request=True,
    )
    # The label depends on both: each study has a number of its own, and the modality is in it.
    tags = frozenset({STUDY_INSTANCE_UID, MODALITY})
    is_settled_by_header = True

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return the receiver's project and subject, and the study's label ``<subject>_CT1``.

        Raises:
            OutOfResources: if the label can't be looked up or kept.
            RoutingFailed: if an auto-archive rule fails.
        """
        settings = evaluation.routing.settings
        named, label = settings.get("project", ""), settings.get("subject", "")
        project = evaluation.routing.projects.find(named)
        missing = "" if project else f"the receiver's project {named!r} does not exist"
        # The peer's text becomes part of a label, so it is made one.
        modality = to_label(evaluation.header.modality or NO_MODALITY)[:MODALITY_CHARACTERS]
        session = evaluation.running_label(project, label, modality)
        return Identity(
            evaluation.settle(Attribute.PROJECT, project, "the receiver's project", missing),
            evaluation.settle(Attribute.SUBJECT, label, "the receiver's subject"),
            evaluation.settle(Attribute.SESSION, session, "the subject's next free label"),
            evaluation.auto_archive(),
            missing,
        )


PATIENT_NAME = 0x00100010
STUDY_ID = 0x00200010
ACCESSION_NUMBER = 0x00080050

_ROUTE = "the study's route"
_NAMES = {
    PATIENT_NAME: "(0010,0010) PatientName",
    STUDY_ID: "(0020,0010) StudyID",
    ACCESSION_NUMBER: "(0008,0050) AccessionNumber",
}


class StudyRouting:
    """XNAT's RoutedStudy, with labels as its query-retrieve identifier has them (XNAT 7.3, 7.4)."""

    info = IdentifierInfo(
        "studyRouting", "Where each study was announced to go", can_route=False, on_request=True
    )
    tags = frozenset(_NAMES)
    is_settled_by_header = False
    """A route may be announced or withdrawn at any time, so no answer is cached."""

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return the project and labels of the study's route; without one it is unassigned.

        Raises:
            OutOfResources: if the routes can't be read.
            RoutingFailed: if an auto-archive rule fails.
        """
        route = evaluation.study_route()
        project, warning = _project(evaluation, route)
        subject = _label(
            evaluation, Attribute.SUBJECT, route.subject if route else "", PATIENT_NAME
        )
        session = _label(
            evaluation,
            Attribute.SESSION,
            route.session if route else "",
            STUDY_ID,
            ACCESSION_NUMBER,
        )
        return Identity(project, subject, session, evaluation.auto_archive(), warning)


def _project(evaluation: RoutingEvaluation, route: StudyRoute | None) -> tuple[Decision, str]:
    """Return the announced project, without falling back to rules or defaults (XNAT 7.3)."""
    if route is None:
        why = "no route was announced for the study"
        return evaluation.settle(Attribute.PROJECT, None, _ROUTE, why), why
    project = evaluation.routing.projects.find(route.project)
    why = "" if project else f"the route's project {route.project!r} does not exist"
    return evaluation.settle(Attribute.PROJECT, project, _ROUTE, why), why


def _label(
    evaluation: RoutingEvaluation, attribute: Attribute, routed: str, *tags: int
) -> Decision:
    """Return the route's label, else the first of the elements that has a value."""
    if routed:
        return evaluation.settle(attribute, to_label(routed), _ROUTE)
    for tag in tags:
        text = evaluation.header.text(tag)
        if text and not text.isspace():
            return evaluation.settle(attribute, to_label(text), _NAMES[tag])
    otherwise = DEFAULT_SESSION_LABEL if attribute is Attribute.SESSION else None
    return evaluation.settle(attribute, otherwise, f"no value names a {attribute}", "no value")
