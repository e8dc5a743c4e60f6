"""The site's routing rules: read back, checked where switched on, told with line and column."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidSite
from engine.model.configuration import Configuration
from engine.model.configuration_diff import differences
from engine.model.project import AutoArchive
from engine.model.routing import ATTRIBUTES, SiteRouting
from engine.model.site import SiteSettings

RULE = "(0008,1030):(.*)"


def test_a_fresh_site_has_no_rules() -> None:
    routing = SiteSettings().routing
    assert routing == SiteRouting.parse(None)
    assert routing.rules.project == routing.rules.auto_archive == ()
    assert not routing.tolerant_comments


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_text_is_in_force_only_while_its_switch_is_on(attribute: str) -> None:
    on = SiteRouting.parse({f"{attribute}_routing": RULE, f"{attribute}_enabled": True})
    off = SiteRouting.parse({f"{attribute}_routing": RULE})
    assert [rule.text for rule in getattr(on.rules, attribute)] == [RULE]
    assert getattr(off.rules, attribute) == ()
    assert off.text(attribute) == on.text(attribute) == RULE


def test_settings_read_back_from_their_record() -> None:
    routing = SiteRouting.parse(
        {"session_routing": RULE, "session_enabled": True, "tolerant_comments": True}
    )
    site = SiteSettings(routing=routing, new_project_auto_archive=AutoArchive.OVERWRITE)
    assert SiteSettings.parse(site.to_record()) == site


def test_a_text_that_is_off_may_be_anything() -> None:
    assert SiteRouting.parse({"project_routing": "# not yet"}).text("project") == "# not yet"


def test_every_problem_of_every_text_is_told_with_line_and_column() -> None:
    raw = {
        "project_routing": f"{RULE}\n\n (0008,1030):(",
        "project_enabled": True,
        "subject_routing": "x",
        "subject_enabled": True,
    }
    with pytest.raises(InvalidSite) as caught:
        SiteSettings.parse({"routing": raw, "allow_low_ports": 3})
    places = [(p.field, p.line, p.column) for p in caught.value.problems]
    assert places == [
        ("allow_low_ports", None, None),
        ("routing.project_routing", 3, 14),
        ("routing.subject_routing", 1, 1),
    ]


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        ([], "routing", "is not a record"),
        ({"project_enabled": 1}, "routing.project_enabled", "is not a switch"),
        ({"project_routing": 1}, "routing.project_routing", "is not text"),
        ({"project": RULE}, "routing.project", "is not known"),
        ({"x" * 99: 1}, "routing." + "x" * 40, "is not known"),
        (
            {"project_routing": "x" * 100_001, "project_enabled": True},
            "routing.project_routing",
            "is too long",
        ),
    ],
)
def test_a_member_is_refused(raw: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidSite) as caught:
        SiteRouting.parse(raw)
    assert [(p.field, p.message) for p in caught.value.problems] == [(field, message)]


@pytest.mark.parametrize("code", [1, "4", True, None])
def test_what_new_projects_get_is_one_of_xnats_codes(code: object) -> None:
    with pytest.raises(InvalidSite) as caught:
        SiteSettings.parse({"new_project_auto_archive": code})
    (problem,) = caught.value.problems
    assert problem.field == "new_project_auto_archive"
    assert problem.remedy == "use 0 (manual), 4 (archive), 5 (overwrite)"


def test_a_change_of_the_rules_is_told_line_by_line() -> None:
    before = Configuration(site=SiteSettings(routing=SiteRouting(project_routing=RULE)))
    more = SiteRouting(project_routing=f"{RULE}\n{RULE}:0", project_enabled=True)
    after = Configuration(site=SiteSettings(routing=more))
    assert [d.sentence() for d in differences(before, after)] == [
        "site routing.project_enabled: off → on",
        f"site routing.project_routing: +{RULE}:0",
    ]
