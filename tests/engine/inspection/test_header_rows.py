"""Headers as rows: everything is there, nothing is endless, and what is hostile is only bytes."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest

from engine.dicom.part10 import FileMeta
from engine.inspection import header_rows
from engine.inspection.header_rows import read
from engine.inspection.job import HeaderJob, HeaderResult
from tests import dicom
from tests.dicom import Element, element

# The process that this runs in tells nobody of odd values either.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
LITTLE = dicom.EXPLICIT_VR_LITTLE_ENDIAN


def read_bytes(content: bytes, syntax: str = LITTLE) -> HeaderResult:
    return read(HeaderJob(data=content, transfer_syntax_uid=syntax))


def read_elements(*elements: Element, syntax: str = LITTLE) -> HeaderResult:
    return read_bytes(dicom.encode(elements, syntax), syntax)


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
def test_every_element_is_a_row_in_order_and_items_follow_their_sequence(syntax: str) -> None:
    result = read_bytes(dicom.enhanced_image(syntax), syntax)
    rows = {row.path: row for row in result.elements}
    assert rows["(0010,0010)"].value == "Doe^Jane"
    assert (rows["(0010,0010)"].identifying, rows["(0008,0060)"].identifying) == (True, False)
    assert rows["(0008,1140)"].value == "1 item"
    nested = rows["(5200,9230)[3].(0028,9145)[1].(0028,1052)"]
    assert (nested.depth, nested.item, nested.value) == (2, 1, "-1024")
    tops = [row.tag for row in result.elements if not row.depth]
    assert tops == sorted(tops)
    assert (result.frames, result.has_pixels, result.complete) == (3, True, True)
    assert result.elements[-1].value == "96 bytes"


def test_a_file_is_shown_with_its_file_meta_and_the_scripts_that_ran(tmp_path: Path) -> None:
    code = [element("CodeValue", "12"), element("CodingSchemeDesignator", "XNAT")]
    path = tmp_path / "a.dcm"
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, LITTLE, "CT", "XNAT").preamble("1.2.3")
    path.write_bytes(
        meta + dicom.encode([Element(0x00120064, "SQ", [code]), element("Rows", 4)], LITTLE)
    )
    result = read(HeaderJob(str(path)))
    assert result.elements[0].tag == 0x00020000
    assert result.transfer_syntax_uid == LITTLE
    assert result.anonymized_by == ("12",)
    syntax = next(row for row in result.elements if row.tag == 0x00020010)
    assert syntax.value == f"{LITTLE} Explicit VR Little Endian"
    assert (syntax.length, syntax.first_bytes) == (20, LITTLE.encode() + b"\0")
    length = result.elements[0]
    assert (length.length, length.first_bytes) == (4, int(length.value).to_bytes(4, "little"))


def test_long_values_are_cut_and_binary_ones_shown_by_their_first_bytes(tmp_path: Path) -> None:
    values = [
        element(0x00091001, bytes(range(200)), "OB"),
        element("PatientComments", "x" * 1_000),
        element("TextValue", "y" * 300_000),
    ]
    path = tmp_path / "a.dcm"
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, LITTLE, "CT", "XNAT").preamble("1.2.3")
    path.write_bytes(meta + dicom.encode(values, LITTLE))
    private, comments, longest = read(HeaderJob(str(path))).elements[-3:]
    assert private.value.startswith("00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F … 200")
    assert (private.private, private.identifying, private.length) == (True, True, 200)
    assert (len(comments.value), comments.cut, comments.length) == (256, True, 1_000)
    assert longest.value.startswith("79 79")
    assert longest.value.endswith("300,000 bytes")
    assert longest.cut


def test_the_first_bytes_are_those_of_the_encoded_value(tmp_path: Path) -> None:
    result = read_elements(
        element("PatientName", "Doe^J"),
        element("Rows", 513),
        Element(0x00120064, "SQ", [[element("CodeValue", "12")]]),
    )
    rows = {row.path: row.first_bytes for row in result.elements}
    assert rows["(0010,0010)"] == b"Doe^J "
    assert rows["(0028,0010)"] == b"\x01\x02"
    assert rows["(0012,0064)"] == b""
    assert rows["(0012,0064)[1].(0008,0100)"] == b"12"
    path = tmp_path / "a.dcm"
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, LITTLE, "CT", "XNAT").preamble("1.2.3")
    path.write_bytes(meta + dicom.encode([Element(0x00420011, "OB", b"%PDF" * 50_000)], LITTLE))
    large = read(HeaderJob(str(path))).elements[-1]
    assert large.first_bytes == b"%PDF" * 8


def test_every_element_has_its_length_and_first_bytes_also_those_that_decide_on_others() -> None:
    result = read_elements(
        element("SpecificCharacterSet", "ISO_IR 192"),
        Element(0x00081140, "SQ", [[element("Modality", "")]]),
        element("PixelRepresentation", 1),
    )
    assert [(row.length, row.first_bytes) for row in result.elements if not row.depth] == [
        (10, b"ISO_IR 192"),
        (16, b""),
        (2, b"\x01\0"),
    ]


def test_sequences_are_shown_as_items_in_big_endian_and_as_unknown_vr_too() -> None:
    inner = Element(0x00091002, "SQ", [[element("Modality", "CT")]], undefined_length=True)
    implicit = dicom.encode([inner], dicom.IMPLICIT_VR_LITTLE_ENDIAN)  # PS3.5 6.2.2
    unknown = Element(0x00091002, "UN", implicit[8:], undefined_length=True)
    outer = Element(0x00081140, "SQ", [[element("Modality", "MR"), unknown]])
    for syntax in (LITTLE, dicom.EXPLICIT_VR_BIG_ENDIAN):
        rows = {row.path: row for row in read_elements(outer, syntax=syntax).elements}
        assert rows["(0008,1140)"].value == "1 item"
        assert rows["(0008,1140)[1].(0008,0060)"].value == "MR"
        row = rows["(0008,1140)[1].(0009,1002)"]
        assert (row.vr, row.value, row.length) == ("SQ", "1 item", -1)
        assert rows["(0008,1140)[1].(0009,1002)[1].(0008,0060)"].value == "CT"


def test_whether_numbers_in_items_have_a_sign_is_said_around_them() -> None:
    item = [element("SmallestImagePixelValue", -5, "SS")]
    table = Element(0x00283010, "SQ", [item])
    for representation, number in ((0, "65531"), (1, "-5")):
        signed = element("PixelRepresentation", representation)
        rows = read_elements(signed, table, syntax=dicom.IMPLICIT_VR_LITTLE_ENDIAN).elements
        assert rows[-1].value == number
        assert rows[0].length == 2


@pytest.mark.parametrize("content", ["read by pydicom", "read by the walk"])
def test_a_vr_that_is_none_is_shown_as_it_stands(content: str) -> None:
    odd = Element(0x00080060, "XX", b"xy")
    in_item = Element(0x00081140, "SQ", [[odd]])
    result = read_elements(odd if content == "read by pydicom" else in_item)
    assert result.elements[-1].vr == "XX"


def test_private_sequences_hide_all_that_is_in_them() -> None:
    inner = [element("Modality", "CT"), element("SeriesNumber", "4")]
    result = read_elements(Element(0x00091002, "SQ", [inner]))
    sequence, *nested = result.elements
    assert (sequence.vr, sequence.identifying) == ("SQ", False)
    assert all(row.identifying and row.private for row in nested)


def test_a_header_without_end_stops_in_good_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_rows, "MOST_ROWS", 10)
    many = read_elements(*(element(0x00091000 + i, b"xx", "UN") for i in range(1, 100)))
    assert (len(many.elements), many.complete) == (10, False)


def test_deep_sequences_stop_in_good_time() -> None:
    nested = [element("Modality", "CT")]
    for _ in range(30):
        nested = [Element(0x00081140, "SQ", [nested], undefined_length=True)]
    result = read_elements(*nested)
    assert not result.complete
    assert max(row.depth for row in result.elements) == header_rows.DEEPEST


def test_bottomless_sequences_are_refused() -> None:
    head = dicom.head(0x00081140, "SQ", dicom.UNDEFINED_LENGTH, LITTLE)
    item = dicom.head(0xFFFEE000, "", dicom.UNDEFINED_LENGTH, LITTLE)
    result = read_bytes((head + item) * 20_000)
    assert (result.elements, result.problem) == (
        *((), "the header can't be read (RecursionError)"),
    )


@pytest.mark.parametrize(
    ("vr", "value", "shown"),
    [
        ("FD", b"\x01\x02", "01 02"),
        ("DS", "not a number", "not a number"),
        ("IS", "1e5\\x", None),
        ("DA", "yesterday", "yesterday"),
        ("PN", b"\xff\xfe\x1b$B", None),
        ("UI", "1.2..3\\x", None),
        ("XX", b"xy", None),
        ("CS", b"\x1b[2J\0", None),
    ],
)
def test_values_that_are_none_are_shown_anyway(vr: str, value: object, shown: str | None) -> None:
    result = read_elements(Element(0x00080060, vr, value))  # type: ignore[arg-type]
    assert result.problem == ""
    assert len(result.elements) == 1
    result.elements[0].value.encode()
    if shown is not None:
        assert result.elements[0].value.strip(" \0") == shown


@pytest.mark.parametrize("name", ["badVR.dcm", "nested_priv_SQ.dcm", "waveform_ecg.dcm"])
def test_odd_files_have_rows(name: str) -> None:
    result = read(HeaderJob(str(SAMPLES / name)))
    assert len(result.elements) > 10
    assert len({row.path for row in result.elements}) == len(result.elements)


def test_what_is_no_dicom_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"hello")
    assert read(HeaderJob(str(path))).problem.startswith("the header can't be read")
    assert read(HeaderJob(str(tmp_path / "none"))).problem.startswith("the header can't be read")
