"""The walk over encoded elements: what it finds, what it refuses, and that it can't be hung."""

from __future__ import annotations

import mmap
import sys
import time
from typing import TYPE_CHECKING

import pytest

from engine.dicom.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_INDEXED_ELEMENTS,
    Index,
    encoding_of,
    index,
    value_at,
)
from engine.errors import UnreadableObject
from tests.dicom import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    UNCOMPRESSED,
    UNDEFINED_LENGTH,
    Element,
    element,
    encode,
    enhanced_image,
    head,
    image,
)

if TYPE_CHECKING:
    from pathlib import Path

LAST_TAG = 0x00324000
SECOND = 1 if sys.gettrace() is None else 20
ALL = 0xFFFFFFFF


def whole(data: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN, last_tag: int = ALL) -> Index:
    return index(data, encoding_of(syntax), last_tag, to_end=True)


def tags(found: Index, syntax: str) -> list[int]:
    return [encoding_of(syntax).key(key) for key in found.starts]


def undefined(tag: int, vr: str, content: bytes, syntax: str) -> bytes:
    end = head(0xFFFEE0DD, "", 0, syntax)
    return head(tag, vr, UNDEFINED_LENGTH, syntax) + content + end


def open_item(content: bytes, syntax: str) -> bytes:
    start = head(0xFFFEE000, "", UNDEFINED_LENGTH, syntax)
    return start + content + head(0xFFFEE00D, "", 0, syntax)


PATIENT = encode([element("PatientName", "Doe^Jane")], EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, JPEG_2000_LOSSLESS])
def test_every_top_level_element_is_found_in_every_transfer_syntax(syntax: str) -> None:
    found = whole(image(syntax), syntax)
    assert tags(found, syntax)[:3] == [0x00080005, 0x00080008, 0x00080016]
    assert tags(found, syntax)[-1] == 0x7FE00010
    assert len(found.starts) == 18
    assert found.complete
    assert not found.odd


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_value_is_where_the_index_says(syntax: str) -> None:
    data = image(syntax)
    encoding = encoding_of(syntax)
    start = whole(data, syntax).starts[encoding.key(0x00100010)]
    vr, position, length = value_at(data, start, encoding)
    assert data[position : position + length] == b"Doe^Jane"
    assert vr == ("PN" if encoding.explicit else "")


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_nested_sequences_of_undefined_length_are_walked_over(syntax: str) -> None:
    found = whole(enhanced_image(syntax), syntax)
    assert tags(found, syntax)[-2:] == [0x52009230, 0x7FE00010]


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_only_groups_up_to_the_last_tag_are_indexed(syntax: str) -> None:
    found = whole(image(syntax), syntax, LAST_TAG)
    assert max(tags(found, syntax)) == 0x00280103
    assert found.end < len(image(syntax))


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_without_to_end_the_walk_stops_at_the_first_greater_group(syntax: str) -> None:
    header = image(syntax)[:-8]  # the pixel data is cut, which nobody looks at
    found = index(header, encoding_of(syntax), LAST_TAG, to_end=False)
    assert not found.complete
    assert max(tags(found, syntax)) == 0x00280103


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_can_be_walked(kind: type) -> None:
    assert len(whole(kind(image())).starts) == 18


