"""Edited files are put together from the original's bytes; they say what pydicom would write."""

from __future__ import annotations

import io
import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRLittleEndian

from engine.anonymize import (
    Profile,
    Script,
    ScriptRuntimeError,
    UneditableFile,
    edit_file,
    read_object,
)
from engine.anonymize.files import reading
from engine.anonymize.files.writing import write_object
from engine.dicom import raw_elements
from engine.errors import UnreadableObject
from tests import dicom
from tests.engine.anonymize.files.test_edit_file import FILES, part10
from tests.engine.anonymize.objects import script

if TYPE_CHECKING:
    from typing import BinaryIO

    from engine.anonymize.files.values import ReadObject

LITTLE = dicom.EXPLICIT_VR_LITTLE_ENDIAN
STATEMENTS = (
    '(0010,0010) := "X"',
    '(0010,0010) := "Ünal^Ayşe"',
    '(0010,0020) := "a\\\\b"',
    '(0008,0005) := "ISO_IR 192"',
    "-(0008,0005)",
    "-(0008,0050)",
    "-(0018,1020)",
    "-*/(0008,1150)",
    "-(300A,0070)[0]",
    '*/(0008,1155) ?= "1.2"',
    '*/(0008,0080) ?= "GONE"',
    '*/(0010,0010) ?= "Straße"',
    '*/(XXX@,0010) ?= "1"',
    '(0040,0275)[1]/(0008,0050) := "日本"',
    '(0028,0010) := "7"',
    '(0018,0050) := "1.5"',
    '(0029,{ACME}01) := "new"',
    "hashUIDList[(0020,000D), */(0008,1155)]",
    'blankValues["CT", "MR"]',
    "retainPrivateTags[(0019,{GEMS_ACQU_01}XX), */(0029,{SIEMENS CSA HEADER}XX)]",
    "removeAllPrivateTags",
    'alterPixels["rectangle", "l=0,t=0,r=3,b=3", "solid", "v=0"]',
)
REAL_FILES = sorted(Path(str(get_testdata_file("CT_small.dcm"))).parent.glob("*.dcm"))


def by_other_reader(file: BinaryIO) -> ReadObject:
    """Stand for the walk when pydicom is to read and write everything."""
    raise UnreadableObject("read it otherwise")


def outcome(source: Path, target: Path, steps: list[Script | Profile], *, plainly: bool) -> object:
    """Return what is in the edited file, or why there is none."""
    target.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if plainly:
            patch.setattr(reading, "read_regular", by_other_reader)
        try:
            edit_file(source, target, steps, {}, script_ids=[3])
        except (ScriptRuntimeError, UneditableFile) as error:
            return error.detail
    ds = dcmread(target)
    ds.file_meta.pop("FileMetaInformationGroupLength", None)
    return {element.tag: element for part in (ds.file_meta, ds) for element in part}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(REAL_FILES),
    st.lists(st.sampled_from(STATEMENTS), max_size=6),
    st.booleans(),
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_spliced_says_what_pydicom_reads_and_writes(
    tmp_path_factory: pytest.TempPathFactory, source: Path, statements: list[str], profile: bool
) -> None:
    target = tmp_path_factory.getbasetemp() / "spliced.dcm"
    steps: list[Script | Profile] = [*([Profile()] if profile else []), script(*statements)]
    plainly = outcome(source, target, steps, plainly=True)
    assert outcome(source, target, steps, plainly=False) == plainly


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES.values(), ids=FILES.keys())
def test_a_file_says_what_pydicom_makes_of_the_same_script(name: str, tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file(name))), tmp_path / "out.dcm"
    lines = (*STATEMENTS[:3], *STATEMENTS[5:8], *STATEMENTS[9:11], *STATEMENTS[14:18])
    edit_file(source, target, [script(*lines)], {}, deflated=True)
    written = io.BytesIO()
    ds = dcmread(source)
    script(*lines).apply(ds, {})
    ds.save_as(written)
    assert dcmread(target) == dcmread(io.BytesIO(written.getvalue()))


