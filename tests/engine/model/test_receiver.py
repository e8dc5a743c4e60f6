"""Receivers: every field's default and faults, and the rules between fields and receivers."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidReceiver, Problem
from engine.model.peer import AETitle
from engine.model.plugins import DEFAULT_IDENTIFIER, IdentifierInfo
from engine.model.receiver import Receiver, ReceiverRules, parse_receiver
from engine.model.site import SiteSettings

FIXED = IdentifierInfo("fixedIdentifier", "One project for all", can_route=False)
RULES = ReceiverRules(
    identifiers=(IdentifierInfo(DEFAULT_IDENTIFIER, "Default", can_route=True), FIXED)
)
SWITCHES = [
    "enabled",
    "custom_processing",
    "direct_archive",
    "anonymization",
    "whitelist_enabled",
    "routing_enabled",
]


def parse(rules: ReceiverRules = RULES, /, **members: Any) -> Receiver:
    return parse_receiver({"ae_title": "XNAT", "port": 8104, **members}, rules)


def problems(rules: ReceiverRules = RULES, /, **members: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidReceiver) as caught:
        parse(rules, **members)
    return caught.value.problems


def test_a_title_and_a_port_are_enough() -> None:
    assert parse() == Receiver(0, AETitle("XNAT"), 8104)
    receiver = parse()
    assert receiver.enabled
    assert receiver.anonymization
    assert receiver.identifier == DEFAULT_IDENTIFIER
    assert receiver.file_namer is None
    assert not receiver.whitelist_enabled
    assert not receiver.routing_enabled
    assert receiver.label == "XNAT:8104"


def test_null_members_take_their_default() -> None:
    assert parse(**dict.fromkeys([*SWITCHES, "whitelist", "project_routing", "id"])) == parse()


def test_a_record_reads_back_as_the_same_receiver() -> None:
    receiver = parse(
        id=3,
        enabled=False,
        file_namer="dicomFileNamer",
        whitelist_enabled=True,
        whitelist=["CT1", "10.0.0.0/8"],
        routing_enabled=True,
        project_routing="(0008,1030):(.*)",
        subject_routing="(0010,0020):(.*)",
        session_routing="(0020,0010):(.*)",
    )
    assert parse_receiver(receiver.to_record(), RULES) == receiver


@pytest.mark.parametrize("port", ["8104", " 8104 ", 8104])
def test_a_port_may_be_a_number_or_its_digits(port: object) -> None:
    assert parse(port=port).port == 8104


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("", "is empty"),
        ("abc", "is not a port number"),
        ("81.4", "is not a port number"),
        ("-1", "is not a port number"),
        ("+8104", "is not a port number"),
        ("８１０４", "is not a port number"),
        ("9" * 5000, "is not a port number"),
        (True, "is not a port number"),
        (8104.0, "is not a port number"),
        ([8104], "is not a port number"),
        (0, "is outside 1–65535"),
        (65536, "is outside 1–65535"),
        (104, "is outside 1024–49151"),
        (1023, "is outside 1024–49151"),
        (49152, "is outside 1024–49151"),
        (65535, "is outside 1024–49151"),
    ],
)
def test_a_port_is_refused(port: object, message: str) -> None:
    (problem,) = problems(port=port)
    assert (problem.field, problem.message) == ("port", message)
    assert len(problem.value) <= 60
    assert problem.remedy


@pytest.mark.parametrize("port", [1, 104, 65535])
def test_low_and_high_ports_are_good_where_the_site_allows_them(port: int) -> None:
    rules = ReceiverRules(site=SiteSettings(allow_low_ports=True))
    assert parse(rules, port=port).port == port


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["true", 1, 0, [], ""])
def test_a_switch_is_true_or_false_and_nothing_that_resembles_it(name: str, value: object) -> None:
    assert [p.field for p in problems(**{name: value})] == [name]


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("ae_title", None, "is empty"),
        ("ae_title", 17, "is not text"),
        ("id", -1, "is not a whole number"),
        ("id", True, "is not a whole number"),
        ("id", "1", "is not a whole number"),
        ("identifier", 3, "is not text"),
        ("identifier", "nope", "specifies an unknown DICOM Object Identifier 'nope'"),
        ("identifier", "", "specifies an unknown DICOM Object Identifier ''"),
        ("file_namer", 3, "is not text"),
        ("whitelist", 3, "is not a list of lines"),
        ("whitelist", ["CT1", 3], "is not text"),
        ("whitelist", ["CT1"] * 5_001, "has 5,001 lines; at most 5,000 are allowed"),
        ("whitelist", "CT1\n" * 5_001, "has 5,001 lines; at most 5,000 are allowed"),
        ("project_routing", ["a"], "is not text"),
        ("subject_routing", 1, "is not text"),
        ("session_routing", "x" * 100_001, "is too long"),
        ("aeTitle", "XNAT", "is not a receiver's field"),
    ],
)
def test_a_field_is_refused(member: str, value: object, message: str) -> None:
    (problem,) = problems(**{member: value})
    assert (problem.field, problem.message) == (member, message)


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        ae_title="A\\B", port=80, enabled="yes", whitelist_enabled=True, whitelist=["@1.2.3.4"]
    )
    assert {p.field for p in found} == {"ae_title", "port", "enabled", "whitelist"}


def test_a_whitelist_in_force_is_checked_and_its_lines_keep_their_numbers() -> None:
    text = "CT1\n\n10.0.0.0/33\n"
    (problem,) = problems(whitelist_enabled=True, whitelist=text)
    assert (problem.line, problem.value) == (3, "10.0.0.0/33")


def test_a_whitelist_that_is_off_is_kept_and_not_checked() -> None:
    receiver = parse(whitelist=["10.0.0.0/33", "", " CT1 "])
    assert receiver.whitelist == ("10.0.0.0/33", "CT1")
    assert receiver.whitelist_entries == ()


def test_routing_texts_that_are_off_are_kept_and_not_checked() -> None:
    assert parse(project_routing="((((").project_routing == "(((("


def test_the_entries_of_a_whitelist_follow_its_lines() -> None:
    receiver = parse(whitelist_enabled=True, whitelist="CT1\n10.0.0.0/8")
    assert [entry.text for entry in receiver.whitelist_entries] == ["CT1", "10.0.0.0/8"]


def test_an_identifier_that_can_not_route_refuses_routing() -> None:
    (problem,) = problems(identifier=FIXED.id, routing_enabled=True)
    assert "does not support custom routing but custom routing is enabled" in problem.message
    assert parse(identifier=FIXED.id).identifier == FIXED.id


@pytest.mark.parametrize(
    ("members", "conflicts"),
    [
        ({}, True),
        ({"enabled": False}, True),
        ({"id": 7}, False),
        ({"port": 8105}, False),
        ({"ae_title": "xnat"}, False),
        ({"ae_title": " XNAT "}, True),
    ],
)
def test_title_and_port_are_unique_as_a_pair(members: dict[str, Any], conflicts: bool) -> None:
    rules = ReceiverRules(others=(Receiver(7, AETitle("XNAT"), 8104),))
    if conflicts:
        (problem,) = problems(rules, **members)
        assert problem.message == "receiver XNAT:8104 exists already"
    else:
        parse(rules, **members)


def test_rules_are_checked_while_routing_is_on_with_line_and_column() -> None:
    found = problems(
        routing_enabled=True,
        project_routing="(0010,0020):(.*)\n(0010,0020):(.*)(",
        subject_routing="(0010,0020):.*",
        session_routing="nonsense",
    )
    places = [(p.field, p.line) for p in found]
    assert places == [("project_routing", 2), ("subject_routing", 1), ("session_routing", 1)]
    assert all(p.column is not None and p.remedy for p in found)


def test_rules_are_kept_unchecked_while_routing_is_off() -> None:
    receiver = parse(project_routing="nonsense")
    assert receiver.project_routing == "nonsense"
    assert receiver.routing.project == ()


@pytest.mark.parametrize("policy", ["", None, "keep", "replace", "reject"])
def test_a_receiver_may_have_a_policy_for_duplicates_of_its_own(policy: str | None) -> None:
    receiver = parse_receiver({"ae_title": "CT1", "port": 8105, "duplicates": policy}, RULES)
    assert receiver.duplicates == (policy or None)
    assert parse_receiver(receiver.to_record(), RULES) == receiver


def test_an_unknown_policy_for_duplicates_is_refused() -> None:
    with pytest.raises(InvalidReceiver, match="use keep, replace, reject"):
        parse_receiver({"ae_title": "CT1", "port": 8105, "duplicates": "both"}, RULES)
