"""Receivers in XNAT's JSON: what is read, what is refused, and that a round trip loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.xnat.receivers import (
    DQR_IDENTIFIER,
    STUDY_ROUTING,
    ImportItem,
    ImportOutcome,
    InvalidImport,
    merged_receiver,
    objections,
    plan_import,
    posted_id,
    posted_receiver,
    read_records,
    to_xnat,
)
from engine.errors import InvalidReceiver
from engine.model.configuration import Configuration
from engine.model.peer import AETitle
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierInfo
from engine.model.receiver import Receiver, ReceiverRules, parse_receiver
from engine.model.site import SiteSettings

EXAMPLE = {
    "id": 3,
    "created": 1718800000000,
    "timestamp": 1718800100000,
    "disabled": 0,
    "enabled": True,
    "aeTitle": "PROJ_A",
    "port": 8104,
    "identifier": "dicomObjectIdentifier",
    "fileNamer": None,
    "customProcessing": False,
    "directArchive": False,
    "anonymizationEnabled": True,
    "whitelistEnabled": True,
    "whitelist": ["MODALITY1", "10.1.0.0/16", "CT1@10.1.2.3"],
    "routingExpressionsEnabled": True,
    "projectRoutingExpression": "(0020,000E):(.*):1 t:.+ r:PROJ_A",
    "subjectRoutingExpression": None,
    "sessionRoutingExpression": None,
    "label": "PROJ_A:8104",
}
"""The answer that xnat-behaviour 1.2 shows."""
MINIMAL = {"aeTitle": "TITLE", "port": 8104, "identifier": "dicomObjectIdentifier"}
TITLE = Receiver(1, AETitle("TITLE"), 8104)


def plan(*records: dict[str, Any], known: tuple[Receiver, ...] = ()) -> tuple[ImportItem, ...]:
    return plan_import(read_records(json.dumps(records)), Configuration(receivers=known))


def planned(**members: Any) -> ImportItem:
    (item,) = plan({**MINIMAL, **members})
    return item


def received(**members: Any) -> Receiver:
    item = planned(**members)
    assert item.receiver is not None, item.problems
    return item.receiver


def test_the_example_of_an_answer_is_read() -> None:
    (item,) = plan(EXAMPLE)
    assert item == ImportItem(
        "PROJ_A:8104",
        ImportOutcome.NEW,
        Receiver(
            0,
            AETitle("PROJ_A"),
            8104,
            whitelist_enabled=True,
            whitelist=("MODALITY1", "10.1.0.0/16", "CT1@10.1.2.3"),
            routing_enabled=True,
            project_routing="(0020,000E):(.*):1 t:.+ r:PROJ_A",
        ),
    )


def test_a_file_holds_a_list_or_a_single_record_with_or_without_a_byte_order_mark() -> None:
    assert read_records(json.dumps(EXAMPLE)) == (EXAMPLE,)
    assert read_records("\ufeff" + json.dumps([EXAMPLE, MINIMAL])) == (EXAMPLE, MINIMAL)
    assert read_records("[]") == ()


OPTIONAL = sorted(to_xnat(TITLE).keys() - {"aeTitle", "port"})


@pytest.mark.parametrize("member", OPTIONAL)
def test_an_optional_member_may_be_null_or_absent(member: str) -> None:
    assert received(**{member: None}) == replace(TITLE, id=0)
    (item,) = plan({name: value for name, value in MINIMAL.items() if name != member})
    assert item.receiver == replace(TITLE, id=0)


@pytest.mark.parametrize(
    "member", ["host", "whitelistText", "pageSize", "id", "created", "disabled", "label", "x\x1b"]
)
@pytest.mark.parametrize("value", ["x", 7, None, {"a": [1]}])
def test_members_that_are_not_known_or_the_servers_own_are_ignored(
    member: str, value: object
) -> None:
    assert received(**{member: value}) == replace(TITLE, id=0)


@pytest.mark.parametrize(
    ("spelled", "appends"),
    [
        ("append", True),
        ("true", True),
        (True, True),
        ("APPEND", True),
        (" True ", True),
        ("delete", False),
        ("false", False),
        (False, False),
        (None, False),
    ],
)
def test_every_spelling_of_direct_archive_overwrite_is_read(spelled: object, appends: bool) -> None:
    assert received(directArchiveOverwrite=spelled).direct_archive_append is appends


@pytest.mark.parametrize("identifier", ["", "  ", None])
def test_a_blank_identifier_is_the_default_one(identifier: str | None) -> None:
    assert received(identifier=identifier).identifier == "dicomObjectIdentifier"


@pytest.mark.parametrize(
    ("members", "field", "message"),
    [
        ({"aeTitle": None}, "aeTitle", "is empty"),
        ({"aeTitle": 7}, "aeTitle", "is not text"),
        ({"aeTitle": "A\\B"}, "aeTitle", "contains a backslash"),
        ({"aeTitle": "A" * 17}, "aeTitle", "is longer than 16 characters"),
        ({"port": None}, "port", "is empty"),
        ({"port": 104}, "port", "is outside 1024–49151"),
        ({"port": 8104.5}, "port", "is not a port number"),
        ({"port": [8104]}, "port", "is not a port number"),
        ({"enabled": "yes"}, "enabled", "is not a switch"),
        ({"anonymizationEnabled": 1}, "anonymizationEnabled", "is not a switch"),
        ({"identifier": "dqrObjectIdentifier"}, "identifier", "specifies an unknown"),
        ({"identifier": 0}, "identifier", "is not text"),
        ({"whitelist": {"a": 1}}, "whitelist", "is not a list of lines"),
        ({"whitelist": [1]}, "whitelist", "is not text"),
        ({"directArchiveOverwrite": "maybe"}, "directArchiveOverwrite", "is neither append nor"),
        ({"directArchiveOverwrite": 1}, "directArchiveOverwrite", "is neither append nor"),
        ({"projectRoutingExpression": ["x"]}, "projectRoutingExpression", "is not text"),
    ],
)
def test_a_record_that_can_not_be_a_receiver_is_refused_in_xnats_names(
    members: dict[str, Any], field: str, message: str
) -> None:
    item = planned(**members)
    assert (item.outcome, item.receiver) == (ImportOutcome.REFUSED, None)
    problem = item.problems[0]
    assert problem.field == field
    assert problem.message.startswith(message)
    assert problem.remedy


@pytest.mark.parametrize("line", ["10.0.0.0/33", "10.0.0.0/abc", "999.1.1.1", "CT1@", "@10.1.2.3"])
def test_a_line_that_only_xnat_takes_is_refused_while_the_whitelist_is_on(line: str) -> None:
    item = planned(whitelist=["CT1", line], whitelistEnabled=True)
    assert item.outcome is ImportOutcome.REFUSED
    assert (item.problems[0].field, item.problems[0].line) == ("whitelist", 2)
    assert received(whitelist=["CT1", line]).whitelist == ("CT1", line)


def test_a_rule_that_is_not_valid_is_refused_with_line_and_column_while_routing_is_on() -> None:
    rules = "(0008,1030):(.*)\n(0008,1030):(.*"
    item = planned(subjectRoutingExpression=rules, routingExpressionsEnabled=True)
    (problem,) = item.problems
    assert (problem.field, problem.line, problem.column) == ("subjectRoutingExpression", 2, 13)
    assert received(subjectRoutingExpression=rules).subject_routing == rules


@pytest.mark.parametrize("spelled", [{"aeTitle": " TITLE "}, {"port": "8104"}, {"port": "08104"}])
def test_a_receiver_is_known_in_any_spelling_of_title_and_port(spelled: dict[str, Any]) -> None:
    (item,) = plan({**MINIMAL, **spelled}, known=(TITLE,))
    assert (item.outcome, item.label) == (ImportOutcome.EQUAL, "TITLE:8104")


def test_a_changed_receiver_keeps_its_id_and_what_xnat_does_not_know() -> None:
    own = replace(TITLE, bind_address="127.0.0.1", limits=(("idle_seconds", 90),))
    (item,) = plan({**MINIMAL, "enabled": False, "whitelist": ["A"]}, known=(own,))
    assert item.outcome is ImportOutcome.CHANGED
    assert item.receiver == replace(own, enabled=False, whitelist=("A",))
    assert [difference.sentence() for difference in item.differences] == [
        "receiver TITLE:8104 enabled: on → off",
        "receiver TITLE:8104 whitelist: +A",
    ]


def test_an_older_xnat_does_not_know_how_archived_sessions_are_merged() -> None:
    appending = replace(TITLE, direct_archive_append=True)
    assert plan(MINIMAL, known=(appending,))[0].outcome is ImportOutcome.EQUAL
    (item,) = plan({**MINIMAL, "directArchiveOverwrite": False}, known=(appending,))
    assert item.outcome is ImportOutcome.CHANGED


def test_another_order_of_the_whitelist_is_no_change_because_xnat_keeps_none() -> None:
    ordered = replace(TITLE, whitelist=("B", "A"))
    (item,) = plan({**MINIMAL, "whitelist": ["A", "B"]}, known=(ordered,))
    assert (item.outcome, item.receiver) == (ImportOutcome.EQUAL, ordered)


def test_rules_with_other_line_ends_are_a_change() -> None:
    known = replace(TITLE, project_routing="a\nb")
    (item,) = plan({**MINIMAL, "projectRoutingExpression": "a\r\nb"}, known=(known,))
    assert (item.outcome, item.differences) == (ImportOutcome.CHANGED, ())


def test_the_second_record_of_a_receiver_is_refused() -> None:
    first, second, third = plan(
        MINIMAL, {**MINIMAL, "aeTitle": "TITLE "}, {**MINIMAL, "port": 8105}
    )
    assert (first.outcome, third.outcome) == (ImportOutcome.NEW, ImportOutcome.NEW)
    assert second.outcome is ImportOutcome.REFUSED
    assert second.problems[0].message == "is in the file twice"


def test_a_record_that_no_address_is_left_for_is_refused() -> None:
    elsewhere = replace(TITLE, ae_title=AETitle("OTHER"), bind_address="127.0.0.1")
    (item,) = plan(MINIMAL, known=(elsewhere,))
    assert item.outcome is ImportOutcome.REFUSED
    assert item.problems[0].field == "bind_address"


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("", "is not JSON: Expecting value", 1, 1),
        ('[\n{"a":1}\n{"b"', "is not JSON: Expecting ',' delimiter", 3, 1),
        ("a\u2028\n", "is not JSON: Expecting value", 1, 1),
        ("[" * 100_000, "is nested too deeply", None, None),
        ("9" * 5_000, "holds a number with too many digits", None, None),
        ("[" + "{}," * 1000 + "{}]", "holds more than 1,000 records", None, None),
        ("[1]", "is not a receiver record", None, None),
        ('[{"aeTitle": "\\ud800"}]', "has half of a surrogate pair, such as \\ud800", None, None),
    ],
)
def test_a_text_that_holds_no_records_is_refused_with_its_place(
    text: str, message: str, line: int | None, column: int | None
) -> None:
    with pytest.raises(InvalidImport) as refused:
        read_records(text)
    (problem,) = refused.value.problems
    assert (problem.message, problem.line, problem.column) == (message, line, column)
    assert len(problem.value) <= 40


def test_an_export_has_the_members_that_xnat_takes_and_no_others() -> None:
    assert to_xnat(replace(TITLE, whitelist=("A",), subject_routing="x")) == {
        "aeTitle": "TITLE",
        "port": 8104,
        "enabled": True,
        "identifier": "dicomObjectIdentifier",
        "fileNamer": None,
        "customProcessing": False,
        "directArchive": False,
        "directArchiveOverwrite": False,
        "anonymizationEnabled": True,
        "whitelistEnabled": False,
        "whitelist": ["A"],
        "routingExpressionsEnabled": False,
        "projectRoutingExpression": None,
        "subjectRoutingExpression": "x",
        "sessionRoutingExpression": None,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CT1", None),
        ("A B", None),
        ("10.1.2.3/16", None),
        ("2001:db8::/32", None),
        ("CT1@10.0.0.0/8", None),
        ("1234", "is an address to XNAT, not an AE title"),
        ("A@B@10.1.2.3", "has more than one @, which XNAT refuses"),
        ("10.0.0.0/33", "is checked by XNAT although the whitelist is off: "),
        ("@@", "is checked by XNAT although the whitelist is off: "),
    ],
)
def test_lines_that_xnat_refuses_or_reads_differently_are_named(
    line: str, message: str | None
) -> None:
    found = list(objections(replace(TITLE, whitelist=("OK", line))))
    assert len(found) == (message is not None)
    for problem in found:
        assert (problem.line, problem.value) == (2, line)
        assert problem.message.startswith(message or "")
        assert problem.remedy


def test_the_query_retrieve_identifier_of_xnat_is_study_routing_here() -> None:
    installed = (*DEFAULT_IDENTIFIERS, IdentifierInfo(STUDY_ROUTING, "Announced", can_route=False))
    record = {**MINIMAL, "identifier": DQR_IDENTIFIER}
    (item,) = plan_import([record], Configuration(), installed)
    assert item.receiver is not None
    assert item.receiver.identifier == STUDY_ROUTING
    assert to_xnat(item.receiver)["identifier"] == DQR_IDENTIFIER
    (item,) = plan_import(
        [record | {"routingExpressionsEnabled": True}], Configuration(), installed
    )
    assert (
        "does not support custom routing but custom routing is enabled" in item.problems[0].message
    )


def test_an_installed_identifier_of_that_name_goes_before() -> None:
    plugin = IdentifierInfo(DQR_IDENTIFIER, "Query/retrieve", can_route=False)
    installed = (*DEFAULT_IDENTIFIERS, plugin, replace(plugin, id=STUDY_ROUTING))
    known = replace(TITLE, identifier=STUDY_ROUTING)
    record = {**MINIMAL, "identifier": DQR_IDENTIFIER}
    for receivers, identifier in (((), DQR_IDENTIFIER), ((known,), STUDY_ROUTING)):
        (item,) = plan_import([record], Configuration(receivers=receivers), installed)
        assert item.receiver is not None
        assert item.receiver.identifier == identifier


def rules(*others: Receiver) -> ReceiverRules:
    return ReceiverRules(SITE, others=others)


def test_a_put_keeps_what_it_does_not_name() -> None:
    known = replace(
        TITLE,
        whitelist_enabled=True,
        whitelist=("CT1",),
        routing_enabled=True,
        subject_routing="(0010,0010):(.*)",
        custom_processing=True,
        direct_archive=True,
        direct_archive_append=True,
        bind_address="127.0.0.1",
    )
    example = {"aeTitle": "TITLE", "port": 8105, "enabled": False}
    assert merged_receiver(example, known, rules(known)) == replace(known, port=8105, enabled=False)
    assert merged_receiver({}, known, rules(known)) == known
    off = merged_receiver({"whitelistEnabled": False}, known, rules(known))
    assert off == replace(known, whitelist_enabled=False)


def test_a_draft_of_a_whitelist_does_not_block_another_change() -> None:
    known = replace(TITLE, whitelist=("10.0.0.0/99",))
    assert merged_receiver({"enabled": False}, known, rules(known)).enabled is False
    with pytest.raises(InvalidReceiver, match="10"):
        merged_receiver({"whitelist": ["10.1.2.3/99"]}, known, rules(known))


@pytest.mark.parametrize("identifier", [{}, {"identifier": None}, {"identifier": ""}])
def test_a_post_names_an_identifier(identifier: dict[str, Any]) -> None:
    with pytest.raises(InvalidReceiver, match="specifies an unknown DICOM Object Identifier"):
        posted_receiver({"aeTitle": "A", "port": 8110, **identifier}, None, rules())


@pytest.mark.parametrize(("id", "read"), [(None, 0), (0, 0), (7, 7)])
def test_the_id_of_a_record_is_a_whole_number(id: object, read: int) -> None:
    assert posted_id({"id": id}) == read


@pytest.mark.parametrize("id", [True, 1.0, "1", [1], float("inf")])
def test_what_equals_an_id_in_python_only_is_none(id: object) -> None:
    with pytest.raises(InvalidReceiver, match="is not a whole number"):
        posted_id({"id": id})


AE_TITLES = st.from_regex(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", fullmatch=True)
VALID_LINES = st.one_of(
    st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True),
    st.ip_addresses().map(str),
    st.builds("{}@{}/{}".format, st.just("CT 1"), st.ip_addresses(v=4), st.integers(0, 32)),
)
VALID_RULES = st.lists(
    st.sampled_from(["(0008,1030):(.*)", "(0020,000E):(.*):1 t:.+ r:A", "(0010,0010):(é+)", ""])
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
WHITELISTS = st.one_of(
    st.tuples(st.just(True), st.lists(VALID_LINES)),
    st.tuples(st.just(False), st.lists(st.text(max_size=40), max_size=5)),
)
TEXTS = st.builds(lambda end, lines: end.join(lines), LINE_ENDS, VALID_RULES)
ROUTINGS = st.one_of(
    st.tuples(st.just(True), TEXTS, TEXTS, TEXTS),
    st.tuples(st.just(False), *[st.text(max_size=60)] * 3),
)


@st.composite
def receivers(draw: st.DrawFn) -> Receiver:
    whitelist_enabled, whitelist = draw(WHITELISTS)
    routing_enabled, project, subject, session = draw(ROUTINGS)
    names = ("enabled", "custom_processing", "direct_archive", "anonymization")
    raw: dict[str, object] = {
        "ae_title": draw(AE_TITLES),
        "port": draw(st.integers(1, 65535)),
        "file_namer": draw(st.text(max_size=10)),
        "direct_archive_append": draw(st.booleans()),
        "limits": draw(st.sampled_from([{}, {"idle_seconds": 90}])),
        "whitelist_enabled": whitelist_enabled,
        "whitelist": whitelist,
        "routing_enabled": routing_enabled,
        "project_routing": project,
        "subject_routing": subject,
        "session_routing": session,
        **{name: draw(st.booleans()) for name in names},
    }
    return parse_receiver(raw, ReceiverRules(SITE))


SITE = SiteSettings(allow_low_ports=True)


@settings(deadline=None)
@given(st.lists(receivers(), max_size=4, unique_by=lambda receiver: receiver.label))
def test_a_round_trip_loses_nothing(exported: list[Receiver]) -> None:
    known = tuple(replace(receiver, id=i) for i, receiver in enumerate(exported, start=1))
    text = json.dumps([to_xnat(receiver) for receiver in known], indent=2)
    here = plan_import(read_records(text), Configuration(site=SITE, receivers=known))
    assert [item.outcome for item in here] == [ImportOutcome.EQUAL] * len(known)
    assert tuple(item.receiver for item in here) == known
    elsewhere = plan_import(read_records(text), Configuration(site=SITE))
    assert [item.outcome for item in elsewhere] == [ImportOutcome.NEW] * len(known)
    assert [item.receiver for item in elsewhere] == [replace(r, id=0, limits=()) for r in known]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*to_xnat(TITLE), "x"]), inner, max_size=8)
        ),
        max_leaves=30,
    )
)
def test_any_json_is_planned_or_refused_in_words(content: object) -> None:
    try:
        items = plan_import(read_records(json.dumps(content)), Configuration(receivers=(TITLE,)))
    except InvalidImport as error:
        assert error.problems
    else:
        assert all(item.receiver or item.problems for item in items)


def test_what_an_identifier_is_told_stays_here_and_goes_with_it() -> None:
    told = replace(TITLE, identifier="plugin", identifier_settings=(("project", "P"),))
    (problem,) = objections(told)
    assert (problem.field, problem.value) == ("identifier_settings", "project=P")
    assert problem.message == "has no place in XNAT's record and is left out"
    (item,) = plan(MINIMAL, known=(told,))
    assert item.outcome is ImportOutcome.CHANGED
    assert item.receiver == TITLE
