"""Site-wide routing rules and what receivers tell their identifiers, over the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run

RULES = "(0010,4000):.*Project:(\\w+).*:1\n(0008,1030):(.*)\n"
FIXED = ("--ae-title", "FIX", "--port", "8105", "--identifier", "fixedProjectSubject")


@pytest.fixture
def rules(tmp_path: Path) -> str:
    file = tmp_path / "rules.txt"
    file.write_text(RULES)
    return str(file)


def routing(run: Run, *arguments: str) -> dict[str, object]:
    routing: dict[str, object] = run("site", "set", *arguments, "--json").data["site"]["routing"]
    return routing


def test_rules_are_set_switched_shown_and_emptied(run: Run, rules: str) -> None:
    found = routing(run, "--routing", f"project=@{rules}", "--routing-enabled", "project")
    assert (found["project_routing"], found["project_enabled"]) == (RULES, True)
    assert run("site", "get", "--routing", "project").out == RULES
    table = [line.split(maxsplit=1) for line in run("site", "get").out.splitlines()]
    assert ["routing.project_routing", "2 lines"] in table
    assert ["routing.session_routing", "none"] in table
    found = routing(run, "--no-routing-enabled", "project")
    assert (found["project_routing"], found["project_enabled"]) == (RULES, False)
    assert routing(run, "--routing", "project=")["project_routing"] == ""


def test_rules_that_are_set_but_off_are_said_to_be(run: Run, rules: str) -> None:
    said = "the subject rules are kept but off; --routing-enabled subject lets them decide"
    assert said in run("site", "set", "--routing", f"subject=@{rules}").err
    assert said not in run("site", "set", "--routing", "subject=").err
    assert said not in run("site", "set", "--routing-enabled", "subject").err


def test_each_attribute_has_its_own_rules(run: Run, rules: str) -> None:
    names = ("project", "subject", "session", "auto-archive")
    sets = [part for name in names for part in ("--routing", f"{name}=@{rules}")]
    found = routing(run, *sets, "--routing-enabled", "auto-archive")
    assert [found[f"{name}_routing"] for name in ("subject", "session", "auto_archive")] == [
        RULES
    ] * 3
    assert (found["auto_archive_enabled"], found["subject_enabled"]) == (True, False)
    assert run("site", "get", "--routing", "auto-archive").out == RULES


def test_tolerant_comments_and_the_code_of_new_projects(run: Run) -> None:
    assert routing(run, "--tolerant-comments")["tolerant_comments"] is True
    assert routing(run, "--no-tolerant-comments")["tolerant_comments"] is False
    manual = run("site", "set", "--new-project-auto-archive", "manual", "--json").data["site"]
    assert manual["new_project_auto_archive"] == 0
    assert run("projects", "add", "NEW", "--json").data["project"]["auto_archive"] == 0
    given = run("projects", "add", "OTHER", "--auto-archive", "overwrite", "--json").data
    assert given["project"]["auto_archive"] == 5


def test_a_wrong_rule_is_refused_with_line_and_column(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_text("(0010,0010):(.*)\n(0008,1030):(.*\n")
    outcome = run("site", "set", "--routing", f"project=@{file}", "--routing-enabled", "project",
                  "--json")  # fmt: skip
    assert (outcome.code, outcome.out) == (2, "")
    (problem,) = outcome.error["problems"]
    assert (problem["field"], problem["line"]) == ("routing.project_routing", 2)
    assert problem["column"] > 12


def test_rules_come_from_standard_input(data: Path, run: Run) -> None:
    command = [sys.executable, "-m", "engine", "--data", str(data), "site", "set", "--routing",
               "subject=@-"]  # fmt: skip
    subprocess.run(command, input=RULES, text=True, check=True, capture_output=True)
    assert run("site", "get", "--routing", "subject").out == RULES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "--routing", "project"), "'project' has no rules; write NAME=@FILE"),
        (("set", "--routing", "project=rules.txt"), "has no rules; write NAME=@FILE"),
        (("set", "--routing", "modality=@-"), "'modality' is none of project, subject"),
        (("set", "--routing", "project=@/nowhere/rules"), "can't read /nowhere/rules"),
        (("set", "--routing-enabled", "all"), "'all' is none of project, subject"),
        (("set", "--new-project-auto-archive", "7"), "is not a code"),
        (("get", "--routing", "x"), "'x' is none of project, subject"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    outcome = run("site", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def told(run: Run, *arguments: str) -> list[tuple[str, str]]:
    """Return field and message of each problem."""
    problems = run("receivers", *arguments, "--json").error["problems"]
    return [(problem["field"], problem["message"]) for problem in problems]


def test_a_receiver_tells_its_identifier_project_and_subject(
    run: Run, store: ConfigurationStore
) -> None:
    run("projects", "add", "NEURO-01", "--alias", "neuro")
    settings = ("--identifier-setting", "project=neuro", "--identifier-setting", "subject=S1")
    saved = run("receivers", "add", *FIXED, *settings, "--json").data["receiver"]
    assert saved["identifier_settings"] == {"project": "neuro", "subject": "S1"}
    changed = run("receivers", "edit", "FIX", "--identifier-setting", "subject=S2", "--json").data
    assert changed["receiver"]["identifier_settings"] == {"project": "neuro", "subject": "S2"}
    run("receivers", "edit", "FIX", "--identifier", "studyRouting")
    assert store.load().receivers[0].identifier_settings == ()


def test_what_an_identifier_must_be_told_is_asked_for(run: Run) -> None:
    run("projects", "add", "NEURO-01")
    empty = [("identifier_settings.project", "is empty"),
             ("identifier_settings.subject", "is empty")]  # fmt: skip
    assert told(run, "add", *FIXED) == empty
    wrong = ("--identifier-setting", "project=NOPE", "--identifier-setting", "subject=a b",
             "--identifier-setting", "more=1")  # fmt: skip
    assert told(run, "add", *FIXED, *wrong) == [
        ("identifier_settings.more", "is not known to the identifier fixedProjectSubject"),
        ("identifier_settings.project", "names no project"),
        ("identifier_settings.subject", "is not a label"),
    ]
    assert run("receivers", "add", *FIXED, "--identifier-setting", "subject").code == 2


def test_an_identifier_that_can_not_route_refuses_rules(run: Run) -> None:
    routed = ("--ae-title", "R", "--port", "8106", "--identifier", "studyRouting",
              "--routing-enabled", "--project-routing", "(0010,0010):(.*)")  # fmt: skip
    message = "studyRouting does not support custom routing but custom routing is enabled"
    assert told(run, "add", *routed) == [("routing_enabled", message)]
    assert told(run, "add", "--ae-title", "R", "--port", "8106", "--identifier", "nope") == [
        ("identifier", "specifies an unknown DICOM Object Identifier 'nope'")
    ]


def test_the_plugins_are_listed(run: Run) -> None:
    outcome = run("plugins", "--json")
    assert outcome.code == 0
    plugin = outcome.data["plugins"][0]
    assert (plugin["id"], plugin["error"]) == ("dicomObjectIdentifier", "")
    assert plugin["group"] == "dicomdock.identifiers"
    assert run("plugins").out.splitlines()[2].split()[0] == "fixedProjectSubject"
