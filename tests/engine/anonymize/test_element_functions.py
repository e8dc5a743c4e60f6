"""Functions that set, remove, collect, blank and retain elements (dicomedit 9.6)."""

from __future__ import annotations

import pytest

from engine.anonymize import ScriptRuntimeError
from tests.engine.anonymize.objects import apply, find, make_object, result, value_at, vr_at

PRIVATE = {
    "(0019,0010)": ("LO", "A"),
    "(0019,0011)": ("LO", "B"),
    "(0019,1001)": ("LO", "a1"),
    "(0019,1002)": ("LO", "a2"),
    "(0019,1101)[0]/(0010,0010)": ("PN", "kept with its sequence"),
    "(0019,1101)[0]/(0021,0010)": ("LO", "C"),
    "(0019,1101)[0]/(0021,1001)": ("LO", "kept too"),
    "(0008,1140)[0]/(0019,0010)": ("LO", "A"),
    "(0008,1140)[0]/(0019,1001)": ("LO", "inside"),
    "(0008,1140)[0]/(0008,1155)": ("UI", "1"),
    "(0010,0010)": ("PN", "Doe"),
}


def test_set_writes_by_number_and_makes_what_is_missing() -> None:
    ds = make_object({"(0045,1001)": ("SH", "old")})
    apply(ds, 'set["(0045,0010)", "PCI"]', 'set["(0045,1001)", "new"]', 'set["(0045,1002)", 5]',
          'set["(0008,1140)/(0008,1155)", "1.2"]', 'set["(0008,1140)[1]/(0008,1155)", "1.3"]',
          'set["(0010,0010)", (0010,0020)]', 'set["(0002,0016)", "AE"]')  # fmt: skip
    assert (vr_at(ds, "(0045,0010)"), value_at(ds, "(0045,0010)")) == ("LO", "PCI")
    assert (vr_at(ds, "(0045,1001)"), value_at(ds, "(0045,1001)")) == ("SH", "new")
    assert (vr_at(ds, "(0045,1002)"), value_at(ds, "(0045,1002)")) == ("LO", "5")
    assert value_at(ds, "(0008,1140)[0]/(0008,1155)") == "1.2"
    assert value_at(ds, "(0008,1140)[1]/(0008,1155)") == "1.3"
    assert find(ds, "(0010,0010)") is None
    assert value_at(ds, "(0002,0016)") == "AE"


def test_delete_removes_by_number_and_does_not_mind_what_is_absent() -> None:
    ds = make_object({"(0045,0010)": ("LO", "PCI"), "(0045,1001)": ("LO", "x"),
                      "(0008,1140)[1]/(0008,1155)": ("UI", "1")})  # fmt: skip
    apply(ds, 'delete["(0045,0010)"]', 'delete["(0008,1140)[1]/(0008,1155)"]',
          'delete["(0008,1140)/(0008,1155)"]', 'delete["(0010,0010)"]')  # fmt: skip
    assert find(ds, "(0045,0010)") is None
    assert find(ds, "(0008,1140)[1]/(0008,1155)") is None
    assert find(ds, "(0008,1140)[1]") is not None


@pytest.mark.parametrize("call", ['set[path, "x"]', "delete[path]", 'set[(0010,0010), "x"]'])
def test_set_and_delete_take_plain_paths_only(call: str) -> None:
    with pytest.raises(ScriptRuntimeError, match="the path"):
        apply(make_object(), call, path="(0045,{A}01)")


def test_lists_of_tags_are_removed_as_if_one_by_one() -> None:
    ds = make_object(PRIVATE)
    apply(
        ds, "l := {(0019,{A}0X), {*/(0008,1155)}}", 'removeTags[l, "(0010,0010)"]', "removeTags[]"
    )
    assert find(ds, "(0019,1001)") is None
    assert find(ds, "(0019,1002)") is None
    assert find(ds, "(0019,0010)") is not None
    assert find(ds, "(0010,0010)") is None
    assert find(ds, "(0008,1140)[0]/(0008,1155)") is None
    assert value_at(ds, "(0008,1140)[0]/(0019,1001)") == "inside"


def test_collected_values_are_a_snapshot_of_texts() -> None:
    ds = make_object({"(0010,0010)": ("PN", "Doe"), "(0008,1140)[0]/(0010,0010)": ("PN", "Roe")})
    apply(ds, 'l := collectValues[{*/(0010,0010)}, "x", (0010,0020)]', "-*/(0010,0010)",
          '(0010,4000) := format["{0} {1} {2} {3}", l]')  # fmt: skip
    assert value_at(ds, "(0010,4000)") == "Roe Doe x {3}"


BLANKED = {
    "(0002,0016)": ("AE", "Doe"),
    "(0010,0010)": ("PN", "Doe"),
    "(0010,4000)": ("LT", "  Doe "),
    "(0008,1140)[0]/(0008,0080)": ("LO", "Doe"),
    "(0008,0008)": ("CS", "Doe\\X"),
    "(0008,0081)": ("ST", "doe"),
    "(0008,1030)": ("LO", "D oe"),
    "(0045,1001)": ("UN", {"hex": "446f6500"}),
    "(0045,1002)": ("OB", {"hex": "446f652020"}),
    "(0020,0013)": ("IS", "1"),
    "(0028,0002)": ("US", "1"),
    "(0028,0106)": ("SS", "1"),
    "(0018,9073)": ("FD", "1"),
    "(0008,1120)": ("SQ", 0),
    "(7FE0,0010)": ("OW", b"\1" * 5000),
}


def _blanked(*arguments: str) -> list[str]:
    ds = make_object(BLANKED)
    apply(ds, f"blankValues[{', '.join(arguments)}]")
    for path in BLANKED:
        assert vr_at(ds, path) == BLANKED[path][0]
    return [path for path in BLANKED if value_at(ds, path) == "" and path != "(0008,1120)"]


