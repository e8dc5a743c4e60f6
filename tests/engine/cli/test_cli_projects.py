"""Projects: added, shown, changed with their texts, and removed with a word about what stays."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine.host.clock import SystemClock
from engine.index.store import SessionIndex, SessionKey, SessionOrigin
from engine.model.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run, TypeIn

BRAIN = Project("BRAIN", "Brain – Zürich", ("b", "hirn")).to_record()
SCRIPT = 'version "6.1"\n(0010,0010) := "ANON"\n'


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "script.das"
    file.write_text(SCRIPT)
    return str(file)


def add_brain(run: Run) -> None:
    added = run("projects", "add", "BRAIN", "--title", "Brain – Zürich", "--alias", "b",
                "--alias", "hirn", "--json")  # fmt: skip
    assert added.data == {"revision": 1, "project": BRAIN}


def receive(data: Path, *labels: str, project: str = "BRAIN") -> None:
    index = SessionIndex(data / "index.sqlite", durable=False)
    origin = SessionOrigin("S1", None, "XNAT:8104", "CT1", SystemClock().now())
    for label in labels:
        index.session_for(
            SessionKey(project, "1.2", label), origin, lambda at: (project, f"{at:%f}")
        )
    index.close()


def test_projects_are_added_listed_and_deleted(run: Run) -> None:
    add_brain(run)
    assert run("projects", "list", "--json").data == {"revision": 1, "projects": [BRAIN]}
    line = run("projects", "list").out.splitlines()[1]
    assert line == "BRAIN  Brain – Zürich  b, hirn  archive       none    no      0"
    assert run("projects", "delete", "BRAIN", "--yes", "--json").data["project"] == BRAIN
    assert run("projects", "list", "--json").data["projects"] == []
    assert run("projects", "delete", "BRAIN").code == 4


@pytest.mark.parametrize(
    "arguments",
    [("BRAIN",), ("X", "--alias", "BRAIN"), ("A/B",), ("X", "--auto-archive", "11")],
)
def test_a_project_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    run("projects", "add", "BRAIN")
    outcome = run("projects", "add", *arguments, "--json")
    assert outcome.code == 2
    assert outcome.error["title"] == "The project is not valid"


def test_the_given_fields_are_changed_and_the_others_stay(run: Run, script: str) -> None:
    add_brain(run)
    run("projects", "edit", "BRAIN", "--auto-archive", "manual", "--anonymization-script", script)
    shown = run("projects", "show", "BRAIN", "--json").data
    assert shown["project"] == BRAIN | {
        "auto_archive": 0,
        "anonymization_script": SCRIPT,
        "anonymization_script_revision": 2,
    }
    table = [line.split(maxsplit=1) for line in run("projects", "show", "BRAIN").out.splitlines()]
    assert ["auto_archive", "manual (0)"] in table
    assert ["anonymization_script", "2 lines"] in table
    edited = run("projects", "edit", "BRAIN", "--alias", "c", "--json").data["project"]
    assert (edited["aliases"], edited["title"]) == (["c"], "Brain – Zürich")


def test_a_text_is_shown_alone_and_emptied(run: Run, script: str) -> None:
    run("projects", "add", "BRAIN", "--anonymization-script", script, "--alias", "b")
    assert run("projects", "show", "BRAIN", "--text", "anonymization_script").out == SCRIPT
    emptied = run("projects", "edit", "BRAIN", "--anonymization-script", "",
                  "--alias", "", "--json").data["project"]  # fmt: skip
    assert (emptied["anonymization_script"], emptied["aliases"]) == ("", [])
    assert run("projects", "show", "BRAIN", "--text", "anonymization_script").out == ""


def test_a_text_comes_from_standard_input(data: Path) -> None:
    command = [sys.executable, "-m", "engine", "--data", str(data), "projects", "add", "BRAIN",
               "--series-import-filter", "-", "--json"]  # fmt: skip
    outcome = subprocess.run(command, input="^T1\n", capture_output=True, text=True, check=True)
    assert '"series_import_filter": "^T1\\n"' in outcome.stdout


def test_a_bad_text_is_refused_with_line_and_column(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "filter"
    file.write_text("^T1\nab\x1b[2J\n")
    outcome = run("projects", "add", "BRAIN", "--series-import-filter", str(file))
    assert (outcome.code, outcome.out) == (2, "")
    assert "series_import_filter line 2 column 3 '\\x1b': is a control character" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "B", "--auto-archive", "soon"), "none of manual, archive, overwrite"),
        (("add", "B", "--series-import-filter", "/nowhere/f"), "can't read /nowhere/f"),
        (("edit", "BRAIN", "--unset", "id"), "unrecognized arguments: --unset"),
        (("show", "BRAIN", "--text", "title"), "invalid choice: 'title'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    outcome = run("projects", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.parametrize("verb", ["show", "edit", "delete"])
def test_a_project_that_does_not_exist_is_not_found(run: Run, verb: str) -> None:
    assert run("projects", verb, "NOPE").code == 4


def test_deleting_says_how_many_sessions_stay(
    run: Run, data: Path, stdin: TypeIn, store: ConfigurationStore
) -> None:
    add_brain(run)
    receive(data, "E1", "E2")
    receive(data, "E1", project="HEART")
    told = ("--identifier-setting", "project=hirn", "--identifier-setting", "subject=S1")
    run("receivers", "add", "--ae-title", "FIX", "--port", "8105", "--identifier",
        "fixedProjectSubject", *told)  # fmt: skip
    assert run("projects", "show", "BRAIN", "--json").data["sessions"] == 2
    stdin("n\n", True)
    refused = run("projects", "delete", "BRAIN")
    assert refused.code == 10
    assert "2 sessions of it lie here; their files stay where they are" in refused.err
    assert "Receiver FIX:8105 names it." in refused.err
    assert store.load().projects.find("BRAIN") == "BRAIN"
    assert "2 sessions stay" in run("projects", "delete", "BRAIN", "--yes").err
    assert store.load().projects.find("BRAIN") is None


def test_a_change_by_somebody_else_is_not_overwritten(
    run: Run, store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_brain(run)
    parse = Project.parse

    def parse_slowly(raw: dict[str, object]) -> Project:
        """Somebody is faster, between reading and saving."""
        monkeypatch.setattr(Project, "parse", parse)
        seen = store.load().projects.project("BRAIN")
        store.save_project(Project("BRAIN", "Theirs"), "berta", replacing=seen)
        return parse(raw)

    monkeypatch.setattr("engine.cli.projects.Project.parse", parse_slowly)
    outcome = run("projects", "edit", "BRAIN", "--title", "Mine")
    assert outcome.code == 6
    assert "project BRAIN was changed by berta" in outcome.err


def test_a_script_and_a_profile_are_switched(run: Run, script: str) -> None:
    kept = run("projects", "add", "BRAIN", "--anonymization-script", script)
    assert "kept but off; --script-enabled lets it run on archiving" in kept.err
    run("projects", "edit", "BRAIN", "--script-enabled", "--profile-enabled", "--retain", "uids",
        "--shift-days", "-30")  # fmt: skip
    table = [line.split(maxsplit=1) for line in run("projects", "show", "BRAIN").out.splitlines()]
    assert ["profile", "on, keeps uids, moves dates by -30 days"] in table
    assert ["anonymization_script_enabled", "yes"] in table
    off = ("--retain", "nothing", "--shift-days", "0", "--no-script-enabled")
    edited = run("projects", "edit", "BRAIN", *off, "--json").data["project"]
    assert edited["profile"] == {"enabled": True, "retain": [], "shift_days": None}
    assert not edited["anonymization_script_enabled"]
    refused = run("projects", "edit", "BRAIN", "--retain", "faces")
    assert (refused.code, "choose from" in refused.err) == (2, True)


@pytest.mark.parametrize("switch", [(), ("--script-enabled",)])
def test_a_text_that_is_no_script_is_refused(
    run: Run, tmp_path: Path, switch: tuple[str, ...]
) -> None:
    file = tmp_path / "wrong.das"
    file.write_text('version "6.1"\n- (0010,\n')
    outcome = run("projects", "add", "BRAIN", "--anonymization-script", str(file), *switch)
    assert outcome.code == 2
    assert "anonymization_script line 2 column" in outcome.err
    assert run("projects", "add", "BRAIN", "--script-enabled").code == 2
