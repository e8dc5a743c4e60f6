"""Projects and how a name finds one; site settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidProject, InvalidSite, NotFound
from engine.model.project import AutoArchive, Project, ProjectRegistry
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


def test_a_project_has_a_script_a_filter_and_an_auto_archive_code() -> None:
    raw = {
        "id": "BRAIN",
        "auto_archive": 5,
        "anonymization_script": 'version "6.1"\n\t(0010,0010) := "Zoë"\r\n',
        "anonymization_script_revision": 7,
        "series_import_filter": "[SeriesDescription]\n^T1",
        "anonymization_script_enabled": True,
        "archive_folder": "arc002",
        "pet_mr": "separate",
        "profile": {"enabled": True, "retain": ["uids", "dates"], "shift_days": None},
    }
    project = Project.parse(raw)
    assert project.auto_archive is AutoArchive.OVERWRITE
    assert project.to_record() == {"title": "", "aliases": [], **raw}


def test_absent_members_are_xnats_defaults() -> None:
    assert Project.parse({"id": "A", "auto_archive": None, "title": None}) == Project("A")
    assert Project("A").auto_archive is AutoArchive.ARCHIVE


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
        ("aliases", ["a "]),
        ("aliases", ["a\x1b"]),
        ("aliases", ["x" * 256]),
        ("aliases", [f"a{number}" for number in range(101)]),
        ("auto_archive", 1),
        ("auto_archive", True),
        ("auto_archive", "4"),
        ("auto_archive", 4.0),
        ("anonymization_script", ["a"]),
        ("anonymization_script", "x" * 100_001),
        ("anonymization_script_revision", -1),
        ("anonymization_script_enabled", True),
        ("archive_folder", "../arc1"),
        ("pet_mr", "both"),
        ("pet_mr", True),
        ("profile", {"retain": ["faces"]}),
        ("profile", {"shift_days": 0}),
        ("profile", {"shift_days": 3, "retain": ["dates"]}),
        ("anonymization_script_revision", True),
        ("series_import_filter", 3),
    ],
)
def test_a_member_is_refused(member: str, value: object) -> None:
    with pytest.raises(InvalidProject) as caught:
        Project.parse({"id": "A", member: value})
    fields = [problem.field.partition(".")[0] for problem in caught.value.problems]
    assert fields == [member]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a\x00", 1, 2), ("ab\n\tc\x1b[2J", 2, 3), ("\ud800", 1, 1), ("a\r\n\n\x7f", 3, 1)],
)
def test_a_control_character_is_refused_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(InvalidProject) as caught:
        Project.parse({"id": "A", "anonymization_script": text})
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert problem.message == "is a control character"


def test_all_problems_of_a_project_are_told_at_once() -> None:
    with pytest.raises(InvalidProject) as caught:
        Project.parse({"id": "A B", "aliases": ["ok", "", " x"], "auto_archive": 11})
    told = [(problem.field, problem.line) for problem in caught.value.problems]
    assert told == [("id", None), ("aliases", 2), ("aliases", 3), ("auto_archive", None)]


def test_the_registry_returns_a_project_by_its_id() -> None:
    assert REGISTRY.project("A") == Project("A", aliases=("alphaproj",))
    with pytest.raises(NotFound, match="there is no project 'alphaproj'"):
        REGISTRY.project("alphaproj")


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


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("a\u200db", "has the character U+200D, which can't be seen"),
        ("a\nb", "has the character U+000A, which can't be seen"),
        ("x" * 256, "has 256 characters"),
    ],
)
def test_a_title_is_refused_for_the_reason_that_holds(title: str, reason: str) -> None:
    with pytest.raises(InvalidProject) as caught:
        Project.parse({"id": "A", "title": title})
    assert [problem.message for problem in caught.value.problems] == [reason]
