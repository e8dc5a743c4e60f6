"""Study routes: announced one by one or as a file, listed, and taken back."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydicom.data import get_testdata_file

from tests.engine.cli.test_cli_settings import LOGIN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

HEAD = "study_instance_uid,project,subject,session\n"


@pytest.fixture(autouse=True)
def _projects(run: Run) -> None:
    run("projects", "add", "NEURO-01", "--alias", "neuro")
    run("projects", "add", "CARDIO")


def test_a_route_is_added_listed_and_deleted(run: Run) -> None:
    added = run("study-routes", "add", "1.2.3", "--project", "neuro", "--subject", "S1", "--json")
    (route,) = added.data["study_routes"]
    assert route.pop("added_at")
    expected = {"study_instance_uid": "1.2.3", "project": "neuro", "subject": "S1", "session": ""}
    assert route == {**expected, "added_by": LOGIN}
    assert run("study-routes", "list", "--json").data["study_routes"][0]["subject"] == "S1"
    assert run("study-routes", "list").out.splitlines()[1].split()[:3] == ["1.2.3", "neuro", "S1"]
    assert run("study-routes", "delete", "1.2.3").code == 10
    deleted = run("study-routes", "delete", "1.2.3", "--yes")
    assert "deleted the route of 1.2.3" in deleted.err
    assert run("study-routes", "list", "--json").data == {"study_routes": []}
    assert run("study-routes", "delete", "1.2.3", "--yes").code == 4


def test_without_any_route_there_is_nothing_to_list_or_delete(run: Run, data: Path) -> None:
    assert run("study-routes", "list", "--json").data == {"study_routes": []}
    assert run("study-routes", "delete", "1.2.3", "--yes").code == 4
    assert not (data / "state.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("1.2.x", "--project", "CARDIO"), "study_instance_uid '1.2.x': is not a UID"),
        (("1.2.3", "--project", "NOPE"), "project 'NOPE': names no project"),
        (("1.2.3", "--project", "CARDIO", "--subject", "a b"), "subject 'a b': is not a label"),
        (("1.2.3",), "the following arguments are required: --project"),
    ],
)
def test_a_route_is_refused_in_words(run: Run, arguments: tuple[str, ...], said: str) -> None:
    outcome = run("study-routes", "add", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_another_route_for_a_study_needs_to_be_meant(run: Run) -> None:
    run("study-routes", "add", "1.2.3", "--project", "CARDIO")
    again = run("study-routes", "add", "1.2.3", "--project", "CARDIO")
    assert "added 0 study routes, 1 known already" in again.err
    other = ("study-routes", "add", "1.2.3", "--project", "NEURO-01")
    assert run(*other).code == 2
    assert run(*other, "--replace").code == 0
    assert run("study-routes", "list", "--json").data["study_routes"][0]["project"] == "NEURO-01"


def test_a_file_is_imported_as_a_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "studies.csv"
    file.write_text(f"{HEAD}1.2.3,CARDIO,S1,E1\n1.2.4,NOPE,,\n")
    refused = run("study-routes", "import", str(file), "--json")
    assert refused.code == 2
    (problem,) = refused.error["problems"]
    assert (problem["field"], problem["line"], problem["value"]) == ("project", 3, "NOPE")
    assert run("study-routes", "list", "--json").data == {"study_routes": []}
    file.write_text(f"{HEAD}1.2.3,CARDIO,S1,E1\n1.2.4,neuro,,\n")
    assert "added 2 study routes" in run("study-routes", "import", str(file)).err
    listed = run("study-routes", "list", "--json").data["study_routes"]
    assert [route["study_instance_uid"] for route in listed] == ["1.2.3", "1.2.4"]
    assert run("study-routes", "import", str(tmp_path / "none.csv")).code == 2


def test_a_file_comes_from_standard_input(data: Path, run: Run) -> None:
    command = [sys.executable, "-m", "engine", "--data", str(data), "study-routes", "import", "-"]
    subprocess.run(command, input=f"{HEAD}1.2.3,CARDIO\n", text=True, check=True,
                   capture_output=True)  # fmt: skip
    assert len(run("study-routes", "list", "--json").data["study_routes"]) == 1


def test_a_dry_run_shows_where_an_announced_study_would_go(run: Run, tmp_path: Path) -> None:
    routed = ("--ae-title", "R", "--port", "8105", "--identifier", "studyRouting")
    run("receivers", "add", *routed)
    file = str(get_testdata_file("CT_small.dcm"))

    def place() -> tuple[str | None, str]:
        (found,) = run("route", file, "--receiver", "R", "--show-values", "--json").data["objects"]
        return found["project"], found["session"]

    before = place()
    uid = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
    run("study-routes", "add", uid, "--project", "neuro", "--session", "S1_v00")
    assert (before[0], place()) == (None, ("NEURO-01", "S1_v00"))
