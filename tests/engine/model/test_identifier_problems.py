"""What keeps a receiver from using an identifier: that it is none, broken, or told nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.plugins import (
    PROJECT_FIELD,
    IdentifierChoice,
    IdentifierField,
    IdentifierInfo,
    identifier_problems,
)
from engine.model.project import Project, ProjectRegistry
from engine.model.secrets import MASK

PROJECTS = ProjectRegistry((Project("P", aliases=("alias",)),))


def fail(text: str) -> str:
    raise ValueError(text)


OPTIONAL = IdentifierField("note", "Note", "write a note", required=False)
CHECKED = IdentifierField(
    "code", "Code", "write ok", required=False, check=lambda t: "bad" * (t != "ok")
)
FAILING = IdentifierField("fail", "Fail", "leave it empty", required=False, check=fail)
ACME = IdentifierInfo(
    "acme", "Acme", can_route=False, fields=(PROJECT_FIELD, OPTIONAL, CHECKED, FAILING)
)
ROUTES = IdentifierInfo("routes", "Routes", can_route=True)
BROKEN = IdentifierInfo("broken", "broken", can_route=False, error="ImportError: no")
INSTALLED = (ACME, ROUTES, BROKEN)


def problems(
    identifier: str = "acme",
    *,
    routing_enabled: bool = False,
    projects: ProjectRegistry | None = PROJECTS,
    **settings: Any,
) -> list[tuple[str, str]]:
    chosen = IdentifierChoice(identifier, settings, routing_enabled)
    return [(p.field, p.message) for p in identifier_problems(chosen, INSTALLED, projects)]


@pytest.mark.parametrize("project", ["P", "alias"])
def test_what_an_identifier_asks_for_may_be_a_project_by_id_or_alias(project: str) -> None:
    assert problems(project=project, note="anything", code="ok") == []


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        ({}, "project", "is empty"),
        ({"project": ""}, "project", "is empty"),
        ({"project": "NOPE"}, "project", "names no project"),
        ({"project": "P" * 1001}, "project", "is longer than 1000 characters (1001)"),
        ({"project": "P", "code": "x"}, "code", "bad"),
        ({"project": "P", "fail": "x"}, "fail", "can't be checked (ValueError)"),
        ({"project": "P", "more": "x"}, "more", "is not known to the identifier acme"),
    ],
)
def test_a_value_is_refused_by_the_name_of_its_field(
    settings: dict[str, Any], field: str, message: str
) -> None:
    assert problems(**settings) == [(f"identifier_settings.{field}", message)]


def test_whether_a_project_exists_may_be_left_open() -> None:
    assert problems(project="NOPE", projects=None) == []
    assert problems(projects=None) == [("identifier_settings.project", "is empty")]


def test_one_that_is_not_installed_names_those_that_can_be_used() -> None:
    (problem,) = identifier_problems(IdentifierChoice("gone", {}), INSTALLED)
    assert problem.remedy == "choose one of: acme, routes"


def test_a_broken_one_says_why_and_nothing_else() -> None:
    told = problems("broken", routing_enabled=True, more="x")
    assert told == [("identifier", "can't be used: ImportError: no")]


@pytest.mark.parametrize(("identifier", "refused"), [("acme", True), ("routes", False)])
def test_rules_in_force_need_an_identifier_that_can_route(identifier: str, refused: bool) -> None:
    settings: dict[str, Any] = {"project": "P"} if identifier == "acme" else {}
    told = [field for field, _ in problems(identifier, routing_enabled=True, **settings)]
    assert told == (["routing_enabled"] if refused else [])


def test_a_masked_secret_was_checked_when_it_was_saved() -> None:
    settings = {"project": "P", "code": f"{MASK}"}
    choice = IdentifierChoice("acme", settings)
    assert list(identifier_problems(choice, INSTALLED, PROJECTS)) == []
