"""The default identifier: which value decides, and what the assignment grammar accepts."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.dicom.dataset import read_complete
from engine.identification.builtin import DefaultIdentifier
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.sources import Routing, assigned
from engine.model.identity import Decision, Identity, to_label
from engine.model.peer import AETitle
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.routing import SiteRouting
from tests.dicom import EXPLICIT_VR_LITTLE_ENDIAN, image

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView
    from engine.identification.identifiers import Identifier

PROJECTS = ProjectRegistry(
    (
        Project("A", aliases=("alphaproj", "shared")),
        Project("B", aliases=("shared",)),
        Project("P1"),
    )
)
DEFAULTS = Routing.of(Receiver(1, AETitle("XNAT"), 8104), SiteRouting(), PROJECTS)
NOTHING: dict[str, Any] = dict.fromkeys(
    ("StudyDescription", "AccessionNumber", "PatientName", "PatientID")
)


def header(**values: Any) -> HeaderView:
    return read_complete(image(**(NOTHING | values)), EXPLICIT_VR_LITTLE_ENDIAN)


def identify(**values: object) -> Identity:
    return DefaultIdentifier().identify(RoutingEvaluation(header(**values), DEFAULTS))


def test_the_default_identifier_is_an_identifier_with_xnats_name() -> None:
    identifier: Identifier = DefaultIdentifier()
    assert identifier.info.id == "dicomObjectIdentifier"
    assert identifier.info.is_default


# XNAT 5.3, with the texts of conformance/routing.json.
ASSIGNMENTS = [
    ("Project", "Project:P1 Subject:S1 Session:E1", "P1"),
    ("Project", "project : P1;subject : S1", "P1"),
    ("Subject", "Project:P1 Subject:S1 Session:E1", "S1"),
    ("Session", "Project: P1, Subject: S1, Session: E-1_a", "E-1_a"),
    ("Session", "Project:P1 Session:E1 Session:E2", "E2"),
    ("Project", "xProject:P1", None),
    ("Project", "see Project:P1", "P1"),
    ("Project", "Project:P.1", None),
    ("Project", "Project:", ""),
    ("Project", "Project: ", ""),
    ("Project", "Project:P1\nSubject:S1", "P1"),
    ("Subject", "Project:P1\nSubject:S1", "S1"),
    ("Subject", "Project:P1\r\nSubject:S1\r\nSession:E1", None),
    ("Session", "Project:P1\r\nSubject:S1\r\nSession:E1", None),
    ("Session", "Project:P1\nSubject:S1\nSession:E1", None),
    ("Project", "Project=P1", None),
    ("AA", "Project:P1 AA:true", "true"),
    ("Project", "PROJECT:P1", "P1"),
    ("Project", "Project:P1.", None),
    ("Project", "Project:P1:Subject:S1", None),
    ("Subject", "Project:P1:Subject:S1", None),
    ("Session", "Session:\u00e91", None),
    ("Project", "Project:P1 Session:S; Subject:", "P1"),
    ("Subject", "Project:P1 Subject: Session:E1", ""),
    ("Project", " Project:P1", "P1"),
    ("Project", "hello\nProject:P1", "P1"),
    # Run with Java 17: an assignment at the very start is tried before any later one.
    ("Session", "Session:E1 Session:E2", "E1"),
    ("Session", "Session:E.1 Session:E2", "E2"),
    ("Session", "Session:E1\x85Session:E2", None),
    ("Session", "x Session:E2 ,Session:\n", ""),
    ("Project", "PROJECT\u017f:P1", None),
    ("Session", "\u017fession:E1", None),
    ("Project", "", None),
]


@pytest.mark.parametrize(("key", "text", "value"), ASSIGNMENTS)
def test_an_assignment_reads_as_in_java(key: str, text: str, value: str | None) -> None:
    assert assigned(text, key) == value


def by_regular_expression(text: str, key: str) -> str | None:
    """Match XNAT's expression with what Java means by "." and Python doesn't."""
    anything = "[^\n\r\x85\u2028\u2029]*"
    expression = rf"(?:\A|(?:{anything}[\s,;])){key}\s*\:\s*([\w\-]*)(?:(?:[\s,;]{anything}\Z)|\Z)"
    found = re.fullmatch(expression, text, re.IGNORECASE | re.ASCII)
    return found and found[1]


_TEXTS = st.lists(
    st.sampled_from(
        ["AA", "aa", ":", " ", "  ", "\n", "\r", "\x85", "\u2028", "\t", ",", ";", "x", "-", "."]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=1_000, deadline=None)
@given(_TEXTS)
@example("AA:\nx")
@example("AA: \n AA")
@example(" AA\n:\nx\n")
def test_assignments_are_read_in_linear_time_as_the_expression_reads_them(text: str) -> None:
    assert assigned(text, "AA") == by_regular_expression(text, "AA")


@pytest.mark.parametrize(
    "text",
    [
        "Project:" * 1_250,
        "Project: " * 1_100,
        " Project" + " " * 10_000,
        " Project:" + " " * 10_000 + "!",
        "Project " * 1_250,
        ",Project:x!" * 900,
        " " * 10_000,
        "\n" * 5_000 + " Project:x" * 500,
        "Project:" + "x" * 10_000 + "!",
        ("Project" + " " * 50 + ":" + " " * 50) * 90,
    ],
)
def test_hostile_text_of_10_kb_costs_less_than_10_ms(text: str) -> None:
    times = []
    for _ in range(3):
        started = time.process_time()
        assigned(text, "Project")
        times.append(time.process_time() - started)
    assert min(times) < (0.01 if sys.gettrace() is None else 0.2)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (",f:o^o)", "_f_o_o_"),
        ("M\u00fcller", "M_ller"),
        ("Doe^Jane A.", "Doe_Jane_A_"),
        ("Sample Patient", "Sample_Patient"),
        ("Sample-ID", "Sample-ID"),
    ],
)
def test_labels_are_sanitized(text: str, label: str) -> None:
    assert to_label(text) == label
    identity = identify(PatientName=text.encode("latin-1"), PatientID=text.encode("latin-1"))
    assert (identity.subject.value, identity.session.value) == (label, label)


COMMENTS = ("PatientComments", "StudyComments", "AdditionalPatientHistory")
NOTHING_NAMES_A_PROJECT = Decision(None, "no value names a project")


@pytest.mark.parametrize(
    ("values", "project", "source"),
    [
        ({"PatientComments": "Project:A"}, "A", "(0010,4000) PatientComments Project:"),
        ({"StudyComments": "Project:A"}, "A", "(0032,4000) StudyComments Project:"),
        (
            {"AdditionalPatientHistory": "Project:A"},
            "A",
            "(0010,21B0) AdditionalPatientHistory Project:",
        ),
        ({"StudyDescription": "A"}, "A", "(0008,1030) StudyDescription"),
        ({"AccessionNumber": "A"}, "A", "(0008,0050) AccessionNumber"),
        ({"StudyDescription": "alphaproj"}, "A", "(0008,1030) StudyDescription"),
        ({"StudyDescription": " A "}, "A", "(0008,1030) StudyDescription"),
        (
            {"PatientComments": "Project:P1", "StudyDescription": "A"},
            "P1",
            "(0010,4000) PatientComments Project:",
        ),
        (
            {"PatientComments": "Project:P1", "StudyComments": "Project:A"},
            "P1",
            "(0010,4000) PatientComments Project:",
        ),
        (
            {"PatientComments": "Project:NOPE", "StudyDescription": "A"},
            "A",
            "(0008,1030) StudyDescription",
        ),
        (
            {"StudyDescription": "NOPE", "AccessionNumber": "A"},
            "A",
            "(0008,0050) AccessionNumber",
        ),
        (
            {"PatientComments": "Project:", "StudyDescription": "A"},
            "A",
            "(0008,1030) StudyDescription",
        ),
    ],
)
def test_the_first_value_that_names_a_project_wins(
    values: dict[str, object], project: str, source: str
) -> None:
    assert identify(**values).project == Decision(project, source)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"StudyDescription": "a"},
        {"StudyDescription": "NOPE", "AccessionNumber": "ACC-1", "PatientComments": "Project:X"},
        {"StudyDescription": "shared"},
        {"StudyDescription": "A B"},
        {"PatientComments": "A"},
        {"PatientName": "A", "PatientID": "A"},
    ],
)
def test_without_a_known_project_an_object_is_unassigned(values: dict[str, object]) -> None:
    """XNAT 5.5: spelling is exact, and a name of two projects is none."""
    assert identify(**values).project == NOTHING_NAMES_A_PROJECT


@pytest.mark.parametrize("comment", COMMENTS)
def test_subject_and_session_come_from_comments_first(comment: str) -> None:
    values = {comment: "Subject:S-1 Session:E_1", "PatientName": "Doe^Jane", "PatientID": "P-1"}
    identity = identify(**values)
    assert identity.subject.value == "S-1"
    assert identity.session.value == "E_1"
    assert identity.subject.source.endswith(f"{comment} Subject:")
    assert identity.session.source.endswith(f"{comment} Session:")


def test_subject_and_session_come_from_patient_name_and_id_else() -> None:
    identity = identify(PatientName="Doe^Jane", PatientID="P-1", PatientComments="Subject: ")
    assert identity.subject == Decision("Doe_Jane", "(0010,0010) PatientName")
    assert identity.session == Decision("P-1", "(0010,0020) PatientID")


def test_without_patient_the_subject_is_unknown_and_the_session_has_the_default_label() -> None:
    identity = identify(PatientName="^^", PatientID="  ")
    assert identity.subject == Decision(None, "no value names a subject")
    assert identity.session == Decision("dicom_upload", "no value names a session")
    assert identity.session_label == "dicom_upload"


@pytest.mark.parametrize(
    ("text", "auto_archive"),
    [
        ("AA:true", True),
        ("aa:T", True),
        ("AA:TRUE", True),
        ("AA:false", False),
        ("AA:f", False),
        ("AA:yes", None),
        ("AA:truely", None),
        ("AA:", None),
        ("", None),
    ],
)
def test_auto_archive_is_what_the_comment_says(text: str, auto_archive: bool | None) -> None:
    assert identify(PatientComments=text).auto_archive is auto_archive


def test_auto_archive_without_a_clear_word_is_not_looked_for_elsewhere() -> None:
    identity = identify(PatientComments="AA:maybe", StudyComments="AA:true")
    assert identity.auto_archive is None
