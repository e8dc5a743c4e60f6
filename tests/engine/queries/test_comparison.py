"""Two headers side by side."""

from __future__ import annotations

from engine.api.objects import Comparison, ElementRow, RowChange
from engine.model.identity import MASK
from engine.queries.objects import compared, masked, masked_comparison
from tests.fakes.objects import example_elements

LAST_TAG = 0x00324000


def row(path: str, value: str = "x", **changes: object) -> ElementRow:
    group, number = path.split(".")[0][1:10].split(",")
    values: dict[str, object] = {
        "depth": path.count("."),
        "item": 0,
        "path": path,
        "tag": int(group + number, 16),
        "vr": "LO",
        "keyword": "",
        "value": value,
        "length": len(value),
        "identifying": False,
        "private": False,
    }
    return ElementRow(**(values | changes))  # type: ignore[arg-type]


def told(received: list[ElementRow], stored: list[ElementRow]) -> list[tuple[str, str]]:
    rows = compared(received, stored, LAST_TAG)
    return [(r.change.value, (r.received or r.stored or row("(0000,0000)")).path) for r in rows]


def test_each_element_is_equal_changed_removed_or_added() -> None:
    received = [row("(0008,0060)"), row("(0010,0010)", "Doe"), row("(0010,0020)")]
    stored = [row("(0008,0060)"), row("(0010,0010)", "S1"), row("(0012,0062)")]
    assert told(received, stored) == [
        ("equal", "(0008,0060)"),
        ("changed", "(0010,0010)"),
        ("removed", "(0010,0020)"),
        ("added", "(0012,0062)"),
    ]


def test_file_meta_and_what_was_not_kept_are_left_out() -> None:
    stored = [row("(0002,0010)"), row("(0008,0060)"), row("(7FE0,0010)")]
    assert told([row("(0008,0060)")], stored) == [("equal", "(0008,0060)")]


def test_items_are_compared_one_by_one_in_their_order() -> None:
    paths = [f"(0008,1140)[{i}].(0008,1155)" for i in (1, 2, 10)]
    received = [row("(0008,1140)", "10 items"), *(row(path) for path in paths)]
    stored = [row("(0008,1140)", "2 items"), *(row(path) for path in paths[:2])]
    assert told(received, stored) == [
        ("changed", "(0008,1140)"),
        ("equal", paths[0]),
        ("equal", paths[1]),
        ("removed", paths[2]),
    ]


def test_cut_values_of_another_length_differ() -> None:
    (one,) = compared(
        [row("(0008,0060)", cut=True, length=500)],
        [row("(0008,0060)", cut=True, length=900)],
        LAST_TAG,
    )
    assert one.change is RowChange.CHANGED


def test_masking_hides_identifying_values_and_says_so() -> None:
    hidden = {r.keyword: r for r in masked(example_elements(as_received=True)) if r.keyword}
    assert (hidden["PatientName"].value, hidden["PatientName"].masked) == (MASK, True)
    assert (hidden["Modality"].value, hidden["Modality"].masked) == ("CT", False)
    assert not masked((row("(0010,0010)", "", identifying=True),))[0].masked


def test_what_a_script_copied_from_an_identifying_element_is_masked_there_too() -> None:
    name, place = "(0010,0010)", "(0018,1030)"
    received = [row(name, "Doe^Jane", vr="PN", identifying=True), row("(0008,103E)", "of Jane")]
    stored = [row(name, "S1", vr="PN", identifying=True), row(place, "scan of DOE")]
    rows = compared(received, [*stored, row("(0008,103E)", "of Jane")], LAST_TAG)
    hidden = masked_comparison(Comparison(rows, LAST_TAG, complete=True)).rows
    found = {one.stored.path: one.stored for one in hidden if one.stored}
    assert (found[place].value, found[place].masked) == (MASK, True)
    assert found["(0008,103E)"].value == "of Jane"  # as it arrived: no copy of ours