def test_a_mapped_file_can_be_walked(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(image())
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert len(index(mapped, EXPLICIT_LITTLE, ALL, to_end=True).starts) == 18


@pytest.mark.parametrize(
    ("uid", "encoding"),
    [
        (IMPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_LITTLE),
        (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_LITTLE),
        (EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_BIG),
        (JPEG_2000_LOSSLESS, EXPLICIT_LITTLE),
        ("1.2.840.113619.5.2", IMPLICIT_LITTLE),
        ("1.2.3.4", EXPLICIT_LITTLE),
    ],
)
def test_the_transfer_syntax_decides_the_encoding(uid: str, encoding: object) -> None:
    assert encoding_of(uid) is encoding


def test_a_deflated_data_set_is_refused_before_anything_is_inflated() -> None:
    with pytest.raises(UnreadableObject, match="deflated"):
        encoding_of(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)


def test_unknown_content_is_implicit_inside_explicit() -> None:
    """PS3.5 6.2.2: UN of undefined length."""
    inner = encode([element("PatientID", "X")], IMPLICIT_VR_LITTLE_ENDIAN)
    item = open_item(inner, IMPLICIT_VR_LITTLE_ENDIAN)
    data = undefined(0x00091010, "UN", item, EXPLICIT_VR_LITTLE_ENDIAN) + PATIENT
    assert tags(whole(data), EXPLICIT_VR_LITTLE_ENDIAN) == [0x00091010, 0x00100010]


def test_unknown_content_is_little_endian_inside_big_endian() -> None:
    inner = encode([element("PatientID", "X")], IMPLICIT_VR_LITTLE_ENDIAN)
    item = open_item(inner, IMPLICIT_VR_LITTLE_ENDIAN)
    unknown = head(0x00091010, "UN", UNDEFINED_LENGTH, EXPLICIT_VR_BIG_ENDIAN)
    end = head(0xFFFEE0DD, "", 0, IMPLICIT_VR_LITTLE_ENDIAN)
    data = unknown + item + end + image(EXPLICIT_VR_BIG_ENDIAN)
    assert len(whole(data, EXPLICIT_VR_BIG_ENDIAN).starts) == 19


@pytest.mark.parametrize(
    ("name", "element_bytes"),
    [
        ("a later standard's VR with 32 bits", b"\x09\x00\x10\x10ZZ\0\0\x04\0\0\0abcd"),
        ("an invented VR with 16 bits", b"\x09\x00\x10\x10ZZ\x04\0abcd"),
        ("an invented VR without a value", b"\x09\x00\x10\x10ZZ\0\0"),
        ("question marks", b"\x09\x00\x10\x10??\x04\0abcd"),
        ("blanks", b"\x09\x00\x10\x10  \x04\0abcd"),
        ("implicit VR in an explicit data set", b"\x09\x00\x10\x10\x04\0\0\0abcd"),
    ],
)
def test_odd_vrs_are_tolerated(name: str, element_bytes: bytes) -> None:
    data = element_bytes + PATIENT
    found = whole(data)
    assert tags(found, EXPLICIT_VR_LITTLE_ENDIAN) == [0x00091010, 0x00100010], name
    assert list(found.odd) == [EXPLICIT_LITTLE.key(0x00091010)]
    last = whole(encode([element("StudyDate", "")], EXPLICIT_VR_LITTLE_ENDIAN) + element_bytes)
    assert last.complete


def test_odd_vrs_inside_sequences_are_tolerated() -> None:
    odd = b"\x09\x00\x10\x10??\x04\0abcd"
    item = open_item(odd, EXPLICIT_VR_LITTLE_ENDIAN)
    data = undefined(0x00081140, "SQ", item, EXPLICIT_VR_LITTLE_ENDIAN) + PATIENT
    assert len(whole(data).starts) == 2


def test_tags_out_of_order_are_tolerated_and_the_last_of_equal_ones_counts() -> None:
    elements = [
        element("PatientName", "First"),
        element("StudyDate", "20260101"),
        element("PatientName", "Second"),
    ]
    data = encode(elements, EXPLICIT_VR_LITTLE_ENDIAN)
    found = whole(data)
    assert tags(found, EXPLICIT_VR_LITTLE_ENDIAN) == [0x00100010, 0x00080020]
    start = found.starts[EXPLICIT_LITTLE.key(0x00100010)]
    _, position, length = value_at(data, start, EXPLICIT_LITTLE)
    assert data[position : position + length] == b"Second"


def test_odd_lengths_are_tolerated() -> None:
    data = head(0x00100010, "PN", 3, EXPLICIT_VR_LITTLE_ENDIAN) + b"Doe"
    assert whole(data + PATIENT).complete


EXPLICIT = EXPLICIT_VR_LITTLE_ENDIAN
ITEM = head(0xFFFEE000, "", 0, EXPLICIT)
ITEM_END = head(0xFFFEE00D, "", 0, EXPLICIT)
SEQUENCE = head(0x00081140, "SQ", UNDEFINED_LENGTH, EXPLICIT)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (PATIENT[:-1], "(0010,0010) runs 1 bytes past the end"),
        (PATIENT + PATIENT[:3], "the last 3 bytes are no element"),
        (PATIENT + head(0x00104000, "OB", 2**31, EXPLICIT), "(0010,4000) runs 2147483648"),
        (PATIENT + head(0x00104000, "UT", 0, EXPLICIT)[:-2], "the last 10 bytes are no element"),
        (SEQUENCE, "(0008,1140) of undefined length has no end"),
        (SEQUENCE + ITEM, "(0008,1140) of undefined length has no end"),
        (SEQUENCE + PATIENT, "(0008,1140) holds something that is no item"),
        (SEQUENCE + ITEM_END, "(0008,1140) holds something that is no item"),
        (PATIENT + ITEM, "(FFFE,E000) stands outside a sequence"),
        (PATIENT + ITEM_END, "(FFFE,E00D) stands outside a sequence"),
        (PATIENT + bytes(8), "zeros follow the last element"),
        (PATIENT + b"\xff" * 8, "(FFFF,FFFF) stands outside a sequence"),
        (b"\0\0\0\0UL\x04\0\0\0\0\0", "begins with a command or file header"),
        (b"PK\x03\x04" + bytes(40), "has no valid VR"),
    ],
)
def test_what_is_wrong_is_said_with_tags_but_no_values(data: bytes, detail: str) -> None:
    with pytest.raises(UnreadableObject) as caught:
        whole(data)
    assert detail in caught.value.detail
    assert caught.value.detail.isascii()
    assert len(caught.value.detail) <= 64
    assert caught.value.status == 0xC000


