"""A trace tells who was asked, what was seen, and why that was not the answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dicom.dataset import read_complete
from engine.identification.builtin import DefaultIdentifier
from engine.identification.identifiers import explain
from engine.model.identity import Attribute, Source
from engine.model.project import Project, ProjectRegistry
from tests import dicom
from tests.engine.identification.identifying import (
    explained,
    header_of,
    identified,
    receiver_with,
    routing_of,
    site_with,
)

PROJECTS = ProjectRegistry(
    (Project("NEURO"), Project("A", aliases=("both",)), Project("B", aliases=("both",)))
)


def test_every_step_is_told_up_to_the_one_that_decides() -> None:
    routing = routing_of(
        receiver_with(project="(0008,0060):(MR)\n\n(0010,0020):(P)-.*:1 t:P r:NOPE"),
        site_with(project="(0008,1030):(NEURO).*"),
        PROJECTS,
    )
    trace = explained(routing, StudyDescription="NEURO follow-up").trace
    first, second, third = trace.of(Attribute.PROJECT)
    assert (first.source, first.line, first.rule) == (Source.RECEIVER, 1, "(0008,0060):(MR)")
    assert (first.element, first.value, first.captured) == ("(0008,0060) Modality", "CT", None)
    assert first.why_not == "pattern must match the whole value: stopped at character 1"
    assert (second.line, second.captured, second.given) == (3, "P", "NOPE")
    assert second.why_not == "project 'NOPE' does not exist"
    assert (third.source, third.value, third.captured, third.result, third.why_not) == (
        Source.SITE,
        "NEURO follow-up",
        "NEURO",
        "NEURO",
        "",
    )
    assert trace.deciding(Attribute.PROJECT) is third


@pytest.mark.parametrize(
    ("rule", "values", "why_not"),
    [
        ("(0010,4001):(.*)", {}, "the object has no such element"),
        ("(0008,1140):(.*)", {}, "the element is empty or no text"),
        ("(0008,0060):(M)?.*", {}, "group 1 took no part in the match"),
        ("(0008,0060):(CT)R", {}, "pattern must match the whole value: the value ends too early"),
        ("(0008,0060):(.*) t:.+ r:", {}, "the result is empty"),
        ("(0008,0060):(.*)", {}, "project 'CT' does not exist"),
        ("(0008,0060):(.*) t:.+ r:neuro", {}, "project 'neuro' does not exist; is 'NEURO' meant?"),
        ("(0008,0060):(.*) t:.+ r:both", {}, "'both' names more than one project"),
        (
            "(0008,1030):.*(END)",
            {"StudyDescription": "x" * 62 + "END"},
            "pattern must match the whole value: the value ends too early; "
            "value cut to 64 characters",
        ),
        (
            "(0008,1030):x*(y+)",
            {"StudyDescription": "x" * 62 + "yyy"},
            "project 'yy' does not exist; value cut to 64 characters",
        ),
    ],
)
def test_why_a_rule_gave_no_project_is_said(
    rule: str, values: dict[str, object], why_not: str
) -> None:
    sequence = dicom.Element(0x00081140, "SQ", [])
    routing = routing_of(receiver_with(project=rule), projects=PROJECTS)
    step = explained(routing, sequence, **values).trace.of(Attribute.PROJECT)[0]
    assert (step.result, step.why_not) == (None, why_not)


@pytest.mark.parametrize(
    ("comment", "why_not"),
    [
        ("Project", "no Project: followed by letters, digits, '_' or '-'"),
        ("Project:", "Project: has no value"),
        ("Project:X", "project 'X' does not exist"),
        (
            "Subject:s\nSession:e\nProject:NEURO",
            "Project: stands where line breaks hide it; see tolerant comments",
        ),
    ],
)
def test_why_a_comment_named_no_project_is_said(comment: str, why_not: str) -> None:
    trace = explained(routing_of(projects=PROJECTS), PatientComments=comment).trace
    assert trace.of(Attribute.PROJECT)[0].why_not == why_not


def test_defaults_are_told_like_rules() -> None:
    trace = explained(routing_of(projects=PROJECTS), StudyDescription="NEURO").trace
    steps = trace.of(Attribute.PROJECT)
    assert [(s.rule, s.element) for s in steps] == [
        ("Project:", "(0010,4000) PatientComments"),
        ("Project:", "(0032,4000) StudyComments"),
        ("Project:", "(0010,21B0) AdditionalPatientHistory"),
        ("whole value", "(0008,1030) StudyDescription"),
    ]
    assert [step.decided for step in steps] == [False, False, False, True]
    assert trace.deciding(Attribute.AUTO_ARCHIVE) is None


def test_an_unclear_word_about_auto_archiving_is_said_to_be_unclear() -> None:
    found = explained(routing_of(), PatientComments="AA:maybe")
    step = found.trace.deciding(Attribute.AUTO_ARCHIVE)
    assert step is not None
    assert (step.result, step.why_not) == (
        "maybe",
        "neither true nor false, so the project's setting counts",
    )
    clear = explained(routing_of(), PatientComments="AA:f").trace.deciding(Attribute.AUTO_ARCHIVE)
    assert clear is not None
    assert clear.why_not == ""


def test_an_element_beyond_what_was_read_is_not_said_to_be_missing() -> None:
    far = "(F215,1050):(.*)"
    routing = routing_of(receiver_with(subject=far))
    step = explain(DefaultIdentifier(), header_of(), routing).trace.of(Attribute.SUBJECT)[0]
    assert step.why_not == "not known: nothing beyond group 0032 was read"


def test_a_rule_that_fails_ends_the_trace_of_its_attribute() -> None:
    slow = r"(0010,4000):((a|aa)+)!"
    routing = routing_of(receiver_with(project=f"{slow}\n(0008,0060):(.*)"))
    found = explained(routing, PatientComments="a" * 60)
    (step,) = found.trace.of(Attribute.PROJECT)
    assert step.failed
    assert "took longer than 10 ms" in step.why_not
    assert found.identity is not None
    assert "took longer than 10 ms" in found.identity.warning


SECRET = "Zebedee"


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("(0010,0010):(.*)", {"PatientName": SECRET}),
        ("(0010,0010):(.*) t:e r:f", {"PatientName": SECRET}),
        ("(0010,0010):(Z).*", {"PatientName": SECRET}),
        ("(0010,0010):(z).*", {"PatientName": SECRET}),
        ("(0008,0060):(MR)", {"PatientComments": f"Project:{SECRET}"}),
        ("(0008,0060):(MR)", {"StudyDescription": SECRET, "PatientID": SECRET}),
    ],
)
def test_a_masked_identification_holds_no_value_of_the_object(
    rule: str, values: dict[str, object]
) -> None:
    routing = routing_of(receiver_with(rule, rule, rule), projects=PROJECTS)
    found = explained(routing, **values)
    shown = repr(found)
    assert SECRET in shown or "Zfbfdff" in shown
    masked = repr(found.masked())
    assert SECRET not in masked
    assert "Zfbfdff" not in masked
    assert "Doe" not in masked


def test_masking_keeps_lengths_rules_and_places() -> None:
    routing = routing_of(receiver_with(project="(0010,0010):(Z).*"), projects=PROJECTS)
    step = explained(routing, PatientName=SECRET).trace.of(Attribute.PROJECT)[0].masked()
    assert (step.value, step.captured, step.given) == ("•" * 7, "•", "•")
    assert (step.line, step.rule) == (1, "(0010,0010):(Z).*")
    assert step.why_not == "project '•' does not exist"


_VALUES = st.text("NEUROPST:_ \n1", max_size=10)
_RULES = st.sampled_from(
    ["", "(0008,1030):(.*)", "(0010,4000):(N).*", "(0010,0020):(.)?.*", "(0008,0050):(.*) t:1 r:"]
)


@settings(max_examples=150, deadline=None)
@given(_VALUES, _VALUES, _VALUES, _RULES, _RULES)
def test_telling_the_steps_changes_no_decision(
    comment: str, description: str, number: str, receiver: str, site: str
) -> None:
    routing = routing_of(
        receiver_with(receiver, site, receiver),
        site_with(project=site, subject=receiver, auto_archive=receiver),
        PROJECTS,
    )
    values = {
        "PatientComments": comment,
        "StudyDescription": description,
        "AccessionNumber": number,
    }
    found = explained(routing, **values)
    assert found.identity == identified(routing, **values)
    identity = found.identity
    assert identity is not None
    for attribute, value in (
        (Attribute.PROJECT, identity.project.value),
        (Attribute.SUBJECT, identity.subject.value),
    ):
        step = found.trace.deciding(attribute)
        assert (step and step.result) == value


def test_an_object_without_anything_is_explained_too() -> None:
    header = read_complete(
        dicom.encode([dicom.element("Modality", "CT")], dicom.EXPLICIT_VR_LITTLE_ENDIAN),
        dicom.EXPLICIT_VR_LITTLE_ENDIAN,
    )
    found = explain(DefaultIdentifier(), header, routing_of())
    assert found.outcome == ("Unassigned", "", "dicom_upload", None)
