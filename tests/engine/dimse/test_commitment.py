"""Data sets of storage commitment: as pydicom writes and reads them, and as nobody should."""

from __future__ import annotations

from io import BytesIO
from struct import pack
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from engine.dimse import commitment
from engine.dimse.commitment import (
    CommitmentReport,
    CommitmentRequest,
    Reference,
    TooManyReferences,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterable

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
REFERENCES = (Reference(CT, "1.2.3"), Reference("1.2.840.10008.5.1.4.1.1.4", "1.2.3.44"))
REQUEST = CommitmentRequest("1.2.9", REFERENCES)
REPORT = CommitmentReport("1.2.9", REFERENCES[:1], ((REFERENCES[1], 0x0112),))


def written(ds: Dataset, syntax: str) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax == IMPLICIT
    write_dataset(file, ds)
    return file.getvalue()


def as_pydicom(references: Iterable[Reference], *, undefined: bool) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = "1.2.9"
    items = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
        # A sequence that says nothing here, and hides UIDs that are not meant.
        inner = Dataset()
        inner.ReferencedSOPInstanceUID = "9.9.9"
        item.PurposeOfReferenceCodeSequence = Sequence([inner])
        item.is_undefined_length_sequence_item = undefined
        items.append(item)
    ds.ReferencedSOPSequence = Sequence(items)
    ds["ReferencedSOPSequence"].is_undefined_length = undefined
    return ds


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_request_is_read_however_pydicom_writes_it_and_ours_is_read_by_pydicom(
    syntax: str,
) -> None:
    for undefined in (False, True):
        encoded = written(as_pydicom(REFERENCES, undefined=undefined), syntax)
        assert decode_request(encoded, syntax) == REQUEST
    assert decode_request(encode_request(REQUEST, syntax), syntax) == REQUEST
    ds = read_dataset(
        BytesIO(encode_report(REPORT, syntax)),
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=True,
    )
    assert ds.TransactionUID == "1.2.9"
    assert ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert ds.FailedSOPSequence[0].ReferencedSOPClassUID == REFERENCES[1].sop_class_uid
    assert ds.FailedSOPSequence[0].FailureReason == 0x0112
    assert decode_report(encode_report(REPORT, syntax), syntax) == REPORT
    assert (REPORT.event_type, REPORT._replace(failed=()).event_type) == (2, 1)


def element(tag: int, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return pack("<HHI", tag >> 16, tag & 0xFFFF, size) + value


UID = element(0x00081195, b"1.2.9\0")
ITEM = element(0xFFFEE000, element(0x00081150, b"1.2\0") + element(0x00081155, b"1.3\0"))
OPEN = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (b"", "has no Transaction UID"),
        (UID[:5], "cut short"),
        (UID, "names no SOP instance"),
        (element(0x00081199, ITEM), "has no Transaction UID"),
        (element(0x00081195, b"../etc") + element(0x00081199, ITEM), "Transaction UID is no UID"),
        (element(0x00081195, b"1" * 70), "Transaction UID is longer than 64"),
        (UID + element(0x00081199, b"", 2**31), "past the end"),
        (UID + element(0x00081199, ITEM[:-2]), "past the end"),
        (UID + element(0x00081199, b"\x08\0\0\0\0\0\0\0"), "no item"),
        (UID + element(0x00081199, element(0xFFFEE000, b"")), "lacks its SOP class"),
        (UID + element(0x00081199, element(0xFFFEE000, b"", OPEN), OPEN), "no end|cut short"),
        (UID + element(0x00081199, ITEM + element(0xFFFEE000, b"", 99)), "past the end"),
        (UID + element(0x00081200, b"", OPEN) * 80, "nested|no end|no item"),
    ],
)
def test_what_is_no_request_is_refused_in_words(encoded: bytes, why: str) -> None:
    with pytest.raises(UnreadableObject, match=why):
        decode_request(encoded, IMPLICIT)


def test_a_request_has_a_most_of_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "MOST_REFERENCES", 10)
    many = UID + element(0x00081199, ITEM * 10)
    assert len(decode_request(many, IMPLICIT).references) == 10
    with pytest.raises(TooManyReferences):
        decode_request(UID + element(0x00081199, ITEM * 11), IMPLICIT)
