"""Scripts that are valid and probably do something else than meant (dicomedit 12)."""

from __future__ import annotations

import pytest

from engine.anonymize import Trap, lint
from tests.engine.anonymize.objects import script


def traps(*lines: str) -> list[tuple[int, Trap]]:
    return [(finding.line, finding.trap) for finding in lint(script(*lines))]


@pytest.mark.parametrize(
    ("lines", "trap"),
    [
        (["(0010,0010) := (0010,0020)"], Trap.NULL_KEEPS_VALUE),
        (['(0018,0015) := lookup["part", (0018,0015)]'], Trap.LOOKUP_MISS),
        (["-(0010,0010)"], Trap.NESTED_COPIES),
        (["-(0010,0020)"], Trap.NESTED_COPIES),
        (['blankValues["MR"]'], Trap.BLANK_SHORT_VALUES),
        (["blankValues[(0008,0060)]"], Trap.BLANK_SHORT_VALUES),
        (['if ((0008,0071) = "") {', "}"], Trap.MISSING_ELEMENT),
        (['(0008,0060) != "MR" ? -(0018,1030)'], Trap.MISSING_ELEMENT),
        (["echo (0010,0010)"], Trap.ECHO),
        (['v := ismatch["a", "\\ba"]'], Trap.SINGLE_BACKSLASH),
        (['alterPixels["rectangle", "l=0,t=0,r=9,b=9", "solid", "v=0"]'], Trap.UNGUARDED_PIXELS),
        (["(0010,0020) := substring[hashUID[(0010,0020)], 0, 9]"], Trap.GUESSABLE_HASH),
        (["(0008,0050) := newUID[]"], Trap.GUESSABLE_HASH),
        (["(0008,0018) := hashUID[(0008,0018)]"], Trap.BROKEN_REFERENCES),
        (["removeAllPrivateTags retainPrivateTags[(0029,{A}10)]"], Trap.PRIVATE_ORDER),
        (["(0010,0020) := concatenate[site]"], Trap.HALF_SET_VARIABLE),
        (["echo site"], Trap.HALF_SET_VARIABLE),
        (['(0002,0016) := "AE"'], Trap.FILE_META),
        (['(0008,0016) ?= "1.2"'], Trap.FILE_META),
        (['v := getURL["http://host"]'], Trap.NETWORK),
    ],
)
def test_a_trap_is_found_at_its_line(lines: list[str], trap: Trap) -> None:
    assert (2, trap) in traps(*lines)
    assert (4, trap) in traps("if (true[]) {", "", *lines, "}")


@pytest.mark.parametrize(
    "lines",
    [
        ['(0010,0010) := "A"', '(0010,0010) := concatenate[(0010,0020), "x"]'],
        ["-(0010,0010)", "-*/(0010,0010)"],
        ["-(0018,1030)", "-(0019,{A}10)", "-(0018,10XX)", "-(0009,{A}10)/(0010,0010)"],
        ["blankValues[(0010,0010), (0010,00XX), (0029,{A}10)]", 'blankValues["a long name"]'],
        ['(0008,0060) = "MR" ? -(0018,1030)', '"a" != subject ? -(0018,1030)'],
        ['echo "done"', "echo"[:0]],
        ['ismatch[subject, "\\\\d+"] ? -(0018,1030)', "ismatch[subject, session] ? -(0018,1030)"],
        [
            'if ((0028,0010) = "512") {',
            'alterPixels["rectangle", "l=0,t=0,r=9,b=9", "solid", "v=0"]',
            "}",
        ],
        ["(0008,0018) := hashUID[(0008,0018)]", "hashUIDList[*/(0008,1155)]"],
        ["retainPrivateTags[(0029,{A}10)]", "removeAllPrivateTags"],
        ["if (true[]) { v := 1 } else { v := 2 }", "(0010,0020) := v", "v := {v, (0010,0010)}"],
        ["(0010,0020) := project", "(0029,{A}10) := newUID[]", "*/(0008,0080) ?= subject"],
        ["removeAllPrivateTags", "describe subject hidden"],
    ],
)
def test_nothing_is_said_of_what_is_meant_so(lines: list[str]) -> None:
    assert traps(*lines) == []


def test_a_variable_set_in_one_branch_only_may_have_no_value_behind_it() -> None:
    assert traps("if (true[]) {", "v := 1", "}", "(0010,0020) := v") == [
        (5, Trap.HALF_SET_VARIABLE)
    ]


def test_findings_name_the_element_and_a_remedy_in_the_order_of_lines() -> None:
    found = lint(script("(0010,0020) := (0010,0030)", "-(0010,0010)"))
    assert [finding.line for finding in found] == [2, 3]
    assert "(0010,0030)" in found[0].message
    assert found[1].remedy == "write -*/(0010,0010)"
