"""``fixedProjectSubject`` and ``studyRouting``: where their objects go (XNAT 7.2 to 7.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.identification.builtin import FixedProjectSubject, StudyRouting
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.identifiers import explain
from engine.model.project import Project, ProjectRegistry
from engine.model.study_route import StudyRoute
from engine.state.studies import NO_STUDIES
from tests.engine.identification.identifying import header_of, routing_of

if TYPE_CHECKING:
    from engine.identification.identifiers import Identifier
    from engine.identification.sources import Routing
    from engine.model.identity import Identification, Identity
    from engine.state.studies import LabelKey

PROJECTS = ProjectRegistry((Project("P", aliases=("alias",)), Project("Q")))
FIXED: dict[str, Any] = {"project": "alias", "subject": "S1"}
STUDY = "1.2.826.0.1.3680043.8.498.2"
"""The Study Instance UID of the small image."""


class Announced:
    """Studies of which one is known."""

    def __init__(self, route: StudyRoute | None = None) -> None:
        self.known = route
        self.asked: list[tuple[LabelKey, str, bool]] = []

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        return self.known if study_instance_uid == STUDY else None

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        self.asked.append((key, modality, take))
        return NO_STUDIES.label(key, modality, take=take)


def routing(studies: Announced | None = None, **settings: Any) -> Routing:
    return replace(routing_of(projects=PROJECTS), settings=settings, studies=studies or Announced())


def identified(identifier: Identifier, routing: Routing, **values: Any) -> Identity:
    return identifier.identify(RoutingEvaluation(header_of(**values), routing))


def explained(identifier: Identifier, routing: Routing, **values: Any) -> Identification:
    return explain(identifier, header_of(**values), routing)


def labels(identity: Identity) -> tuple[str | None, str | None, str | None]:
    return identity.project.value, identity.subject.value, identity.session.value


def test_a_fixed_project_and_subject_hold_for_all_objects() -> None:
    identity = identified(FixedProjectSubject(), routing(**FIXED), PatientComments="Project:Q AA:t")
    assert labels(identity) == ("P", "S1", "S1_CT1")
    assert (identity.auto_archive, identity.warning) == (True, "")


@pytest.mark.parametrize(
    ("modality", "label"),
    [("MR", "S1_MR1"), (None, "S1_OT1"), ("M/R\\CT", "S1_M_R1"), ("X" * 40, f"S1_{'X' * 16}1")],
)
def test_the_label_names_the_modality(modality: str | None, label: str) -> None:
    identity = identified(FixedProjectSubject(), routing(**FIXED), Modality=modality)
    assert identity.session.value == label


def test_a_fixed_project_that_is_gone_leaves_objects_unassigned_and_says_so() -> None:
    identity = identified(FixedProjectSubject(), routing(project="GONE", subject="S1"))
    assert labels(identity) == (None, "S1", "S1_CT1")
    assert identity.warning == "the receiver's project 'GONE' does not exist"


def test_only_an_object_that_is_stored_takes_a_label() -> None:
    studies = Announced()
    identified(FixedProjectSubject(), routing(studies, **FIXED))
    found = explained(FixedProjectSubject(), routing(studies, **FIXED))
    assert [(tuple(key), take) for key, _, take in studies.asked] == [
        (("P", "S1", STUDY), True),
        (("P", "S1", STUDY), False),
    ]
    assert [step.result for step in found.trace.steps][:3] == ["P", "S1", "S1_CT1"]


def test_an_announced_study_goes_where_its_route_says() -> None:
    studies = Announced(StudyRoute(STUDY, "alias", "S9", "S9_v00"))
    identity = identified(StudyRouting(), routing(studies), PatientComments="Project:Q AA:false")
    assert labels(identity) == ("P", "S9", "S9_v00")
    assert (identity.auto_archive, identity.warning) == (False, "")
    assert identity.project.source == "the study's route"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"StudyID": "V 00"}, ("P", "Doe_Jane", "V_00")),
        ({"StudyID": None}, ("P", "Doe_Jane", "ACC-1")),
        ({"StudyID": "  "}, ("P", "Doe_Jane", "ACC-1")),
        ({"AccessionNumber": None, "PatientName": None}, ("P", None, "dicom_upload")),
    ],
)
def test_labels_that_a_route_leaves_open_come_from_the_object(
    values: dict[str, object], expected: tuple[str | None, ...]
) -> None:
    identity = identified(StudyRouting(), routing(Announced(StudyRoute(STUDY, "P"))), **values)
    assert labels(identity) == expected


def test_a_study_that_nobody_announced_is_unassigned_whatever_its_header_says() -> None:
    identity = identified(StudyRouting(), routing(), StudyDescription="P", StudyID="V00")
    assert labels(identity) == (None, "Doe_Jane", "V00")
    assert identity.warning == "no route was announced for the study"


def test_a_route_to_a_project_that_is_gone_leaves_objects_unassigned_and_says_so() -> None:
    studies = Announced(StudyRoute(STUDY, "GONE"))
    identity = identified(StudyRouting(), routing(studies), StudyInstanceUID=STUDY)
    assert identity.project.value is None
    assert identity.warning == "the route's project 'GONE' does not exist"


def test_an_object_without_a_study_has_no_route() -> None:
    studies = Announced(StudyRoute(STUDY, "P"))
    found = explained(StudyRouting(), routing(studies), StudyInstanceUID=None)
    assert found.identity is not None
    assert found.identity.project.value is None
    assert found.trace.steps[0].why_not == "no route was announced for the study"
