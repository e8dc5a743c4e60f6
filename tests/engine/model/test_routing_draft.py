"""Drafts of rules: sections in place of saved texts, and mistakes told by line."""

from __future__ import annotations

import pytest

from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.routing import SiteRouting
from engine.model.routing_draft import InvalidDraft, drafted

RECEIVER = Receiver(
    1, AETitle("XNAT"), 8104, routing_enabled=True, session_routing="(0010,0020):(.*)"
)
SITE = SiteRouting(subject_routing="(0010,0010):(.*)", subject_enabled=True)
TEXT = """
[project]
(0008,1030):(.*)

(0008,0050):(.*)
[site auto-archive]
(0010,4000):AA (.*)
"""


def test_sections_take_the_place_of_texts_and_the_rest_stays() -> None:
    receiver, site = drafted(TEXT, RECEIVER, SITE)
    assert [rule.line for rule in receiver.routing.project] == [3, 5]
    assert receiver.routing.session == RECEIVER.routing.session
    assert [rule.text for rule in site.rules.auto_archive] == ["(0010,4000):AA (.*)"]
    assert site.rules.subject == SITE.rules.subject


def test_an_empty_section_takes_the_rules_away_and_an_empty_text_changes_nothing() -> None:
    assert drafted("[session]\n", RECEIVER, SITE)[0].routing.session == ()
    assert drafted("", RECEIVER, SITE) == (RECEIVER, SITE)


def test_site_rules_alone_do_not_switch_on_the_receivers() -> None:
    off = Receiver(1, AETitle("XNAT"), 8104, session_routing="(0010,0020):(.*)")
    assert drafted("[site project]\n", off, SITE)[0] == off


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("(0008,1030):(.*)", 1, 1, "stands before the first section"),
        ("\n\n[projekt]", 3, 1, "is no section"),
        ("[subject]\n[subject]", 2, 1, "is there twice"),
        ("[subject]\n\n  (0008,1030):(", 3, 15, "the group is not closed"),
    ],
)
def test_a_mistake_is_told_with_its_place_in_the_text(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(InvalidDraft) as caught:
        drafted(text, RECEIVER, SITE, "new.rules")
    (problem,) = caught.value.problems
    assert (problem.field, problem.line, problem.column) == ("new.rules", line, column)
    assert problem.message == message


def test_all_mistakes_are_told_in_order_of_their_lines() -> None:
    with pytest.raises(InvalidDraft) as caught:
        drafted("x\n[session]\n(\n[foo]\n[subject]\n(", RECEIVER, SITE)
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4, 6]