def test_blanking_finds_a_whole_value_everywhere_whatever_its_padding() -> None:
    wanted = ["(0002,0016)", "(0010,0010)", "(0010,4000)", "(0008,1140)[0]/(0008,0080)",
              "(0045,1001)", "(0045,1002)"]  # fmt: skip
    assert _blanked("(0010,0010)") == wanted
    assert _blanked('{ " Doe" }') == wanted
    assert _blanked('"Doe\\\\X"') == ["(0008,0008)"]


def test_blanking_compares_numbers_as_text() -> None:
    wanted = ["(0020,0013)", "(0028,0002)", "(0028,0106)", "(0018,9073)"]
    assert _blanked("(0020,0013)") == wanted


@pytest.mark.parametrize("arguments", [[], ["(0010,0030)"], ['""'], ["{}"]])
def test_blanking_nothing_changes_nothing(arguments: list[str]) -> None:
    ds = make_object(BLANKED)
    before = str(ds)
    apply(ds, f"blankValues[{', '.join(arguments)}]")
    assert str(ds) == before


def test_only_paths_and_texts_can_be_blanked() -> None:
    with pytest.raises(ScriptRuntimeError, match="neither a tag path nor a text"):
        apply(make_object(), "blankValues[removeTags[]]")


def _retained(*paths: str) -> list[str]:
    ds = make_object(PRIVATE)
    apply(ds, f"retainPrivateTags[{', '.join(paths)}]")
    return [path for path in PRIVATE if find(ds, path) is not None]


PUBLIC = ["(0008,1140)[0]/(0008,1155)", "(0010,0010)"]


def test_only_retained_private_elements_stay_with_their_creators() -> None:
    assert _retained('"(0019,{A}01)"') == ["(0019,0010)", "(0019,1001)", *PUBLIC]


def test_a_retained_sequence_keeps_all_that_is_in_it() -> None:
    kept = ["(0019,0011)", "(0019,1101)[0]/(0010,0010)", "(0019,1101)[0]/(0021,0010)",
            "(0019,1101)[0]/(0021,1001)"]  # fmt: skip
    assert _retained("(0019,{B}XX)") == [*kept, *PUBLIC]


def test_a_sequence_with_something_retained_in_it_stays() -> None:
    kept = ["(0019,0011)", "(0019,1101)[0]/(0010,0010)", "(0019,1101)[0]/(0021,0010)",
            "(0019,1101)[0]/(0021,1001)"]  # fmt: skip
    assert _retained("(0019,{B}01)/(0021,{C}01)") == [*kept, *PUBLIC]


def test_public_sequences_are_searched_if_the_path_says_so() -> None:
    kept = [
        "(0019,0010)",
        "(0019,1001)",
        "(0008,1140)[0]/(0019,0010)",
        "(0008,1140)[0]/(0019,1001)",
    ]
    assert _retained("*/(0019,{A}01)") == [*kept, *PUBLIC]


def test_without_arguments_no_private_element_is_retained() -> None:
    assert _retained() == PUBLIC


def test_a_path_without_a_private_step_retains_nothing_and_is_refused() -> None:
    with pytest.raises(ScriptRuntimeError, match="names no private element"):
        apply(make_object(), "retainPrivateTags[(0010,0010)]")


def test_the_worked_example_does_what_it_says() -> None:
    ds = make_object(
        {
            "(0008,0018)": ("UI", "1.2.3.4.5"),
            "(0008,0060)": ("CS", "MR"),
            "(0008,0080)": ("LO", "Hospital"),
            "(0008,1140)[0]/(0008,0080)": ("LO", "Hospital"),
            "(0008,1140)[0]/(0008,1155)": ("UI", "1.2.3.4.5.6"),
            "(0010,0030)": ("DA", "19630704"),
            "(0029,0010)": ("LO", "SIEMENS CSA HEADER"),
            "(0029,1010)": ("OB", {"hex": "0102"}),
            "(0051,0010)": ("LO", "OTHER"),
            "(0051,1010)": ("LO", "x"),
        }
    )
    apply(ds, "hashUIDList[{ (0008,0018), (0020,000D), (0020,000E),", "  */(0008,1155) }]",
          "dob := (0010,0030)", 'if (ismatch[dob, "\\\\d{8}"]) {',
          '    (0010,0030) := concatenate[substring[dob, 0, 4], "0101"]', "} else {",
          "    -(0010,0030)", "}", '(0008,0060) = "PR" ? reject[]', '*/(0008,0080) ?= "REMOVED"',
          'retainPrivateTags["(0029,{SIEMENS CSA HEADER}XX)"]', "(0010,0020) := session",
          "(0010,0010) := subject", '"Unassigned" != project ? (0008,1030) := project',
          project="P1", subject="S1", session="E1")  # fmt: skip
    assert (value_at(ds, "(0008,0018)") or "").startswith("2.25.28109797580")
    assert value_at(ds, "(0002,0003)") == value_at(ds, "(0008,0018)")
    assert (value_at(ds, "(0008,1140)[0]/(0008,1155)") or "").startswith("2.25.2622285")
    assert value_at(ds, "(0010,0030)") == "19630101"
    assert value_at(ds, "(0008,1140)[0]/(0008,0080)") == value_at(ds, "(0008,0080)") == "REMOVED"
    assert ds[0x00291010].value == b"\x01\x02"
    assert find(ds, "(0051,0010)") is None
    assert [value_at(ds, p) for p in ("(0008,1030)", "(0010,0010)", "(0010,0020)")] == [
        "P1",
        "S1",
        "E1",
    ]
    with pytest.raises(ScriptRuntimeError):
        result('ismatch[(0010,0030), "a"]')
