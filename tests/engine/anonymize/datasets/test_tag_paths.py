"""Which elements a path means (dicomedit 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from engine.anonymize.datasets.matcher import find
from engine.anonymize.language.paths import parse_path
from tests.engine.anonymize.objects import apply, make_object, value_at
from tests.engine.anonymize.objects import find as element_at

if TYPE_CHECKING:
    from engine.anonymize.datasets.tree import Hit

NESTED = {
    "(0002,0016)": ("AE", "META"),
    "(0008,0005)": ("CS", "ISO_IR 100"),
    "(0008,1140)[0]/(0008,1155)": ("UI", "1.1"),
    "(0008,1140)[1]/(0008,1155)": ("UI", "1.2"),
    "(0008,1140)[1]/(0008,1140)[0]/(0008,1155)": ("UI", "1.3"),
    "(0008,1155)": ("UI", "1.0"),
    "(0010,0020)": ("LO", "P"),
    "(0010,1000)": ("LO", "a"),
    "(0010,1010)": ("AS", "030Y"),
    "(0010,1020)": ("DS", "1.70"),
    "(0019,0010)": ("LO", "ONE "),
    "(0019,0011)": ("LO", "TWO"),
    "(0019,1001)": ("LO", "one"),
    "(0019,1101)": ("LO", "two"),
    "(0019,1102)[0]/(0010,0020)": ("LO", "in private"),
    "(0019,1102)[0]/(0019,00FF)": ("LO", "ONE"),
    "(0019,1102)[0]/(0019,FF01)": ("LO", "one inside"),
}


def paths_of(ds: Dataset, path: str) -> list[str]:
    return [_name(hit) for hit in find(ds, parse_path(path), lambda: None)]


def _name(hit: Hit) -> str:
    tag = f"{hit.tag:08X}"
    own = f"{tag}[{hit.item}]" if hit.item is not None else tag
    level = hit.level
    while level.parent is not None:
        box = level.parent.ds
        for outer in box:
            if outer.VR == "SQ" and any(item is level.ds for item in outer.value):
                index = [item is level.ds for item in outer.value].index(True)
                own = f"{outer.tag:08X}[{index}]/{own}"
        level = level.parent
    return own


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("(0008,1155)", ["00081155"]),
        ("(0008,115X)", ["00081155"]),
        ("(0010,10@@)", ["00101000", "00101020"]),
        ("(0010,10#@)", ["00101010"]),
        ("(001@,0020)", ["00100020"]),
        ("(0002,001X)", ["00020010", "00020016"]),
        ("(0008,1140)[1]/(0008,1155)", ["00081140[1]/00081155"]),
        ("(0008,1140)[%]/(0008,1155)", ["00081140[0]/00081155", "00081140[1]/00081155"]),
        ("(0008,1140)/(0008,1155)", ["00081140[0]/00081155", "00081140[1]/00081155"]),
        ("(0008,1140)[1]", ["00081140[1]"]),
        ("(0008,1140)[7]", []),
        ("(0008,1140)[%]", ["00081140[0]", "00081140[1]"]),
        ("./(0008,1155)", ["00081140[0]/00081155", "00081140[1]/00081155"]),
        ("././(0008,1155)", ["00081140[1]/00081140[0]/00081155"]),
        (
            "+/(0008,1155)",
            ["00081140[0]/00081155", "00081140[1]/00081140[0]/00081155", "00081140[1]/00081155"],
        ),
        (
            "*/(0008,1155)",
            [
                "00081140[0]/00081155",
                "00081140[1]/00081140[0]/00081155",
                "00081140[1]/00081155",
                "00081155",
            ],
        ),
        ("*/(0010,0020)", ["00100020", "00191102[0]/00100020"]),
        ("./(0010,0020)", ["00191102[0]/00100020"]),
        ("(0019,{ONE}01)", ["00191001"]),
        ("(0019,{TWO}01)", ["00191101"]),
        ("(0019,{TWO}0X)", ["00191101", "00191102"]),
        ("(001#,{ONE}01)", ["00191001"]),
        ("*/(0019,{ONE}01)", ["00191001", "00191102[0]/0019FF01"]),
        ("(0019,{one}01)", []),
        ("(0019,{TWO}02)/(0010,0020)", ["00191102[0]/00100020"]),
        (
            "(0008,1140)/*",
            [
                "00081140[0]/00081155",
                "00081140[1]/00081140",
                "00081140[1]/00081140[0]/00081155",
                "00081140[1]/00081155",
            ],
        ),
        (
            "(0008,1140)/.",
            ["00081140[0]/00081155", "00081140[1]/00081140", "00081140[1]/00081155"],
        ),
        ("(0008,1140)[1]/+/(0008,1155)", ["00081140[1]/00081140[0]/00081155"]),
        ("(0010,0020)/(0010,0020)", []),
        ("(0028,XXXX)", []),
    ],
)
def test_a_path_means_these_elements_in_this_order(path: str, found: list[str]) -> None:
    assert paths_of(make_object(NESTED), path) == found


def test_a_star_alone_means_everything() -> None:
    ds = make_object(NESTED)
    assert len(paths_of(ds, "*")) == len(NESTED) + 1 + 3  # transfer syntax, sequences
    apply(ds, "-*")
    assert not ds
    assert not ds.file_meta


@pytest.mark.parametrize(
    ("path", "singular"),
    [
        ("(0008,1155)", True),
        ("(0019,{ONE}01)", True),
        ("(0008,1140)[1]/(0008,1155)", True),
        ("(0008,1140)[1]", True),
        ("(0008,1140)[%]", False),
        ("(0008,1140)/(0008,1155)", False),
        ("(0008,115X)", False),
        ("(0019,{ONE}0#)", False),
        ("*/(0008,1155)", False),
        ("./(0008,1155)", False),
        ("(0008,1140)/+", False),
    ],
)
def test_only_full_digits_and_items_make_a_path_singular(path: str, singular: bool) -> None:
    assert parse_path(path).singular is singular


def test_digits_and_spaces_around_the_comma_do_not_matter() -> None:
    assert parse_path("(0020 , 000d) [ 1 ] / (0008,00Ff)").steps == (
        parse_path("(0020,000D)[1]/(0008,00FF)").steps
    )


def test_a_creator_that_owns_two_blocks_has_both_hit() -> None:
    ds = make_object(
        {
            "(0019,0010)": ("LO", "ONE"),
            "(0019,0020)": ("LO", "ONE"),
            "(0019,1001)": ("LO", "a"),
            "(0019,2001)": ("LO", "b"),
        }
    )
    apply(ds, "-(0019,{ONE}01)")
    assert [f"{tag:08X}" for tag in ds.keys()] == ["00190010", "00190020"]  # noqa: SIM118


def test_creators_are_read_in_the_character_set_of_their_data_set() -> None:
    ds = make_object({"(0019,1001)": ("LO", "a")})
    ds.set_original_encoding(False, True, ["iso8859_15"])
    creator = BaseTag(0x00190010)
    name = "MÜLLER ".encode("iso8859_15")
    ds[creator] = RawDataElement(creator, "LO", len(name), name, 0, False, True)
    assert paths_of(ds, "(0019,{MÜLLER}01)") == ["00191001"]


def test_deleting_an_item_removes_it_and_shifts_those_behind() -> None:
    """XNAT leaves an empty item (DE-91); its authors expect the item to go."""
    ds = make_object(NESTED)
    apply(ds, "-(0008,1140)[0]")
    assert value_at(ds, "(0008,1140)[0]/(0008,1155)") == "1.2"
    assert element_at(ds, "(0008,1140)[1]") is None
    apply(ds, "-(0008,1140)[%]")
    assert list(ds[0x00081140].value) == []


def test_deleting_what_is_absent_creates_nothing() -> None:
    ds = make_object()
    apply(ds, "-(0008,1140)[3]/(0008,1155)", "-(0045,{NEW}01)", "-(0045,{NEW}01)/(0008,0100)")
    assert not ds


TAGS = [0x00080016, 0x00081140, 0x00081155, 0x00400275, 0x00400008, 0x00100010]
SEQUENCES = {0x00081140, 0x00400275, 0x00400008}


@st.composite
def _trees(draw: st.DrawFn, depth: int = 3) -> dict[int, object]:
    tree: dict[int, object] = {}
    for tag in draw(st.lists(st.sampled_from(TAGS), unique=True)):
        if tag in SEQUENCES:
            items = st.lists(_trees(depth - 1), max_size=2) if depth else st.just([])
            tree[tag] = draw(items)
        else:
            tree[tag] = "1"
    return tree


_tag_steps = st.sampled_from(
    [
        "(0008,1155)", "(0008,1140)", "(0008,1140)[0]", "(0008,1140)[1]", "(0008,1140)[%]",
        "(0040,0275)", "(0040,0275)[0]", "(0008,11XX)", "(00@@,@#XX)", "(0040,XX@X)", "(0008,001@)",
    ]
)  # fmt: skip
_paths = st.lists(st.one_of(_tag_steps, st.sampled_from("*+.")), min_size=1, max_size=5)


def _dataset(tree: dict[int, object]) -> Dataset:
    ds = Dataset()
    for tag, content in tree.items():
        if isinstance(content, list):
            ds.add_new(tag, "SQ", [_dataset(item) for item in content])
        else:
            ds.add_new(tag, "UI" if tag != 0x00100010 else "PN", content)
    return ds


def _all_paths(tree: dict[int, object], prefix: str = "") -> list[str]:
    found = []
    for tag in sorted(tree):
        found.append(f"{prefix}{tag:08X}")
        content = tree[tag]
        for index, item in enumerate(content if isinstance(content, list) else ()):
            found.append(f"{prefix}{tag:08X}[{index}]")
            found += _all_paths(item, f"{prefix}{tag:08X}[{index}]/")
    return found


def _as_regex(steps: list[str]) -> re.Pattern[str]:
    """The naive matcher: a script path as an expression on the texts of element paths."""
    last = len(steps) - 1
    parts = []
    for index, step in enumerate(steps):
        if step in "*+.":
            final = {"*": rf"{_ANY}(?:/{_ANY})*", "+": rf"{_ANY}(?:/{_ANY})*", ".": _ANY}[step]
            inner = {"*": rf"(?:{_ANY}/)*", "+": rf"(?:{_ANY}/)+", ".": rf"{_ANY}/"}[step]
            parts.append(f"(?:{final})" if index == last else inner)
            continue
        digits = "".join(_DIGITS.get(c, c) for c in step[1:10] if c != ",")
        item = (
            step[11:].replace("[%]", r"\[\d+\]").replace("[0]", r"\[0\]").replace("[1]", r"\[1\]")
        )
        parts.append(digits + item if index == last else f"{digits}{item or _ITEM}/")
    return re.compile("".join(parts))


_ITEM = r"\[\d+\]"
_ANY = rf"[0-9A-F]{{8}}(?:{_ITEM}(?=/))?"
_DIGITS = {"X": "[0-9A-F]", "@": "[02468ACE]", "#": "[13579BDF]"}


@settings(max_examples=80, deadline=None)
@given(_trees(), _paths)
def test_the_matcher_agrees_with_a_naive_one_on_path_texts(
    tree: dict[int, object], steps: list[str]
) -> None:
    expression = _as_regex(steps)
    wanted = {path for path in _all_paths(tree) if expression.fullmatch(path)}
    found = paths_of(_dataset(tree), "/".join(steps))
    assert len(found) == len(set(found))
    assert set(found) == wanted
