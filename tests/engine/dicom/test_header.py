"""Headers: the text of elements, compared with pydicom, and data sets that are refused."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from engine.dicom.dataset import (
    ElementIndexCache,
    check_complete,
    read_complete,
    read_header,
    read_in_parts,
)
from engine.dicom.elements import encoding_of, index
from engine.errors import UnreadableObject
from tests.dicom import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    UNCOMPRESSED,
    Element,
    element,
    encode,
    enhanced_image,
    head,
    image,
    image_elements,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dicom.header import HeaderView

SYNTAXES = (*UNCOMPRESSED, JPEG_BASELINE)


def text_of(*elements: Element, tag: int, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> str | None:
    data = encode(sorted(elements, key=lambda e: e.tag), syntax)
    return read_complete(data, syntax, last_tag=0xFFFFFFFF).text(tag)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_says_what_identifies_its_object(syntax: str) -> None:
    header = read_complete(image(syntax), syntax)
    assert header.transfer_syntax_uid == syntax
    assert header.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert header.sop_instance_uid == "1.2.826.0.1.3680043.8.498.1"
    assert header.study_instance_uid == "1.2.826.0.1.3680043.8.498.2"
    assert header.series_instance_uid == "1.2.826.0.1.3680043.8.498.3"
    assert (header.series_number, header.instance_number, header.modality) == ("4", "1", "CT")


def test_a_header_outlives_the_buffer_it_came_from() -> None:
    buffer = BytesIO(image())
    with buffer.getbuffer() as view:
        header = read_complete(view, EXPLICIT_VR_LITTLE_ENDIAN)
    buffer.close()
    assert header.text(0x00100010) == "Doe^Jane"


def test_a_missing_element_has_no_text() -> None:
    header = read_complete(image(SeriesNumber=None), EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.series_number is None


LONG_TEXT = "a\\b" + "x" * 100


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("StudyDescription", "", None),
        ("StudyDescription", "   ", None),
        ("StudyDescription", b"\0\0", None),
        ("StudyDescription", "  Head ", "Head"),
        ("StudyDescription", "Head\\Neck", "Head"),
        ("StudyDescription", " Head \\ Neck ", "Head"),
        ("StudyDescription", "\\Neck", None),
        ("ImageType", "ORIGINAL\\PRIMARY", "ORIGINAL"),
        ("SOPInstanceUID", "1.2.3", "1.2.3"),
        ("SOPInstanceUID", b"1.2.3\0", "1.2.3"),
        ("SOPInstanceUID", b"1.2.3   \0 ", "1.2.3"),
        ("SeriesNumber", " 4 ", "4"),
        ("SeriesNumber", "4\\5", "4"),
        ("PatientComments", "  kept\\whole  ", "  kept\\whole"),
        ("PatientComments", "two\r\nlines ", "two\r\nlines"),
        ("PatientName", "Doe^Jane^^^", "Doe^Jane"),
        ("PatientName", "Doe^Jane^ ^ ^", "Doe^Jane"),
        ("PatientName", " Doe^Jane==", "Doe^Jane"),
        ("PatientName", "Doe^Jane\\Roe^Joe", "Doe^Jane"),
        ("PatientName", "^^^^", None),
        ("Rows", 512, "512"),
        ("Rows", struct.pack("<H", 0) * 2, "0"),
        ("TagAngleSecondAxis", -7, "-7"),
        ("ReferencedFrameNumber", "7\\8", "7"),
        ("RecommendedDisplayFrameRateInFloat", 0.1, "0.1"),
        ("ExaminedBodyThickness", 2.5, "2.5"),
        ("ExaminedBodyThickness", 3.4028234663852886e38, "3.4028235e+38"),
        ("ExaminedBodyThickness", float("inf"), "inf"),
        ("RTImageOrientation", "1\\0", "1"),
        ("EventElapsedTimes", "1", "1"),
        ("SelectorUVValue", 2**63, str(2**63)),
        ("SelectorSVValue", -5, "-5"),
        ("SelectorURValue", "http://x/a\\b ", "http://x/a\\b"),
        ("SelectorUCValue", "a\\b", "a"),
        ("LongCodeValue", "a\\b", "a"),
        ("Selector" + "UTValue", LONG_TEXT, LONG_TEXT),
        ("ReferencedImageSequence", [[]], None),
        ("OverlayData", None, None),
    ],
)
def test_a_value_reads_as_the_rules_see_it(
    syntax: str, name: str, value: object, text: str | None
) -> None:
    """XNAT 5.6."""
    elements = [element("Modality", "CT")]
    if value is not None and pydicom.datadict.tag_for_keyword(name) is not None:
        elements.append(element(name, value))
    tag = pydicom.datadict.tag_for_keyword(name) or 0x60003000
    assert text_of(*elements, tag=tag, syntax=syntax) == text


@pytest.mark.parametrize(("tag", "vr"), [(0x00280010, "US"), (0x00189074, "FD")])
def test_a_number_that_is_too_short_has_no_text(tag: int, vr: str) -> None:
    data = head(tag, vr, 1, EXPLICIT_VR_LITTLE_ENDIAN) + b"\1"
    assert read_complete(data, EXPLICIT_VR_LITTLE_ENDIAN).text(tag) is None


def test_binary_values_have_no_text() -> None:
    pixels = Element(0x7FE00010, "OW", b"abcd")
    assert text_of(pixels, tag=0x7FE00010) is None
    assert text_of(pixels, tag=0x7FE00010, syntax=IMPLICIT_VR_LITTLE_ENDIAN) is None


@pytest.mark.parametrize(("representation", "text"), [(0, "65535"), (1, "-1")])
def test_pixel_representation_decides_about_signs_in_implicit_vr(
    representation: int, text: str
) -> None:
    smallest = Element(0x00280106, "US", b"\xff\xff")
    sign = element("PixelRepresentation", representation)
    assert text_of(smallest, sign, tag=0x00280106, syntax=IMPLICIT_VR_LITTLE_ENDIAN) == text


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (0x00100010, b"Doe^Jane", "Doe^Jane"),
        (0x00280010, b"\x00\x02", "512"),
        (0x00091001, b"PROJECT 1 ", "PROJECT 1"),
        (0x00091001, b"\x01\x02\x03\x04", None),
        (0x00081140, b"", None),
        (0x00090000, b"\x04\0\0\0", "4"),
        (0x00090010, b"VENDOR", "VENDOR"),
        (0x00100011, b"not in the dictionary", "not in the dictionary"),
    ],
)
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_unknown_vrs_read_as_the_dictionary_says_or_as_printable_text(
    syntax: str, tag: int, value: bytes, text: str | None
) -> None:
    """PS3.5 6.2.2: values of UN are little endian everywhere."""
    assert text_of(Element(tag, "UN", value), tag=tag, syntax=syntax) == text


def test_a_data_set_in_implicit_vr_is_not_stored_as_one_in_explicit_vr() -> None:
    data = encode([element("PatientID", "1"), element("PatientSex", "O")], "1.2.840.10008.1.2")
    with pytest.raises(UnreadableObject, match="implicit VR"):
        read_complete(data, EXPLICIT_VR_LITTLE_ENDIAN)
    assert read_complete(data, "1.2.840.10008.1.2.4.50").text(0x00100020) == "1"


def test_an_element_in_implicit_vr_inside_an_explicit_data_set_has_text() -> None:
    implicit = encode([element("PatientName", "Doe^Jane")], IMPLICIT_VR_LITTLE_ENDIAN)
    data = encode([element("Modality", "CT")], EXPLICIT_VR_LITTLE_ENDIAN) + implicit
    header = read_complete(data, EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.text(0x00100010) == "Doe^Jane"


@pytest.mark.parametrize("tag", [0x7FFF0010, 0x80010010, 0xFFFC0010])
def test_tags_are_unsigned(tag: int) -> None:
    assert text_of(element("Modality", "CT"), Element(tag, "LO", "high"), tag=tag) == "high"


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        ("", b"M\xfcller", "Müller"),
        ("ISO_IR 100", b"M\xfcller^J\xf6rg", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg".encode(), "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=",
            "Yamada^Tarou=山田^太郎",
        ),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=",
            "Hong^Gildong=洪^吉洞",
        ),
        (
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东",
        ),
        ("ISO 2022 IR 6\\ISO 2022 IR 100", b"\x1b-AM\xfcller^J\xf6rg", "Müller^Jörg"),
        ("ISO-IR 100", b"M\xfcller", "Müller"),
        ("ISO_IR_192", "Müller".encode(), "Müller"),
        ("UTF-8", "Müller".encode(), "Müller"),
        ("nonsense", b"M\xfcller", "Müller"),
        ("hex\\rot13", b"M\xfcller", "Müller"),
        ("ISO_IR 192", b"M\xfcller", "M�ller"),
        ("ISO_IR 100", b"a\x1bb", "a\x1bb"),
        ("\\ISO 2022 IR 87", b"\x1b$B;", "�"),
        ("ISO_IR 192\\ISO 2022 IR 87", "Müller".encode(), "Müller"),
        ("ISO 2022 IR 6\\ISO_IR 192", b"M\xfcller", "Müller"),
    ],
)
def test_the_specific_character_set_applies(character_set: str, value: bytes, text: str) -> None:
    elements = [element("SpecificCharacterSet", character_set), element("PatientName", value)]
    assert text_of(*elements, tag=0x00100010) == text


def test_the_character_set_does_not_apply_to_code_strings() -> None:
    elements = [element("SpecificCharacterSet", "ISO_IR 192"), element("Modality", b"\xc3\xbc")]
    assert text_of(*elements, tag=0x00080060) == "Ã¼"


@given(character_set=st.binary(max_size=40), value=st.binary(max_size=40))
def test_no_text_raises_whatever_the_bytes(character_set: bytes, value: bytes) -> None:
    elements = [element("SpecificCharacterSet", character_set), element("PatientName", value)]
    text = text_of(*elements, tag=0x00100010)
    assert text is None or text


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_long_values_are_cut_and_what_follows_them_is_found(syntax: str) -> None:
    blob = Element(0x00091001, "OB", bytes(3_000_000))
    comments = element("PatientComments", "x" * 60_000)
    history = element("AdditionalPatientHistory", "y" * 30_000)
    elements = sorted([*image_elements(), blob, comments, history], key=lambda e: e.tag)
    header = read_complete(encode(elements, syntax), syntax)
    assert header.text(0x00100010) == "Doe^Jane"
    assert header.text(0x00104000) == "x" * 60_000
    assert header.text(0x001021B0) == "y" * 30_000
    assert header.text(0x00091001) is None


def test_one_long_text_is_cut_at_64_kib() -> None:
    comments = Element(0x00104000, "UT", "x" * 1_000_000)
    assert len(text_of(comments, tag=0x00104000) or "") == 65_536


def test_a_header_of_hundreds_of_large_values_is_refused() -> None:
    blobs = [Element(0x00091001 + n, "OB", bytes(70_000)) for n in range(300)]
    with pytest.raises(UnreadableObject, match="header is longer"):
        read_complete(encode(blobs, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)


def test_odd_elements_of_a_huge_header_have_no_text() -> None:
    odd = b"\x09\x00\x10\x10??\x04\0abcd"
    blob = encode([Element(0x00091101, "OB", bytes(300_000))], EXPLICIT_VR_LITTLE_ENDIAN)
    header = read_complete(odd + blob + image()[:0], EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.text(0x00091010) is None


def test_elements_with_an_odd_vr_are_not_compared_with_those_of_other_headers() -> None:
    header = read_complete(b"\x10\x00\x10\x00??\x04\0abcd", EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.text(0x00100010) == "abcd"
    assert header.excerpt([0x00100010]) is None


# --- Compared with other headers ---

SHARED = (0x00100020, 0x0020000D, 0x00204000)
"""Patient ID, Study Instance UID, and an element that `image` has only if it is asked for."""


def in_one_layout(syntax: str, *patients: str, **values: Any) -> list[HeaderView]:
    """Return headers of images that differ in patient ID and number, as one association has them.

    From the third on, headers of one length share what was learned about their layout.
    """
    layouts = ElementIndexCache()
    sent = [
        image(syntax, PatientID=patient, InstanceNumber=str(number), **values)
        for number, patient in enumerate(patients)
    ]
    return [read_complete(data, syntax, layouts=layouts) for data in sent]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_elements_of_one_header_are_found_in_others_that_have_just_the_same(syntax: str) -> None:
    headers = in_one_layout(syntax, *["P-0001"] * 5, "P-0002", "P-0001")
    excerpt = headers[0].excerpt(SHARED)
    assert excerpt is not None
    assert [header.has(excerpt) for header in headers] == [True] * 5 + [False, True]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_elements_are_found_in_headers_of_several_layouts_by_turns(syntax: str) -> None:
    short, long = (in_one_layout(syntax, *["P-0001"] * 5, StudyDescription=d) for d in ("a", "abc"))
    excerpt = short[0].excerpt(SHARED)
    assert excerpt is not None
    for one, other in zip(short, long, strict=True):
        assert one.has(excerpt)
        assert other.has(excerpt)


def test_what_one_header_lacks_another_must_lack_as_well() -> None:
    headers = in_one_layout(EXPLICIT_VR_LITTLE_ENDIAN, *["P-0001"] * 5)
    excerpt = headers[0].excerpt(SHARED)
    assert excerpt is not None
    assert headers[-1].has(excerpt)
    commented = in_one_layout(EXPLICIT_VR_LITTLE_ENDIAN, *["P-0001"] * 5, ImageComments="x")
    assert not any(header.has(excerpt) for header in commented)
    comment = commented[0].excerpt(SHARED)
    assert comment is not None
    assert not any(header.has(comment) for header in headers)


# --- Only the beginning of an object ---


def test_a_header_can_be_read_from_the_beginning_of_an_object() -> None:
    data = image(pixels=bytes(100_000))
    header = read_header(data[:2_000], EXPLICIT_VR_LITTLE_ENDIAN, size_bytes=len(data))
    assert header.text(0x00100010) == "Doe^Jane"


def test_a_beginning_that_ends_within_the_header_is_refused() -> None:
    elements = image_elements()
    data = encode([e for e in elements if e.tag < 0x00200000], EXPLICIT_VR_LITTLE_ENDIAN)
    assert read_header(data, EXPLICIT_VR_LITTLE_ENDIAN).modality == "CT"
    with pytest.raises(UnreadableObject, match="header is longer than"):
        read_header(data, EXPLICIT_VR_LITTLE_ENDIAN, size_bytes=len(data) + 1)


# --- Complete data sets ---


def test_pixel_data_in_long_fragments_is_checked_without_a_look_inside() -> None:
    data = image(JPEG_BASELINE, bytes(300_000))
    part = in_parts(data, 700, JPEG_BASELINE, 0x00324000)
    assert part is not None
    assert part.sop_instance_uid == read_complete(data, JPEG_BASELINE).sop_instance_uid
    for spoilt in (data[:-8], data[:-1], data + b"x", data[:-8] + b"\xfe\xff\x00\xe0" + bytes(4)):
        assert in_parts(spoilt, 700, JPEG_BASELINE, 0x00324000) is None
        with pytest.raises(UnreadableObject):
            read_complete(spoilt, JPEG_BASELINE)


TAGS = (0x00080016, 0x00080018, 0x00080060, 0x0020000D, 0x00200011, 0x00280010)


def in_parts(data: bytes, kept_bytes: int, syntax: str, last_tag: int) -> HeaderView | None:
    return read_in_parts(
        data[:kept_bytes],
        lambda position: data[position:],
        syntax,
        len(data),
        last_tag=last_tag,
    )


@given(
    rest=st.sampled_from([b"", bytes(8), b"x" * 11, b"padding", b"late"]),
    cut=st.integers(0, 30),
    last_tag=st.sampled_from([0x00080060, 0x00324000, 0x7FE00010, 0xFFFCFFFC]),
    syntax=st.sampled_from(SYNTAXES),
    large=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_wherever_a_beginning_ends_it_tells_the_same_or_nothing(
    rest: bytes, cut: int, last_tag: int, syntax: str, large: bool
) -> None:
    late = {b"padding": (0xFFFCFFFC, "OB"), b"late": (0x00081030, "LO")}.get(rest)
    if late is not None:
        rest = encode([Element(late[0], late[1], b"late")], syntax)
    data = image(syntax, bytes(70_000) if large else None) + rest
    data = data[: len(data) - cut]
    try:
        whole: HeaderView | None = read_complete(data, syntax, last_tag=last_tag)
    except UnreadableObject:
        whole = None
    for kept_bytes in range(1, min(len(data), 700), 3):
        part = in_parts(data, kept_bytes, syntax, last_tag)
        if part is not None:
            assert whole is not None
            assert [part.text(tag) for tag in TAGS] == [whole.text(tag) for tag in TAGS]


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_the_beginning_of_an_image_is_enough_with_or_without_padding(syntax: str) -> None:
    padding = encode([Element(0xFFFCFFFC, "OB", bytes(10))], syntax)
    pixels = bytes(range(200))
    for data in (image(syntax, pixels), image(syntax, pixels) + padding):
        part = in_parts(data, data.index(pixels) + 16, syntax, 0x00324000)
        assert part is not None
        assert part.modality == "CT"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("read", [read_complete, check_complete])
def test_a_data_set_that_is_cut_short_is_refused(
    syntax: str, read: Callable[[bytes, str], object]
) -> None:
    data = image(syntax)
    read(data, syntax)
    for kept in (len(data) - 1, len(data) - 3, len(data) - 9, len(data) // 2):
        with pytest.raises(UnreadableObject):
            read(data[:kept], syntax)


@pytest.mark.parametrize(
    ("build", "syntax"),
    [
        *((image, syntax) for syntax in SYNTAXES),
        *((enhanced_image, syntax) for syntax in UNCOMPRESSED),
    ],
)
def test_a_cut_at_any_byte_is_noticed_except_between_two_elements(
    build: Callable[[str], bytes], syntax: str
) -> None:
    data = build(syntax)
    boundaries = _boundaries(data, syntax)
    accepted = set()
    for kept in range(1, len(data)):
        try:
            read_complete(data[:kept], syntax)
        except UnreadableObject as error:
            assert len(error.detail) <= 64
        else:
            accepted.add(kept)
    assert accepted == boundaries


def _boundaries(data: bytes, syntax: str) -> set[int]:
    starts = index(data, encoding_of(syntax), 0xFFFFFFFF, to_end=True).starts
    return {start for start in starts.values() if start}


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize("rest", [b"\0", bytes(3), bytes(8), b"\xff" * 8, b"\r\n", b"x" * 64])
def test_anything_after_the_last_element_is_refused(syntax: str, rest: bytes) -> None:
    with pytest.raises(UnreadableObject):
        read_complete(image(syntax) + rest, syntax)


def test_trailing_padding_is_an_element() -> None:
    """PS3.10 7.2: (FFFC,FFFC) Data Set Trailing Padding."""
    padding = encode([Element(0xFFFCFFFC, "OB", bytes(64))], EXPLICIT_VR_LITTLE_ENDIAN)
    assert read_complete(image() + padding, EXPLICIT_VR_LITTLE_ENDIAN).modality == "CT"


FILE_META = encode([element(0x00020000, 4, "UL")], EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "the data set is empty"),
        (bytes(128) + b"DICM" + FILE_META + image(), "the data set begins with a file header"),
        (b"II*\0" + bytes(124) + b"DICM" + FILE_META, "the data set begins with a file header"),
        (FILE_META + image(), "the data set begins with a file header"),
    ],
)
@pytest.mark.parametrize("read", [read_complete, read_header, check_complete])
def test_what_is_no_data_set_is_refused(
    read: Callable[[bytes, str], object], data: bytes, detail: str, syntax: str
) -> None:
    with pytest.raises(UnreadableObject) as caught:
        read(data, syntax)
    assert caught.value.detail == detail


def test_a_deflated_data_set_is_refused() -> None:
    with pytest.raises(UnreadableObject, match="deflated"):
        read_complete(b"x\x9c\xed", "1.2.840.10008.1.2.1.99")


@settings(max_examples=300)
@given(data=st.binary(max_size=300), syntax=st.sampled_from(SYNTAXES))
def test_arbitrary_bytes_are_refused_with_nothing_but_the_right_error(
    data: bytes, syntax: str
) -> None:
    for read in (read_complete, read_header):
        try:
            header = read(data, syntax)
        except UnreadableObject as error:
            assert error.detail.isascii()
            assert len(error.detail) <= 64
        else:
            assert header.sop_class_uid is None or header.sop_class_uid


_HEADS = st.builds(
    lambda tag, vr, length: struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length),
    st.sampled_from([0x00080005, 0x00080016, 0x00081140, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD]),
    st.sampled_from([b"SQ", b"UN", b"OB", b"PN", b"ZZ", b"\0\0", b"\xff\xff"]),
    st.sampled_from([0, 2, 4, 0xFFFF]),
)
_PIECES = st.one_of(_HEADS, st.just(b"\xff" * 4), st.just(bytes(4)), st.binary(max_size=6))


@settings(max_examples=300)
@given(pieces=st.lists(_PIECES, max_size=12), syntax=st.sampled_from(SYNTAXES))
def test_nearly_valid_bytes_are_refused_with_nothing_but_the_right_error(
    pieces: list[bytes], syntax: str
) -> None:
    try:
        header = read_complete(b"".join(pieces), syntax)
    except UnreadableObject as error:
        assert len(error.detail) <= 64
    else:
        for tag in (0x00080005, 0x00080016, 0x00081140):
            header.text(tag)


@settings(max_examples=100)
@given(position=st.integers(0, 500), byte=st.integers(0, 255), syntax=st.sampled_from(SYNTAXES))
def test_a_changed_byte_raises_nothing_but_the_right_error(
    position: int, byte: int, syntax: str
) -> None:
    data = bytearray(image(syntax))
    data[position % len(data)] = byte
    try:
        header = read_complete(data, syntax)
    except UnreadableObject:
        return
    for e in image_elements():
        header.text(e.tag)


# --- pydicom's own files ---

TEST_FILES = sorted(
    path
    for path in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*")
    if path.suffix in {".dcm", ".DCM", ""} and path.is_file()
)
COMPARED = (
    0x00080016,
    0x00080018,
    0x00080060,
    0x00080050,
    0x00081030,
    0x00100010,
    0x00100020,
    0x00104000,
    0x0020000D,
    0x0020000E,
    0x00200011,
    0x00200013,
    0x00280010,
)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_pydicoms_own_files_read_as_pydicom_reads_them(path: Path) -> None:
    try:
        ds = pydicom.dcmread(path)
        syntax = str(ds.file_meta.TransferSyntaxUID)
    except Exception:
        return
    data = _data_set_of(path)
    try:
        header = read_complete(data, syntax)
    except UnreadableObject:
        assert path.name in REFUSED
        return
    assert path.name not in REFUSED
    for tag in COMPARED:
        assert header.text(tag) == _as_text(ds, tag, header), f"{tag:08X}"


REFUSED = {"MR_truncated.dcm", "rtplan_truncated.dcm", "image_dfl.dcm"}


def _data_set_of(path: Path) -> bytes:
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=True)
        pydicom.filereader._read_file_meta_info(file)
        return file.read()


def _as_text(ds: pydicom.Dataset, tag: int, header: HeaderView) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = ds[tag].value if tag in ds else None
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    if value is None:
        return None
    text = str(value).rstrip("\0 ")
    if ds[tag].VR not in {"LT", "ST", "UT"}:
        text = text.strip()
    return (text.rstrip("^= ") if ds[tag].VR == "PN" else text) or None


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize(
    ("name", "value", "joined"),
    [
        ("ImageType", "ORIGINAL\\PRIMARY", "ORIGINAL\\PRIMARY"),
        ("Rows", 128, "128"),
        ("SeriesDescription", "", ""),
        ("SeriesDescription", " t1  ", " t1"),
        ("ReferencedImageSequence", [[]], ""),
    ],
)
def test_all_values_of_an_element_are_one_text_for_filters(
    syntax: str, name: str, value: object, joined: str
) -> None:
    header = read_complete(image(syntax, None, **{name: value}), syntax, last_tag=0x00280010)
    tag = tag_for_keyword(name)
    assert tag is not None
    assert header.joined(tag) == joined


def test_an_absent_element_is_told_from_an_empty_one() -> None:
    header = read_complete(image(), EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.joined(0x00181250) is None
