"""The identifier ``studyRouting``: studies go where somebody announced they would (XNAT 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identifier import IdentifierInfo
from engine.model.identity import DEFAULT_SESSION_LABEL, Decision, Identity, to_label
from engine.model.trace import Attribute

if TYPE_CHECKING:
    from engine.intake.inquiry import Inquiry
    from engine.model.study_route import StudyRoute

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

    info = IdentifierInfo("studyRouting", "Where each study was announced to go", can_route=False)
    tags = frozenset(_NAMES)
    is_settled_by_header = False
    """A route may be announced, or taken back, at any time."""

    def identify(self, inquiry: Inquiry) -> Identity:
        """Return the project and labels of the study's route; without one it is unassigned.

        Raises:
            OutOfResources: if the routes can't be read.
            RoutingFailed: if an auto-archive rule fails.
        """
        route = inquiry.study_route()
        project, warning = _project(inquiry, route)
        subject = _label(inquiry, Attribute.SUBJECT, route.subject if route else "", PATIENT_NAME)
        session = _label(
            inquiry, Attribute.SESSION, route.session if route else "", STUDY_ID, ACCESSION_NUMBER
        )
        return Identity(project, subject, session, inquiry.auto_archive(), warning)


def _project(inquiry: Inquiry, route: StudyRoute | None) -> tuple[Decision, str]:
    """Return the announced project; none of the usual values stands in for it (XNAT 7.3)."""
    if route is None:
        why = "no route was announced for the study"
        return inquiry.settle(Attribute.PROJECT, None, _ROUTE, why), why
    project = inquiry.routing.projects.find(route.project)
    why = "" if project else f"the route's project {route.project!r} does not exist"
    return inquiry.settle(Attribute.PROJECT, project, _ROUTE, why), why


def _label(inquiry: Inquiry, attribute: Attribute, routed: str, *tags: int) -> Decision:
    """Return the route's label, else the first element's value that there is."""
    if routed:
        return inquiry.settle(attribute, to_label(routed), _ROUTE)
    for tag in tags:
        text = inquiry.header.text(tag)
        if text and not text.isspace():
            return inquiry.settle(attribute, to_label(text), _NAMES[tag])
    otherwise = DEFAULT_SESSION_LABEL if attribute is Attribute.SESSION else None
    return inquiry.settle(attribute, otherwise, f"no value names a {attribute}", "no value")
