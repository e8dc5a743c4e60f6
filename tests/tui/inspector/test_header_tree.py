"""A header as a tree: folded, found, hidden, compared; and the rule that an element makes."""

from dataclasses import replace
from typing import Any

import pytest

from engine.api.objects import Comparison, ElementRow, RowChange
from engine.model.identity import MASK
from engine.queries.objects import compared, masked, masked_comparison
from engine.routing import parse_rule
from tests.fakes.objects import example_elements
from tui.inspector.header import (
    FIELDS,
    HeaderTreeState,
    element_facts,
    element_of,
    header_lines,
    multiplicity,
    rule_for,
    uncompared,
)
from tui.widgets.filter import parse_filter

STORED = example_elements()
PAIRS = compared(example_elements(as_received=True), STORED, 0x00324000)
HIDDEN = masked_comparison(Comparison(PAIRS, 0x00324000, complete=True)).rows


def element(tag: int, value: str, **changes: Any) -> ElementRow:
    return replace(STORED[1], tag=tag, value=value, identifying=False, **changes)


def names(view: HeaderTreeState, rows: Any = None) -> list[str]:
    return [line.name for line in header_lines(rows or uncompared(STORED), view)]


def test_sequences_are_folded_and_open_one_by_one_or_all() -> None:
    closed = names(HeaderTreeState())
    assert "▸ ReferencedImageSequence" in closed
    assert not [name for name in closed if "·" in name]
    one = names(HeaderTreeState().toggled("(0008,1140)"))
    assert one[one.index("▾ ReferencedImageSequence") + 1] == "1· ReferencedSOPInstanceUID"
    assert "▸ ReferencedPerformedProcedureStepSequence" in one
    assert len(names(HeaderTreeState(all_unfolded=True))) == len(STORED)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tag:0010,0010", ["PatientName"]),
        ("00100010", ["PatientName"]),
        ("keyword:patient !vr:cs !vr:pn", ["PatientID"]),
        ("value:brain", ["StudyDescription"]),
        (
            "ReferencedSOPClass",
            ["▾ ReferencedPerformedProcedureStepSequence", "1· ReferencedSOPClassUID"],
        ),
        ("nothing at all", []),
    ],
)
def test_what_is_found_is_seen_with_the_sequences_around_it(
    words: str, expected: list[str]
) -> None:
    assert names(HeaderTreeState(wanted=parse_filter(words, FIELDS))) == expected


def test_private_elements_are_hidden_on_request() -> None:
    assert "private" in names(HeaderTreeState(), PAIRS)
    assert "private" not in names(HeaderTreeState(private=False), PAIRS)


def test_a_comparison_shows_what_became_of_each_element() -> None:
    lines = {line.name: line for line in header_lines(PAIRS, HeaderTreeState(only_changes=True))}
    assert lines["PatientName"].value == "Doe^Jane → S0041"
    assert lines["PatientBirthDate"].value == "19610412 → removed"
    assert lines["PatientIdentityRemoved"].row.change is RowChange.ADDED
    assert "▾ ReferencedPerformedProcedureStepSequence" in lines
    assert "Modality" not in lines
    hidden = {line.name: line.value for line in header_lines(HIDDEN, HeaderTreeState())}
    assert hidden["PatientName"] == f"{MASK} → {MASK}"


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [
        ("PatientName", {"received": "“Doe^Jane”", "stored": "“S0041”", "raw": "53 30 30 34 31 …"}),
        ("PatientBirthDate", {"stored": "removed"}),
        ("PatientIdentityRemoved", {"received": "absent", "stored": "“YES”"}),
        ("WindowCenter", {"value": "“40\\80”", "length": "6 bytes, VM 2"}),
        ("ReferencedImageSequence", {"length": "undefined, VM 1", "value": "2 items"}),
    ],
)
def test_an_element_is_told_in_full(keyword: str, expected: dict[str, str]) -> None:
    (row,) = (p for p in PAIRS if element_of(p).keyword == keyword)
    facts = dict(element_facts(row))
    assert expected.items() <= facts.items()


def test_a_masked_element_gives_neither_its_value_nor_its_bytes() -> None:
    (name,) = (row for row in uncompared(masked(STORED)) if row.stored.keyword == "PatientName")  # type: ignore[union-attr]
    assert dict(element_facts(name)) == {
        "length": "6 bytes, VM 1",
        "value": f"{MASK} (masked, v shows)",
    }


@pytest.mark.parametrize(
    ("value", "vr", "expected"), [("", "LO", 0), ("a\\b\\c", "LO", 3), ("a\\b", "LT", 1)]
)
def test_values_are_counted(value: str, vr: str, expected: int) -> None:
    assert multiplicity(element(0x00081030, value, vr=vr)) == expected


@pytest.mark.parametrize(
    ("value", "rule", "taken"),
    [
        ("NEURO-01^BRAIN", r"(0008,1030):([^^]+)\^.*:1", "NEURO-01"),
        ("P1_S1 x", "(0008,1030):([^_]+)_.*:1", "P1"),
        ("A, b", "(0008,1030):([^,]+),.*:1", "A"),
        ("two words", "(0008,1030):([^ ]+) .*:1", "two"),
        ("^odd", "(0008,1030):(.*):1", "^odd"),
    ],
)
def test_a_rule_takes_the_beginning_of_the_value(value: str, rule: str, taken: str) -> None:
    assert rule_for(element(0x00081030, value)) == rule
    assert parse_rule(rule).apply(value) == taken


def test_a_rule_for_a_masked_element_says_nothing_of_its_value() -> None:
    assert rule_for(element(0x00100010, MASK, masked=True)) == "(0010,0010):(.*):1"
