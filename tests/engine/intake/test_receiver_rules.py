"""A receiver's routing expressions come before the defaults (XNAT 5.1, 5.5, 12.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.errors import RoutingFailed
from engine.model.project import Project, ProjectRegistry
from tests import dicom
from tests.engine.identification.identifying import identified, receiver_with, routing_of

if TYPE_CHECKING:
    from engine.model.identity import Identity
    from engine.model.receiver import Receiver

REGISTRY = ProjectRegistry((Project("P"), Project("P_rtd"), Project("A", aliases=("alphaproj",))))
COMMENT = "Project:P Subject:subj Session:sess"
ROUTED = dicom.Element(0x00140046, "LT", "Project:P_rtd Subject:subj_rtd Session:sess_rtd")
PATTERN = r"(0014,0046):Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+)"
RULES = receiver_with(f"{PATTERN}:1", f"{PATTERN}:2", f"{PATTERN}:3")


def identify(receiver: Receiver, *more: dicom.Element, **values: object) -> Identity:
    routing = routing_of(receiver, projects=REGISTRY)
    return identified(routing, *more, **{"PatientComments": COMMENT, **values})


def labels(identity: Identity) -> tuple[str | None, str | None, str]:
    return identity.project.value, identity.subject.value, identity.session_label


def test_rules_decide_and_say_which_one_did() -> None:
    identity = identify(RULES, ROUTED)
    assert labels(identity) == ("P_rtd", "subj_rtd", "sess_rtd")
    assert identity.project.source == "receiver rule in line 1, (0014,0046)"


def test_without_rules_the_defaults_decide() -> None:
    assert labels(identify(receiver_with(), ROUTED)) == ("P", "subj", "sess")


def test_a_blank_text_leaves_that_attribute_to_the_defaults() -> None:
    rules = replace(RULES, subject_routing="")
    assert labels(identify(rules, ROUTED)) == ("P_rtd", "subj", "sess_rtd")


def test_everything_to_one_project() -> None:
    rules = receiver_with("(0020,000E):(.*):1 t:.+ r:P_rtd", "", "")
    identity = identify(rules, PatientComments=None, PatientName="GSU001", PatientID="v00")
    assert labels(identity) == ("P_rtd", "GSU001", "v00")


def test_lines_are_tried_from_top_to_bottom() -> None:
    text = "(0010,4001):(.*):1 t:.+ r:first\n(0020,000E):(.*):1 t:.+ r:second"
    identity = identify(receiver_with("", text, ""))
    assert identity.subject.value == "second"
    assert identity.subject.source == "receiver rule in line 2, (0020,000E)"


@pytest.mark.parametrize(
    ("rule", "project"),
    [
        ("(0008,1030):(.*)", "A"),
        ("(0008,1030):(.*) t:A r:alphaproj", "A"),
        ("(0008,1030):(.*) t:A r:a", "P"),
        ("(0008,1030):(.*) t:A r:NOPE", "P"),
        ("(0008,1030):(nothing)", "P"),
    ],
)
def test_a_value_that_names_no_project_falls_through(rule: str, project: str) -> None:
    identity = identify(receiver_with(rule, "", ""), StudyDescription="A")
    assert identity.project.value == project
    assert identity.warning == ""


def test_labels_from_rules_are_sanitized_and_projects_are_not() -> None:
    rules = receiver_with("", "(0010,0010):(.*)", r"(0008,0020):(\d{4}).*")
    assert labels(identify(rules))[1:] == ("Doe_Jane", "2026")


def test_rules_may_read_tags_beyond_the_pixel_data_and_high_groups() -> None:
    late = dicom.Element(0xF2151050, "LO", "P_rtd")
    pixels = dicom.Element(dicom.PIXEL_DATA, "OW", bytes(8))
    rules = receiver_with("(F215,1050):(.*)", "", "")
    assert identify(rules, pixels, late).project.value == "P_rtd"


CATASTROPHIC = r"(0010,4000):((a|aa)+)!"
HOSTILE = "a" * 40


def test_a_project_rule_that_takes_too_long_leaves_the_object_unassigned_and_says_so() -> None:
    rules = receiver_with(f"{CATASTROPHIC}\n(0020,000E):(.*) t:.+ r:P", "", "")
    identity = identify(rules, PatientComments=HOSTILE, StudyDescription="A")
    assert identity.project.value is None
    assert identity.warning.startswith("a project rule failed")


def test_a_session_rule_that_takes_too_long_fails_the_object() -> None:
    rules = receiver_with("", "", CATASTROPHIC)
    with pytest.raises(RoutingFailed) as failed:
        identify(rules, PatientComments=HOSTILE)
    assert failed.value.status == 0xC000


def test_many_slow_rules_end_together_within_the_objects_time() -> None:
    rules = receiver_with("", "\n".join([r"(0010,4000):((a|aa)+)!"] * 50), "")
    with pytest.raises(RoutingFailed):
        identify(rules, PatientComments=HOSTILE)
