"""Projects and how a name finds one; site settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidProject, InvalidSite
from engine.model.project import Project, ProjectRegistry
from engine.model.site import SiteSettings

REGISTRY = ProjectRegistry(
    (Project("A", aliases=("alphaproj",)), Project("B", aliases=("both",)), Project("C"))
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("A", "A"),
        ("alphaproj", "A"),
        ("a", None),
        ("ALPHAPROJ", None),
        (" A", None),
        ("NOPE", None),
        ("", None),
    ],
)
def test_a_project_is_found_by_its_exact_id_or_alias(name: str, found: str | None) -> None:
    assert REGISTRY.find(name) == found


@pytest.mark.parametrize(
    "projects",
    [
        (Project("A", aliases=("x",)), Project("B", aliases=("x",))),
        (Project("A", aliases=("x",)), Project("x")),
        (Project("x"), Project("A", aliases=("x",)), Project("B", aliases=("x",))),
    ],
)
def test_a_name_of_two_projects_finds_neither(projects: tuple[Project, ...]) -> None:
    assert ProjectRegistry(projects).find("x") is None


def test_an_alias_that_repeats_the_projects_own_id_changes_nothing() -> None:
    assert ProjectRegistry((Project("A", aliases=("A", "A")),)).find("A") == "A"


def test_a_project_reads_back_from_its_record() -> None:
    project = Project.parse({"id": "BRAIN", "title": "Brain – Zürich", "aliases": ["b", "b", "c"]})
    assert project == Project("BRAIN", "Brain – Zürich", ("b", "c"))
    assert Project.parse(project.to_record()) == project


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", ""),
        ("id", None),
        ("id", 3),
        ("id", "-A"),
        ("id", "A B"),
        ("id", "../A"),
        ("id", "A/B"),
        ("id", "A\n"),
        ("id", "Ä"),
        ("id", "A" * 65),
        ("title", 3),
        ("title", "a\x1b[2J"),
        ("title", "x" * 256),
        ("aliases", "abc"),
        ("aliases", [3]),
        ("aliases", [""]),
    ],
)
def test_a_member_is_refused(member: str, value: object) -> None:
    with pytest.raises(InvalidProject) as caught:
        Project.parse({"id": "A", member: value})
    assert [problem.field for problem in caught.value.problems] == [member]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::1", "fe80::1%eth0"])
def test_site_settings_read_back_from_their_record(address: str) -> None:
    site = SiteSettings(allow_low_ports=True, bind_address=address)
    assert SiteSettings.parse(site.to_record()) == site


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({"allow_low_ports": "yes"}, ["allow_low_ports"]),
        ({"allow_low_ports": 1}, ["allow_low_ports"]),
        ({"bind_address": "localhost"}, ["bind_address"]),
        ({"bind_address": "10.0.0.256"}, ["bind_address"]),
        ({"bind_address": 3, "allow_low_ports": None}, ["allow_low_ports", "bind_address"]),
    ],
)
def test_a_site_setting_is_refused(raw: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InvalidSite) as caught:
        SiteSettings.parse(raw)
    assert [problem.field for problem in caught.value.problems] == fields


@pytest.mark.parametrize(("low", "first", "last"), [(False, 1024, 49151), (True, 1, 65535)])
def test_the_site_decides_which_ports_there_are(low: bool, first: int, last: int) -> None:
    ports = SiteSettings(allow_low_ports=low).ports
    assert (ports[0], ports[-1]) == (first, last)