def test_nearly_all_real_files_are_read_by_one_walk() -> None:
    def is_walked(path: Path) -> bool:
        with path.open("rb") as file:
            try:
                reading.read_regular(file)
            except UnreadableObject:
                return False
        return True

    odd = [path.name for path in REAL_FILES if not is_walked(path)]
    assert len(odd) * 7 < len(REAL_FILES), odd


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"]
)
def test_undecoded_elements_are_those_of_pydicom(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    theirs = dcmread(path, stop_before_pixels=True)
    with path.open("rb") as file:
        ours = reading.read_regular(file)
    header = {tag: kept for tag, kept in ours.items() if tag < dicom.PIXEL_DATA}
    decoded_by_them = {0x00080005}
    # pydicom has None for some empty values, which it can't write.
    raw = [kept for kept in theirs.values() if isinstance(kept, RawDataElement)]
    expected = {kept.tag: kept._replace(value=kept.value or b"") for kept in raw}
    assert theirs.keys() - expected.keys() <= decoded_by_them
    assert header.keys() == theirs.keys()
    assert expected.items() <= header.items()
    assert ours.original_encoding == theirs.original_encoding
    assert ours.original_character_set == theirs.original_character_set


def edited(tmp_path: Path, content: bytes, *lines: str) -> bytes:
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    edit_file(source, target, [script(*lines)], {})
    return target.read_bytes()


def item(content: bytes, *, open_end: bool = False) -> bytes:
    """Return an item, of undefined length if it has an open end."""
    if open_end:
        length, end = dicom.UNDEFINED_LENGTH, dicom.head(0xFFFEE00D, "", 0, LITTLE)
    else:
        length, end = len(content), b""
    return dicom.head(0xFFFEE000, "", length, LITTLE) + content + end


def sequence(tag: int, items: bytes, *, vr: str = "SQ", open_end: bool = False) -> bytes:
    if not open_end:
        return dicom.head(tag, vr, len(items), LITTLE) + items
    end = dicom.head(0xFFFEE0DD, "", 0, LITTLE)
    return dicom.head(tag, vr, dicom.UNDEFINED_LENGTH, LITTLE) + items + end


def plain(*elements: dicom.Element) -> bytes:
    return dicom.encode(elements, LITTLE)


BROKEN = (
    dicom.head(0x00080000, "UL", 4, LITTLE) + b"\x09\0\0\0"  # a wrong, retired group length
    + plain(dicom.element("StudyTime", "no time at all"))
    + plain(dicom.element("PatientWeight", "heavy"), dicom.element("PatientName", "Doe"))
)  # fmt: skip


@pytest.mark.parametrize("open_item", [False, True])
@pytest.mark.parametrize("open_end", [False, True])
def test_a_sequence_that_is_only_looked_into_keeps_every_byte(
    open_item: bool, open_end: bool, tmp_path: Path
) -> None:
    inner = sequence(0x00081115, item(BROKEN, open_end=open_item), open_end=open_end)
    encoded = sequence(0x00081110, item(inner), open_end=open_end)
    content = part10(encoded + plain(dicom.element("PatientID", "P")))
    look = "v := collectValues[*/(0010,0010)]"
    out = edited(tmp_path, content, look, '(0010,0020) := "X"')
    assert encoded in out


def test_in_a_sequence_that_changes_the_rest_stays_what_it_was(tmp_path: Path) -> None:
    one, two = item(BROKEN), item(plain(dicom.element("PatientName", "Roe")))
    content = part10(sequence(0x00081110, one + two))
    ds = dcmread(io.BytesIO(edited(tmp_path, content, '(0008,1110)[1]/(0010,0010) := "X"')))
    first, second = ds[0x00081110].value
    assert (str(first.PatientName), str(second.PatientName)) == ("Doe", "X")
    assert first.get_item(0x00101030).value == b"heavy "


def test_items_that_come_and_go_are_written(tmp_path: Path) -> None:
    names = [item(plain(dicom.element("PatientName", name))) for name in ("A", "B", "C")]
    content = part10(sequence(0x00081110, b"".join(names), open_end=True))
    out = edited(tmp_path, content, "-(0008,1110)[1]", '(0008,1110)[2]/(0010,0010) := "D"')
    items = dcmread(io.BytesIO(out))[0x00081110].value
    assert [str(i.PatientName) for i in items] == ["A", "C", "D"]


@pytest.mark.parametrize("explicit", [False, True])
def test_names_in_a_sequence_of_unknown_vr_and_length_are_found(
    explicit: bool, tmp_path: Path
) -> None:
    syntax = LITTLE if explicit else dicom.IMPLICIT_VR_LITTLE_ENDIAN
    inside = item(dicom.encode([dicom.element("PatientName", "Doe^Jane")], syntax))
    creator = plain(dicom.element(0x00090010, "VENDOR", "LO"))
    content = part10(creator + sequence(0x00091001, inside, vr="UN", open_end=True))
    assert b"Doe^Jane" not in edited(tmp_path, content, '*/(0010,0010) ?= "X"')
    assert sequence(0x00091001, inside, vr="UN", open_end=True) in edited(
        tmp_path, content, '(0010,0010) := "X"'
    )


def test_of_an_element_that_stands_there_twice_nothing_is_left(tmp_path: Path) -> None:
    twice = plain(dicom.element("PatientName", "Doe"), dicom.element("PatientName", "Roe"))
    out = edited(tmp_path, part10(twice + plain(dicom.element("PatientID", "P"))),
                 '(0010,0010) := "X"')  # fmt: skip
    assert str(dcmread(io.BytesIO(out)).PatientName) == "X"
    assert b"Doe" not in out
    assert b"Roe" not in out


def test_what_stands_in_the_wrong_order_is_edited_and_ordered(tmp_path: Path) -> None:
    wrong = plain(dicom.element("PatientID", "P"), dicom.element("StudyDate", "20260101"))
    out = edited(tmp_path, part10(wrong), '(0010,0010) := "X"')
    ds = dcmread(io.BytesIO(out))
    assert (ds.StudyDate, str(ds.PatientName), ds.PatientID) == ("20260101", "X", "P")
    assert list(ds.keys()) == sorted(ds.keys())


@pytest.mark.parametrize(
    "syntax", [LITTLE, dicom.IMPLICIT_VR_LITTLE_ENDIAN, dicom.EXPLICIT_VR_BIG_ENDIAN]
)
def test_headers_longer_than_a_look_at_the_file_are_read_whole(syntax: str, tmp_path: Path) -> None:
    texts = [
        dicom.element(0x60004000 + (n << 17), f"{n}".ljust(6000, "."), "LT") for n in range(16)
    ]
    frames = [[dicom.element("PatientName", f"Doe^{n}")] for n in range(5000)]
    long = dicom.Element(0x52009230, "SQ", frames, undefined_length=True)
    late = dicom.element(0x97530010, "LATE", "LO")
    image = [dicom.Element(dicom.PIXEL_DATA, "OW", bytes(200_000)), late]
    content = part10(dicom.encode([long, *texts, *image], syntax), syntax)
    out = edited(tmp_path, content, '(6006,4000) := "X"', '(5200,9230)[4999]/(0010,0010) := "Y"')
    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(out))
    assert after[0x60064000].value == "X"
    assert [str(i.PatientName) for i in after[0x52009230].value[-2:]] == ["Doe^4998", "Y"]
    for tag in before.keys() - {0x60064000, 0x52009230}:
        assert after[tag] == before[tag]


