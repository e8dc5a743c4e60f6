"""Layouts: a data set that looks like one before is taken for what it is, and no other."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dicom import dataset as layout
from engine.dicom.dataset import MOST_HEADS, MOST_KNOWN, ElementIndexCache, IndexKey
from engine.dicom.elements import Index, encoding_of, index
from engine.errors import UnreadableObject
from tests.dicom import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    UNCOMPRESSED,
    UNDEFINED_LENGTH,
    element,
    encode,
    enhanced_image,
    head,
    image,
)

LAST_TAG = 0x00324000
SYNTAXES = (*UNCOMPRESSED, JPEG_2000_LOSSLESS)


def plain(data: bytes, form: IndexKey) -> Index:
    encoding = encoding_of(form.transfer_syntax_uid)
    return index(data, encoding, form.last_tag, to_end=True, size_bytes=form.size_bytes)


def form_of(data: bytes, syntax: str, size_bytes: int | None = None) -> IndexKey:
    return IndexKey(syntax, LAST_TAG, len(data), size_bytes)


def unknown_sequence(end: bytes) -> bytes:
    """Return a data set with a private sequence as UN, which is implicit inside (PS3.5 6.2.2)."""
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    inner = encode([element("PatientID", "XY")], IMPLICIT_VR_LITTLE_ENDIAN)
    item = head(0xFFFEE000, "", UNDEFINED_LENGTH, syntax) + inner + end
    unknown = head(0x00091010, "UN", UNDEFINED_LENGTH, syntax) + item
    return unknown + head(0xFFFEE0DD, "", 0, syntax) + image(syntax)


ITEM_END = head(0xFFFEE00D, "", 0, EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_third_of_equal_data_sets_is_not_walked(
    syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts, data = ElementIndexCache(), enhanced_image(syntax)
    form = form_of(data, syntax)
    found = [layouts.index(data, form) for _ in range(2)]
    monkeypatch.setattr(layout, "index", None)
    assert [*found, layouts.index(data, form)] == [plain(data, form)] * 3


def test_one_object_leaves_no_positions_behind_in_its_association() -> None:
    layouts, data = ElementIndexCache(), image(EXPLICIT_VR_LITTLE_ENDIAN)
    found = layouts.index(data, form_of(data, EXPLICIT_VR_LITTLE_ENDIAN))
    assert len(found.starts) > 5
    assert [owner for owner in gc.get_referrers(found.starts) if isinstance(owner, dict)] == []


@given(
    syntax=st.sampled_from(SYNTAXES),
    is_enhanced=st.booleans(),
    kept=st.integers(20, 800),
    changes=st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 255)), min_size=1, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_whatever_differs_a_data_set_is_seen_as_it_is(
    syntax: str, is_enhanced: bool, kept: int, changes: list[tuple[int, int]]
) -> None:
    whole = enhanced_image(syntax) if is_enhanced else image(syntax)
    data = whole[:kept]
    layouts, form = ElementIndexCache(), form_of(data, syntax, len(whole))
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(data)] = value
    for candidate in (data, data, data, bytes(changed), data):
        assert outcome(layouts.index, candidate, form) == outcome(plain, candidate, form)


def outcome(walk: object, data: bytes, form: IndexKey) -> object:
    assert callable(walk)
    try:
        return walk(data, form)
    except UnreadableObject as error:
        return error.detail


def test_a_sequence_that_hides_its_form_is_looked_at_each_time() -> None:
    data, broken = unknown_sequence(ITEM_END), unknown_sequence(b"\x10\x00\x21\x00\xff\xff\xff\x0f")
    layouts, form = ElementIndexCache(), form_of(data, EXPLICIT_VR_LITTLE_ENDIAN)
    assert [layouts.index(data, form) for _ in range(3)] == [plain(data, form)] * 3
    with pytest.raises(UnreadableObject):
        layouts.index(broken, form)


def test_what_has_too_many_elements_is_looked_at_each_time() -> None:
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    item = head(0xFFFEE000, "", UNDEFINED_LENGTH, syntax) + ITEM_END
    many = item * MOST_HEADS + head(0xFFFEE0DD, "", 0, syntax)
    deep = head(0x00081140, "SQ", UNDEFINED_LENGTH, syntax) + many
    wide = b"".join(head(0x00100000 + n, "LO", 0, syntax) for n in range(MOST_HEADS + 1))
    layouts = ElementIndexCache()
    for data in (deep, wide) * 3:
        form = form_of(data, syntax)
        assert layouts.index(data, form) == plain(data, form)
    assert layouts._known == {}


def test_only_so_many_layouts_are_known() -> None:
    layouts = ElementIndexCache()
    for number in range(3 * MOST_KNOWN):
        data = image(SeriesDescription="x" * 2 * number)
        for _ in range(3):
            layouts.index(data, form_of(data, EXPLICIT_VR_LITTLE_ENDIAN))
    assert len(layouts._known) <= MOST_KNOWN
