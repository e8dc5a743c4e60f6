"""Study routes: what they may say, one by one and as a CSV file."""

from __future__ import annotations

import pytest

from engine.errors import InvalidStudyRoute
from engine.model.project import Project, ProjectRegistry
from engine.model.study_route import StudyRoute, parse_study_route, read_study_routes_csv

PROJECTS = ProjectRegistry((Project("NEURO-01", aliases=("neuro",)), Project("CARDIO")))
HEAD = "study_instance_uid,project,subject,session\n"


def test_a_route_names_a_study_a_project_and_labels() -> None:
    raw = {"study_instance_uid": " 1.2.3 ", "project": "neuro", "session": "S1_v00"}
    assert parse_study_route(raw, PROJECTS) == StudyRoute("1.2.3", "neuro", "", "S1_v00")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("study_instance_uid", ""),
        ("study_instance_uid", "1..2"),
        ("study_instance_uid", "1.2."),
        ("study_instance_uid", "1.2\n3"),
        ("study_instance_uid", "١.٢"),
        ("study_instance_uid", "1." * 32 + "1"),
        ("project", ""),
        ("project", "Neuro"),
        ("project", "../NEURO-01"),
        ("subject", "Doe^Jane"),
        ("subject", "S" * 65),
        ("session", "a b"),
    ],
)
def test_a_member_is_refused_by_name(member: str, value: str) -> None:
    raw = {"study_instance_uid": "1.2.3", "project": "CARDIO", member: value}
    with pytest.raises(InvalidStudyRoute) as caught:
        parse_study_route(raw, PROJECTS)
    assert [problem.field for problem in caught.value.problems] == [member]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "1.2.3,NEURO-01,S1,E1\n1.2.4,CARDIO,,\n",
        HEAD.replace(",", ";") + "1.2.3;NEURO-01;S1;E1\r\n\r\n1.2.4;CARDIO;;\r\n",
        "Session\tStudy_Instance_UID\tProject\tSubject\nE1\t1.2.3\tNEURO-01\tS1\n\t1.2.4\tCARDIO\t",
        HEAD + '"1.2.3","NEURO-01","S1","E1"\n1.2.4,CARDIO\n1.2.4,CARDIO,,\n',
    ],
)
def test_a_file_names_its_columns_in_any_order_and_separates_them_as_it_likes(text: str) -> None:
    routes = read_study_routes_csv(text, PROJECTS)
    assert routes == (StudyRoute("1.2.3", "NEURO-01", "S1", "E1"), StudyRoute("1.2.4", "CARDIO"))


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("", 1, "file", "is missing"),
        ("study_instance_uid,subject\n", 1, "file", "is missing"),
        (HEAD.strip() + ",note\n", 1, "file", "is not a column"),
        ("project," + HEAD, 1, "file", "is there twice"),
        (HEAD + "1.2.3,CARDIO,S1,E1,more\n", 2, "file", "has 5 values for 4 columns"),
        (HEAD + '\n"1.2.3,CARDIO\n', 3, "file", "is not CSV: unexpected end of data"),
        (HEAD + "1.2.3,CARDIO,,\n1.2.4,NOPE,,\n", 3, "project", "names no project"),
        (HEAD + '1.2.3,CARDIO,"S\n1",\n', 3, "subject", "is not a label"),
        (HEAD + "1.2.3,CARDIO,,\n\n1.2.3,NEURO-01,,\n", 4, "study_instance_uid",
         "has another route on an earlier line"),
    ],
)  # fmt: skip
def test_a_file_is_refused_with_the_line(text: str, line: int, field: str, message: str) -> None:
    with pytest.raises(InvalidStudyRoute) as caught:
        read_study_routes_csv(text, PROJECTS)
    problem = caught.value.problems[0]
    assert (problem.line, problem.field, problem.message) == (line, field, message)


def test_all_lines_are_told_up_to_a_hundred() -> None:
    text = HEAD + "".join(f"1.2.{n},NOPE,,\n" for n in range(150))
    with pytest.raises(InvalidStudyRoute) as caught:
        read_study_routes_csv(text, PROJECTS)
    assert [problem.line for problem in caught.value.problems] == list(range(2, 102))