def test_fragments_beyond_the_first_look_are_stepped_over(tmp_path: Path) -> None:
    syntax = dicom.JPEG_BASELINE
    contents = (b"\xff" * 90_000, b"\xee" * 90_000)
    elements = [
        *dicom.image_elements(),
        dicom.fragments(*contents),
        dicom.element(0x97530010, "LATE", "LO"),
    ]
    out = edited(tmp_path, part10(dicom.encode(elements, syntax), syntax), "-(9753,{LATE}10)",
                 '(0010,0010) := "X"')  # fmt: skip
    ds = dcmread(io.BytesIO(out))
    assert ds[0x97530010].value == "LATE"
    assert ds.PixelData == b"".join(map(item, (b"", *contents)))


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 200), st.sampled_from(dicom.UNCOMPRESSED))
def test_where_a_look_ends_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, size: int, syntax: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = part10(dicom.enhanced_image(syntax), syntax)
    statements = ('*/(0008,1155) ?= "9"', '(0010,0010) := "X"')
    wide = edited(folder, content, *statements)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_elements, "MAX_IN_MEMORY_BYTES", size)
        patch.setattr(raw_elements, "_WINDOW_BYTES", max(size + 12, 132))
        assert edited(folder, content, *statements) == wide


def test_a_file_of_too_many_elements_is_refused_before_it_fills_the_memory(
    tmp_path: Path,
) -> None:
    tags = range(0x00091000, 0x00091000 + 120_000)
    content = b"".join(dicom.head(tag, "LO", 0, LITTLE) for tag in tags)
    with pytest.raises(UneditableFile, match="more than 100,000 elements"):
        edited(tmp_path, part10(content))


def test_a_file_that_becomes_shorter_while_it_is_walked_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = sequence(
        0x00081110, item(plain(dicom.element("PatientName", "A"))) * 9000, open_end=True
    )
    (tmp_path / "in.dcm").write_bytes(part10(long))
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: read(fd, min(size, 90_000 - at), at))
    with (tmp_path / "in.dcm").open("rb") as file, pytest.raises(UnreadableObject):
        reading.read_regular(file)


def test_a_copy_of_an_object_is_written_as_the_object_is(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    written = []
    with source.open("rb") as file:
        ds = read_object(file)
        for number, each in enumerate((ds, deepcopy(ds))):
            script('(0010,0010) := "X"', '*/(0010,0020) ?= "Y"').apply(each, {})
            target = tmp_path / f"{number}.dcm"
            with target.open("wb") as out:
                write_object(each, out.fileno(), read_as=ExplicitVRLittleEndian)
            written.append(target.read_bytes())
    assert written[0] == written[1]
