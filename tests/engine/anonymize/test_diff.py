"""What anonymization did, element by element."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from engine.anonymize import (
    ElementChangeKind,
    ElementDifference,
    differences,
    edit_file,
    read_object,
)
from tests.engine.anonymize.objects import apply, make_object, script

OBJECT = {
    "(0002,0016)": ("AE", "CT1"),
    "(0008,0000)": ("UL", "10"),
    "(0008,0060)": ("CS", "MR"),
    "(0010,0010)": ("PN", "Doe^Jane"),
    "(0008,1140)[0]/(0008,1155)": ("UI", "1.2"),
    "(0008,1140)[1]/(0008,1155)": ("UI", "1.3"),
    "(0029,0011)": ("LO", "CSA"),
    "(0029,1110)": ("OB", {"hex": "0102"}),
    "(0008,1115)": ("SQ", 0),
}


def compared(*lines: str, **options: bool) -> list[tuple[str, str, str | None, str | None]]:
    before = make_object(OBJECT)
    after = copy.deepcopy(before)
    apply(after, *lines)
    found = differences(before, after, **options)
    return [(d.path, str(d.change), d.before, d.after) for d in found]


def test_removed_changed_and_added_elements_are_listed_with_their_paths() -> None:
    rows = compared('(0010,0010) := "X"', "-(0029,{CSA}10)", '(0008,1140)[1]/(0008,1155) := "9"',
                    '(0010,0020) := "P"', "-(0008,0060)", "-(0002,0016)")  # fmt: skip
    assert rows == [
        ("(0002,0016)", "removed", "CT1", None),
        ("(0008,0060)", "removed", "MR", None),
        ("(0008,1140)[1]/(0008,1155)", "changed", "1.3", "9"),
        ("(0010,0010)", "changed", "Doe^Jane", "X"),
        ("(0010,0020)", "added", None, "P"),
        ("(0029,{CSA}10)", "removed", "2 bytes", None),
    ]


def test_whole_sequences_are_listed_with_what_was_in_them() -> None:
    rows = compared("-(0008,1140)", '(0040,0275)[0]/(0008,0050) := "A"', "-(0008,1115)")
    assert rows == [
        ("(0008,1115)", "removed", "0 items", None),
        ("(0008,1140)", "removed", None, None),
        ("(0008,1140)[0]/(0008,1155)", "removed", "1.2", None),
        ("(0008,1140)[1]/(0008,1155)", "removed", "1.3", None),
        ("(0040,0275)", "added", None, None),
        ("(0040,0275)[0]/(0008,0050)", "added", None, "A"),
    ]


def test_what_is_kept_can_be_listed_too_and_values_can_be_masked() -> None:
    rows = compared('(0010,0010) := "X"', kept=True, masked=True)
    assert ("(0010,0010)", "changed", "‹8 characters›", "‹1 character›") in rows
    assert ("(0008,0060)", "kept", "‹2 characters›", "‹2 characters›") in rows
    assert ("(0008,1115)", "kept", "‹7 characters›", "‹7 characters›") in rows
    assert "Doe" not in str(rows)
    assert not any(path == "(0008,0000)" for path, *_ in rows)


def test_long_and_unreadable_values_are_described() -> None:
    before, after = make_object(), make_object()
    for ds, filler in ((before, "A"), (after, "B")):
        apply(ds, "(0010,4000) := v", v=filler * 500)
        ds.add_new(0x00420011, "OB", filler.encode() * 1000)
    rows = differences(before, after)
    assert [(r.before or "")[:3] for r in rows] == ["AAA", "1,0"]
    assert len(rows[0].before or "") == 201
    assert rows[1] == ElementDifference(
        "(0042,0011)",
        "EncapsulatedDocument",
        "OB",
        ElementChangeKind.CHANGED,
        "1,000 bytes",
        "1,000 bytes",
    )


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ('(0010,0010) := "X"', ElementChangeKind.KEPT),
        ('alterPixels["rectangle", "l=0,t=0,r=9,b=9", "solid", "v=0"]', ElementChangeKind.CHANGED),
        ("-(7FE0,0010)", ElementChangeKind.REMOVED),
        ('(7FE0,0010) := "x"', ElementChangeKind.CHANGED),
    ],
)
def test_pixel_data_in_files_are_compared_without_being_loaded(
    line: str, change: ElementChangeKind, tmp_path: Path
) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    target = tmp_path / "out.dcm"
    edit_file(source, target, [script(line)], {})
    with source.open("rb") as before, target.open("rb") as after:
        rows = differences(read_object(before), read_object(after), kept=True)
    row = next(row for row in rows if row.path == "(7FE0,0010)")
    assert row.change is change
    assert row.before == "32,768 bytes"
