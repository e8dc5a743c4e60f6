"""Which elements must be sequences, and which look like one."""

from __future__ import annotations

import pytest
from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from engine.anonymize.datasets.decoding import decoded, is_declared, looks_nested

REFERENCED_IMAGES, PATIENT_NAME, PRIVATE, UNKNOWN = 0x00081140, 0x00100010, 0x00091001, 0x00080004
ITEM = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"


def raw(tag: int, vr: str | None, value: bytes | None = ITEM) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value or b""), value, 0, vr is None, True)


@pytest.mark.parametrize(
    ("tag", "vr", "declared"),
    [
        (REFERENCED_IMAGES, "SQ", True),
        (REFERENCED_IMAGES, "UN", True),
        (REFERENCED_IMAGES, None, True),
        (REFERENCED_IMAGES, "OB", False),
        (PATIENT_NAME, "SQ", True),
        (PATIENT_NAME, "UN", False),
        (PATIENT_NAME, None, False),
        (PRIVATE, "SQ", True),
        (PRIVATE, "UN", False),
        (PRIVATE, None, False),
        (UNKNOWN, "UN", False),
        (UNKNOWN, None, False),
    ],
)
def test_a_vr_of_sequences_or_the_dictionary_declares_one(
    tag: int, vr: str | None, declared: bool
) -> None:
    assert is_declared(raw(tag, vr)) is declared


@pytest.mark.parametrize("value", [None, b"", b"anything", ITEM])
@pytest.mark.parametrize("vr", ["SQ", "UN", None])
def test_what_is_declared_and_not_decoded_is_read_as_one_whatever_it_holds(
    vr: str | None, value: bytes | None
) -> None:
    assert looks_nested(raw(REFERENCED_IMAGES, vr, value))


@pytest.mark.parametrize("tag", [PRIVATE, UNKNOWN])
def test_of_the_others_the_first_bytes_decide(tag: int) -> None:
    assert looks_nested(raw(tag, "UN"))
    assert looks_nested(DataElement(tag, "UN", ITEM))
    assert not looks_nested(raw(tag, "UN", b"anything"))
    assert not looks_nested(raw(tag, "UN", None))
    assert not looks_nested(raw(tag, "LO"))


def test_what_is_decoded_is_not_read_again() -> None:
    assert not looks_nested(DataElement(REFERENCED_IMAGES, "SQ", Sequence([Dataset()])))


@pytest.mark.parametrize("items", [1, 2])
def test_an_empty_item_at_the_end_is_an_item(items: int) -> None:
    found = decoded(raw(REFERENCED_IMAGES, "UN", ITEM * items), default_encoding)
    assert found.items == [Dataset()] * items


def test_pixel_data_without_a_length_is_no_sequence_in_implicit_vr() -> None:
    without_length = b"\xff\xff\xff\xff" + ITEM + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    pixels = b"\xe0\x7f\x10\x00" + without_length
    images = b"\x08\x00\x40\x11" + without_length
    item = ITEM[:4] + len(images + pixels).to_bytes(4, "little") + images + pixels
    (found,) = decoded(raw(REFERENCED_IMAGES, "UN", item), default_encoding).items
    assert found.get_item(0x7FE00010).VR != "SQ"
    assert found.get_item(REFERENCED_IMAGES).VR == "SQ"
