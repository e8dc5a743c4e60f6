"""The walk that makes raw elements: it reads what pydicom reads, or says that it can't."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from engine.dicom import raw_elements
from engine.dicom.elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, PIXEL_VRS, encoding_of
from engine.dicom.part10 import FileMeta, read_file_meta, uid_in
from engine.dicom.raw_elements import (
    MAX_IN_MEMORY_BYTES,
    RawWalk,
    TooManyElements,
    read_items,
)
from engine.errors import UnreadableObject
from tests import dicom
from tests.dicom import Element, element

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from engine.dicom.raw_elements import Elements

LITTLE = dicom.EXPLICIT_VR_LITTLE_ENDIAN
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SEQUENCES = st.sampled_from([0x00081140, 0x00091002, 0x52009230, 0x7FE10011])
TAGS = st.one_of(
    st.sampled_from([0x00091002, 0x00100010, 0x00280106, 0xFFFCFFFC]),
    st.builds(
        lambda group, number: group << 16 | number,
        st.sampled_from([0x0008, 0x0009, 0x0010, 0x7FE1]),
        st.integers(1, 0xFFFF),
    ),
)
PLAIN = st.one_of(
    st.tuples(st.sampled_from(["LO", "PN", "UI", "UT", "DS", "UR"]), st.sampled_from(["", "1.2"])),
    st.tuples(st.sampled_from(["OB", "UN", "OW", "UV"]), st.binary(max_size=8)),
    st.tuples(st.sampled_from(["US", "SS"]), st.integers(0, 999)),
)


def in_order(elements: dict[int, Element]) -> list[Element]:
    return [elements[tag] for tag in sorted(elements)]


def data_sets(items: st.SearchStrategy[list[Element]] | None) -> st.SearchStrategy[list[Element]]:
    plain = st.builds(lambda tag, value: Element(tag, *value), TAGS, PLAIN)
    if items is not None:
        sequence = st.builds(
            lambda tag, of, is_open: Element(tag, "SQ", of, undefined_length=is_open),
            SEQUENCES,
            st.lists(items, max_size=2),
            st.booleans(),
        )
        plain = st.one_of(plain, sequence)
    return st.lists(plain, max_size=5).map(lambda all_: in_order({e.tag: e for e in all_}))


NESTED = data_sets(data_sets(data_sets(None)))
SYNTAXES = st.sampled_from(dicom.UNCOMPRESSED)
PIECES = st.sampled_from(
    [
        b"\xff\xff\xff\xff",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"SQ\0\0\xff\xff\xff\xff",
        b"UN\0\0",
        b"XX",
        b"\0\0\0\0",
        b"\xe0\x7f\x10\x00",
    ]
)


def raw(elements: Elements) -> dict[BaseTag, RawDataElement]:
    return {tag: kept for tag, kept in elements.items() if isinstance(kept, RawDataElement)}


def walked(data: bytes, syntax: str) -> dict[BaseTag, RawDataElement]:
    found: Elements = {}
    walk = RawWalk.of_bytes(data)
    encoding = walk.encoding(syntax)
    while (head := walk.take(found, encoding)) is not None:
        walk.skip(head, encoding)
    return raw(found)


def read_by_pydicom(data: bytes, syntax: str) -> Dataset:
    encoding = encoding_of(syntax)
    return read_dataset(BytesIO(data), not encoding.explicit, not encoding.big_endian)


def said(kept: RawDataElement | DataElement) -> tuple[object, ...]:
    """Return what is compared of an element.

    Sequences of undefined length pydicom decodes, but for empty ones of unknown VR.
    """
    if isinstance(kept, DataElement) or kept.length == dicom.UNDEFINED_LENGTH:
        return kept.tag, dicom.UNDEFINED_LENGTH
    return kept.tag, kept.VR, kept.length, kept.value or b"", kept.value_tell


@given(NESTED, SYNTAXES)
def test_the_elements_are_those_of_pydicom(elements: list[Element], syntax: str) -> None:
    data = dicom.encode(elements, syntax)
    theirs = read_by_pydicom(data, syntax)
    assert list(map(said, walked(data, syntax).values())) == list(map(said, theirs.values()))


@settings(max_examples=300)
@given(
    NESTED,
    SYNTAXES,
    st.lists(st.tuples(st.integers(0, 400), st.one_of(PIECES, st.binary(max_size=4)))),
    st.integers(0, 9),
)
def test_whatever_the_bytes_pydicom_reads_the_same_of_what_the_walk_accepts(
    elements: list[Element], syntax: str, changes: list[tuple[int, bytes]], cut: int
) -> None:
    content = bytearray(dicom.encode(elements, syntax))
    for place, piece in changes:
        if place <= len(content):
            content[place : place + len(piece)] = piece
    data = bytes(content[: len(content) - cut])
    with suppress(UnreadableObject):
        ours = [said(kept) for tag, kept in walked(data, syntax).items()]
        with suppress(EOFError):  # sequences with an odd item, which pydicom reads at once
            theirs = read_by_pydicom(data, syntax)
            assert ours == [said(e) for tag, e in theirs.items() if tag not in PIXEL_VRS]


def same_items(value: bytes, encoding_of_value: str, theirs: list[Dataset]) -> None:
    encoding = encoding_of(encoding_of_value)
    found = read_items(value, encoding)
    assert (found.unique, found.odd) == (True, False)
    assert len(found.items) == len(theirs)
    for (elements, is_open), item in zip(found.items, theirs, strict=True):
        assert is_open == item.is_undefined_length_sequence_item
        assert list(map(said, elements.values())) == [
            (*said(e)[:4], raw(elements)[tag].value_tell)[
                : len(said(e))
            ]  # their places are in the file
            for tag, e in item.items()
        ]
        for tag, kept in raw(elements).items():
            if kept.VR == "SQ" and item[tag].VR == "SQ":
                same_items(kept.value or b"", encoding_of_value, list(item[tag].value))


@given(st.lists(data_sets(data_sets(None)), max_size=3), st.booleans(), SYNTAXES)
def test_items_are_those_of_pydicom(items: list[list[Element]], is_open: bool, syntax: str) -> None:
    sequence = Element(0x00081140, "SQ", items, undefined_length=is_open)
    data = dicom.encode([sequence], syntax)
    (kept,) = walked(data, syntax).values()
    same_items(kept.value or b"", syntax, list(read_by_pydicom(data, syntax)[0x00081140].value))


@given(st.lists(st.one_of(PIECES, st.binary(max_size=6)), max_size=12).map(b"".join), SYNTAXES)
def test_whatever_the_bytes_items_are_read_or_refused(value: bytes, syntax: str) -> None:
    with suppress(UnreadableObject):
        read_items(value, encoding_of(syntax))


def item(content: bytes, *, is_open: bool = False) -> bytes:
    length = dicom.UNDEFINED_LENGTH if is_open else len(content)
    return dicom.head(0xFFFEE000, "", length, LITTLE) + content


ITEM_END = dicom.head(0xFFFEE00D, "", 0, LITTLE)
ROWS = dicom.encode([element("Rows", 4)], LITTLE)
MODALITY = dicom.encode([element("Modality", "CT")], LITTLE)
ODD = dicom.head(0x00100010, "XX", 2, LITTLE) + b"xy"


@pytest.mark.parametrize(
    ("content", "unique", "odd"),
    [
        (MODALITY + ROWS, True, False),
        (ROWS + MODALITY, True, False),
        (ROWS + MODALITY + ROWS, False, False),
        (ROWS + ROWS, False, False),
        (ODD + ROWS, True, True),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_in_items_elements_may_be_odd_or_out_of_order_or_twice(
    content: bytes, unique: bool, odd: bool, is_open: bool
) -> None:
    value = item(content + ITEM_END * is_open, is_open=is_open)
    found = read_items(value, EXPLICIT_LITTLE)
    assert (found.unique, found.odd) == (unique, odd)
    (only,) = found.items
    assert only.is_undefined_length == is_open
    assert raw(only.elements)[Tag("Rows")].value == b"\x04\0"
    assert raw(only.elements)[Tag("Rows")].value_tell == value.rindex(ROWS) + 8
    assert {kept.VR for kept in only.elements.values()} <= {"CS", "US", "UN"}


def test_a_long_value_in_an_item_is_read_as_any_other() -> None:
    value = item(dicom.encode([element("TextValue", "x" * 200_000)], LITTLE))
    (only,) = read_items(value, EXPLICIT_LITTLE).items
    assert [len(kept.value or b"") for kept in raw(only.elements).values()] == [200_000]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (ROWS, "no item"),
        (item(ROWS)[:-1], "no item"),
        (item(ROWS)[:4], "cut short"),
        (item(ROWS, is_open=True), "no end"),
        (item(ROWS[:-1]), "longer than its item"),
        (item(ROWS[:6]), "cut short"),
        (item(ROWS + ITEM_END), "between elements"),
        (item(dicom.head(0x00081140, "SQ", dicom.UNDEFINED_LENGTH, LITTLE)), "has no end"),
    ],
)
def test_what_is_no_item_is_refused(value: bytes, detail: str) -> None:
    with pytest.raises(UnreadableObject, match=detail):
        read_items(value, EXPLICIT_LITTLE)


def test_a_data_set_with_vrs_is_not_read_as_an_implicit_one() -> None:
    with pytest.raises(UnreadableObject, match="explicit VR"):
        RawWalk.of_bytes(MODALITY).encoding(dicom.IMPLICIT_VR_LITTLE_ENDIAN)
    assert RawWalk.of_bytes(MODALITY).encoding(LITTLE) is EXPLICIT_LITTLE


def test_pixel_data_of_every_kind_end_the_walk_and_can_be_stepped_over() -> None:
    elements = [
        element("Rows", 4),
        element(0x7FE00001, b"", "OV"),
        Element(0x7FE00008, "OF", bytes(4)),
        Element(0x7FE00009, "OD", bytes(8)),
        element(0x7FE0000A, b"ab", "UN"),
        dicom.fragments(b"\xff" * 100_000),
        element(0x7FE10010, "X", "LO"),
    ]
    walk, heads = RawWalk.of_bytes(dicom.encode(elements, LITTLE)), []
    found: Elements = {}
    while (head := walk.take(found, EXPLICIT_LITTLE)) is not None:
        heads.append((head.number, head.vr, walk.skip(head, EXPLICIT_LITTLE) - head.start))
    assert heads == [
        (0x7FE00008, "OF", 16),
        (0x7FE00009, "OD", 20),
        (0x7FE00010, "OB", 12 + 8 + 100_008 + 8),
    ]
    assert list(found) == [0x00280010, 0x7FE00001, 0x7FE0000A, 0x7FE10010]


def test_long_values_are_left_where_they_are_and_sequences_are_not() -> None:
    long = element("TextValue", "x" * (MAX_IN_MEMORY_BYTES + 2))
    items = [[element("PatientComments", "y" * 1000)] for _ in range(100)]
    sequence = Element(0x52009230, "SQ", items, undefined_length=True)
    data = dicom.encode([long, sequence], LITTLE)
    walk = RawWalk.of_bytes(data)
    found: Elements = {}
    assert walk.take(found, EXPLICIT_LITTLE) is None
    text, kept = raw(found).values()
    assert walk.long == [text]
    assert (text.tag, text.value, text.value_tell) == (0x0040A160, None, 12)
    assert len(read_items(kept.value or b"", EXPLICIT_LITTLE).items) == 100


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
@pytest.mark.parametrize("size", [16, 50, 300])
def test_where_a_window_ends_makes_no_difference(
    syntax: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dicom.enhanced_image(syntax)
    whole = walked(data, syntax)
    monkeypatch.setattr(raw_elements, "MAX_IN_MEMORY_BYTES", size)
    monkeypatch.setattr(raw_elements, "_WINDOW_BYTES", size + 12)
    parts = walked(data, syntax)
    assert parts.keys() == whole.keys()
    for tag, kept in parts.items():
        assert kept == (whole[tag] if kept.value is not None else whole[tag]._replace(value=None))


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (dicom.encode([element("Rows", 4), element("Modality", "CT")], LITTLE), "order"),
        (dicom.encode([element("Rows", 4)] * 2, LITTLE), "order"),
        (dicom.encode([Element(0x00080060, "XX", b"xy")], LITTLE), "(0008,0060) has no VR"),
        (dicom.encode([element("Rows", 4)], LITTLE)[:-1], "it ends inside (0028,0010)"),
        (dicom.encode([element("Rows", 4)], LITTLE)[:5], "it ends inside an element"),
        (dicom.head(0xFFFEE00D, "", 0, LITTLE), "(FFFE,E00D) stands outside a sequence"),
        (dicom.head(0x00081140, "OB", dicom.UNDEFINED_LENGTH, LITTLE), "is no sequence"),
        (dicom.head(0x00081140, "SQ", dicom.UNDEFINED_LENGTH, LITTLE), "has no end"),
        (
            dicom.head(0x00081140, "SQ", dicom.UNDEFINED_LENGTH, LITTLE)
            + item(ROWS, is_open=True)
            + ITEM_END
            + item(b"ab")[:-1],
            "(0008,1140) of undefined length has no end",
        ),
    ],
)
def test_what_is_not_encoded_by_the_rules_is_refused_with_a_tag(data: bytes, detail: str) -> None:
    with pytest.raises(UnreadableObject) as caught:
        walked(data, LITTLE)
    assert detail in caught.value.detail


def test_elements_beyond_the_bound_are_refused() -> None:
    tags = range(0x00091000, 0x00091000 + 120_000)
    data = b"".join(dicom.head(tag, "LO", 0, LITTLE) for tag in tags)
    with pytest.raises(TooManyElements, match="more than 100,000"):
        walked(data, LITTLE)


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_the_file_meta_end_where_another_encoding_begins(encoding: object, tmp_path: Path) -> None:
    syntax = LITTLE if encoding is EXPLICIT_LITTLE else dicom.IMPLICIT_VR_LITTLE_ENDIAN
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT", "XNAT").preamble("1.2.3")
    (tmp_path / "a.dcm").write_bytes(meta + dicom.image(syntax))
    with (tmp_path / "a.dcm").open("rb") as file:
        walk = RawWalk.of_file(file)
        found = read_file_meta(walk)
        assert uid_in(found, Tag(0x00020010)) == syntax
        assert walk.reached == len(meta)


@pytest.mark.parametrize("content", [b"", b"x" * 500, bytes(128) + b"DICM", b"DICM" * 40])
def test_what_is_no_file_has_no_file_meta(content: bytes) -> None:
    with pytest.raises(UnreadableObject):
        read_file_meta(RawWalk.of_bytes(content))