@pytest.mark.parametrize(
    ("rest", "detail"),
    [
        (bytes(8), "zeros follow the last element"),
        (bytes(13), "the last 5 bytes are no element"),
        (ITEM_END, "(FFFE,E00D) stands outside a sequence"),
        (b"\xff" * 8, "(FFFF,FFFF) of undefined length has no end"),
        (b"garbage at the end", "runs"),
    ],
)
def test_what_follows_an_implicit_data_set_is_refused(rest: bytes, detail: str) -> None:
    data = image(IMPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(UnreadableObject) as caught:
        whole(data + rest, IMPLICIT_VR_LITTLE_ENDIAN, LAST_TAG)
    assert detail in caught.value.detail


def nested(depth: int, syntax: str, vr: str = "SQ") -> bytes:
    start = head(0x00081140, vr, UNDEFINED_LENGTH, syntax)
    start += head(0xFFFEE000, "", UNDEFINED_LENGTH, syntax)
    end = head(0xFFFEE00D, "", 0, syntax) + head(0xFFFEE0DD, "", 0, syntax)
    return start * depth + end * depth


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_sequences_may_be_nested_to_a_depth_of_64(syntax: str) -> None:
    assert whole(nested(MAX_DEPTH, syntax), syntax).complete
    for depth in (MAX_DEPTH + 1, 2_000, 200_000):
        with pytest.raises(UnreadableObject, match="deeper than 64"):
            whole(nested(depth, syntax), syntax)


def endless(syntax: str, tag: int) -> bytes:
    return head(tag, "LO", 0, syntax) * 5_000_000


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
@pytest.mark.parametrize("tag", [0x00100010, 0x00400010])
def test_five_million_empty_elements_are_refused_within_a_second(syntax: str, tag: int) -> None:
    data = endless(syntax, tag)
    started = time.process_time()
    with pytest.raises(UnreadableObject, match=f"more than {MAX_ELEMENTS} elements"):
        index(data, encoding_of(syntax), LAST_TAG, to_end=True)
    assert time.process_time() - started < SECOND


def test_five_million_items_are_refused_within_a_second() -> None:
    data = SEQUENCE + ITEM * 5_000_000
    started = time.process_time()
    with pytest.raises(UnreadableObject, match=f"more than {MAX_ELEMENTS} elements"):
        whole(data)
    assert time.process_time() - started < SECOND


def test_the_limit_counts_the_elements_of_all_sequences_together() -> None:
    full = SEQUENCE + ITEM * 60_000 + head(0xFFFEE0DD, "", 0, EXPLICIT)
    with pytest.raises(UnreadableObject, match="elements"):
        whole(full * 40)


def test_the_index_itself_is_bounded() -> None:
    count = MAX_INDEXED_ELEMENTS + 60_000
    data = b"".join(
        head(tag, "LO", 0, IMPLICIT_VR_LITTLE_ENDIAN) for tag in range(0x90000, 0x90000 + count)
    )
    with pytest.raises(UnreadableObject, match="elements"):
        whole(data, IMPLICIT_VR_LITTLE_ENDIAN, LAST_TAG)


def test_an_element_may_be_a_sequence_of_defined_length() -> None:
    inner = [[element("PatientID", "X")], []]
    data = encode([Element(0x00081140, "SQ", inner)], EXPLICIT) + PATIENT
    assert len(whole(data).starts) == 2
