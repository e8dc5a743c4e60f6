"""Files whose headers are edited while everything long is copied as it stands."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from engine.anonymize import (
    Profile,
    ScriptOutcome,
    ScriptRuntimeError,
    UneditableFile,
    edit_file,
    read_object,
    recorded,
)
from engine.anonymize.files import reading
from tests import dicom
from tests.engine.anonymize.objects import script, value_at

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FILES = {
    "implicit": "MR_small_implicit.dcm",
    "explicit": "CT_small.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "RLE": "MR_small_RLE.dcm",
    "RLE, multi-frame": "SC_rgb_rle_2frame.dcm",
    "JPEG": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "JPEG2000.dcm",
    "multi-frame, native": "rtdose.dcm",
    "overlays": "examples_overlay.dcm",
    "nested private sequences": "nested_priv_SQ.dcm",
    "waveform": "waveform_ecg.dcm",
    "structured report": "test-SR.dcm",
    "deflated": "image_dfl.dcm",
}
EDIT = script(
    '(0010,0010) := "Ünal^Ayşe"',
    "(0010,0020) := subject",
    '*/(0008,0080) ?= "GONE"',
    '(0040,0275)[1]/(0008,0050) := "日本"',
    "-(0008,0050)",
)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("name", FILES.values(), ids=FILES.keys())
def test_only_what_the_script_says_changes(name: str, tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file(name))), tmp_path / "out.dcm"
    assert edit_file(source, target, [EDIT], {"subject": "S1"}, deflated=True) is ScriptOutcome.OK
    before, after = (dcmread(io.BytesIO(path.read_bytes())) for path in (source, target))
    assert (str(after.PatientName), after.PatientID) == ("Ünal^Ayşe", "S1")
    assert after[0x00400275].value[1].AccessionNumber == "日本"
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.preamble == bytes(128)
    changed = {0x00080005, 0x00080050, 0x00080080, 0x00100010, 0x00100020, 0x00400275}
    for tag in before.keys() - changed:
        if tag.element:
            assert after[tag] == before[tag], tag


def test_nothing_changes_if_the_script_says_nothing(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    edit_file(source, tmp_path / "out.dcm", [script()], {})
    before, after = source.read_bytes(), (tmp_path / "out.dcm").read_bytes()
    start = before.index(b"\x08\x00\x05\x00CS")
    assert after.endswith(before[start:])


def part10(data_set: bytes, transfer_syntax_uid: str = dicom.EXPLICIT_VR_LITTLE_ENDIAN) -> bytes:
    uid = transfer_syntax_uid.encode() + b"\0" * (len(transfer_syntax_uid) % 2)
    meta = struct.pack("<HH2sH", 2, 16, b"UI", len(uid)) + uid
    return b"SECRET".ljust(128) + b"DICM" + meta + data_set


def edited(tmp_path: Path, content: bytes, *lines: str) -> Dataset:
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    edit_file(source, target, [script(*lines)], {})
    return dcmread(target)


@pytest.mark.parametrize("syntax", [*dicom.UNCOMPRESSED, dicom.JPEG_BASELINE])
def test_elements_behind_the_pixel_data_are_edited_too(tmp_path: Path, syntax: str) -> None:
    behind = [
        dicom.element(0x97530010, "LATE", "LO"),
        dicom.element(0x97531001, "Doe", "LO"),
        dicom.element(0xFFFCFFFC, b"\0" * 70_000, "OB"),
    ]
    content = part10(dicom.image(syntax) + dicom.encode(behind, syntax), syntax)
    ds = edited(tmp_path, content, "-(9753,{LATE}01)", '(0010,0010) := "X"')
    assert 0x97531001 not in ds
    assert ds[0x97530010].value == "LATE"
    assert ds[0xFFFCFFFC].value == b"\0" * 70_000
    original = dcmread(io.BytesIO(content))
    assert ds.PixelData == original.PixelData
    assert str(ds.PatientName) == "X"


def test_pixel_data_can_be_asked_for_and_removed_without_being_read(tmp_path: Path) -> None:
    content = part10(dicom.image())
    ds = edited(
        tmp_path, content, 'isPresent[(7FE0,0010)] ? (0010,4000) := "image"', "-(7FE0,0010)"
    )
    assert ds.PatientComments == "image"
    assert "PixelData" not in ds


def test_long_values_stay_in_the_file_unless_a_script_wants_their_text(tmp_path: Path) -> None:
    long = b"A" * 70_000
    elements = [
        dicom.element("PatientName", "Doe"),
        dicom.element(0x00420011, long, "OB"),
        dicom.element(0x00540010, "B" * 70_000, "UT"),
        dicom.element(0x00660016, b"\0\0\x80?" * 20_000, "OF"),
    ]
    content = part10(dicom.encode(elements, dicom.EXPLICIT_VR_LITTLE_ENDIAN))
    ds = edited(tmp_path, content, "(0010,4000) := hashUID[(0042,0011)]", 'blankValues["Doe"]',
                "(0066,0016) := (0066,0017)")  # fmt: skip
    assert ds[0x00420011].value == long
    assert ds[0x00660016].value == b"\0\0\x80?" * 20_000
    assert ds.PatientComments.startswith("2.25.")
    assert ds.PatientName == ""
    with pytest.raises(ScriptRuntimeError, match="too long to be read as text"):
        big = [dicom.element(0x00420011, b"A" * 1_100_000, "OB")]
        encoded = dicom.encode(big, dicom.EXPLICIT_VR_LITTLE_ENDIAN)
        edited(tmp_path, part10(encoded), "v := (0042,0011)")


def test_long_sequences_are_looked_into(tmp_path: Path) -> None:
    items = [[dicom.element("ReferencedSOPInstanceUID", f"1.2.{n:060}")] for n in range(900)]
    for syntax in (dicom.EXPLICIT_VR_LITTLE_ENDIAN, dicom.IMPLICIT_VR_LITTLE_ENDIAN):
        encoded = dicom.encode([dicom.Element(0x00081140, "SQ", items)], syntax)
        ds = edited(tmp_path, part10(encoded, syntax), '*/(0008,1155) ?= "9"')
        assert {item.ReferencedSOPInstanceUID for item in ds[0x00081140].value} == {"9"}


def test_a_sequence_in_unknown_vr_is_written_as_one_whatever_is_wrong_in_it(tmp_path: Path) -> None:
    implicit = dicom.IMPLICIT_VR_LITTLE_ENDIAN
    inside = [dicom.element("SOPInstanceUID", "no uid"), dicom.element("PatientName", "Doe")]
    item = dicom.encode(inside, implicit)
    value = dicom.head(0xFFFEE000, "", len(item), implicit) + item
    elements = [dicom.element(0x00090010, "VENDOR", "LO"), dicom.element(0x00091001, value, "UN")]
    encoded = dicom.encode(elements, dicom.EXPLICIT_VR_LITTLE_ENDIAN)
    ds = edited(tmp_path, part10(encoded), '*/(0010,0010) ?= "X"')
    assert value_at(ds, "(0009,1001)[0]/(0010,0010)") == "X"


def test_altered_pixels_take_the_long_values_around_them_along(tmp_path: Path) -> None:
    syntax = dicom.IMPLICIT_VR_LITTLE_ENDIAN
    more = [
        dicom.element("BitsAllocated", 16),
        dicom.element("SamplesPerPixel", 1),
        dicom.element("PhotometricInterpretation", "MONOCHROME2"),
        dicom.element(0x00420011, b"A" * 70_000, "OB"),
    ]
    elements = sorted([*dicom.image_elements(), *more], key=lambda e: e.tag)
    pixels = dicom.Element(dicom.PIXEL_DATA, "OW", b"\xff" * 32)
    content = part10(dicom.encode([*elements, pixels], syntax), syntax)
    alter = 'alterPixels["rectangle", "l=0,t=0,r=4,b=3", "solid", "v=0"]'
    ds = edited(tmp_path, content, alter)
    assert ds.PixelData == b"\0" * 24 + b"\xff" * 8
    assert ds[0x00420011].value == b"A" * 70_000
    assert ds.file_meta.TransferSyntaxUID == dicom.EXPLICIT_VR_LITTLE_ENDIAN


def test_a_rejected_object_is_not_written(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    scripts = [script("reject[]"), script("reject[newUID[]]")]
    assert edit_file(source, tmp_path / "out.dcm", scripts, {}) is ScriptOutcome.REJECTED
    assert list(tmp_path.iterdir()) == []


def test_scripts_run_in_order_and_are_recorded_at_the_end(tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file("CT_small.dcm"))), tmp_path / "out.dcm"
    first, second = (
        script('(0010,0010) := "A"'),
        script('(0010,0010) := concatenate[(0010,0010), "B"]', "-(0012,0064)"),
    )
    edit_file(source, target, [first, second], {}, script_ids=[3, 7], mark="site script")
    ds = dcmread(target)
    assert str(ds.PatientName) == "AB"
    assert recorded(ds) == ("3", "7")
    assert (ds.PatientIdentityRemoved, ds.DeidentificationMethod) == ("YES", "site script")


@pytest.mark.filterwarnings("ignore")
def test_numbers_that_pydicom_can_not_write_are_no_fault_of_the_disk(tmp_path: Path) -> None:
    syntax = dicom.IMPLICIT_VR_LITTLE_ENDIAN
    item = [
        dicom.element("PixelRepresentation", 1),
        dicom.Element(0x00281101, "SS", struct.pack("<3h", -32767, -32768, 16)),
    ]
    elements = [*dicom.image_elements(), dicom.Element(0x00081140, "SQ", [item])]
    encoded = dicom.encode(sorted(elements, key=lambda e: e.tag), syntax)
    (tmp_path / "in.dcm").write_bytes(part10(encoded, syntax))
    with pytest.raises(UneditableFile, match="can't be encoded"):
        edit_file(tmp_path / "in.dcm", tmp_path / "out.dcm", [script('(0010,0010) := "山田"')], {})


def test_an_object_that_can_not_be_marked_is_refused_in_words(tmp_path: Path) -> None:
    elements = [
        *dicom.image_elements(),
        dicom.Element(0x00120063, "SQ", [[dicom.element("PatientName", "Doe")]]),
    ]
    encoded = dicom.encode(sorted(elements, key=lambda e: e.tag), dicom.EXPLICIT_VR_LITTLE_ENDIAN)
    (tmp_path / "in.dcm").write_bytes(part10(encoded))
    with pytest.raises(UneditableFile, match="a sequence has no value"):
        edit_file(tmp_path / "in.dcm", tmp_path / "out.dcm", [], {}, mark="ours")
    assert not (tmp_path / "out.dcm").exists()


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file("CT_small.dcm"))), tmp_path / "out.dcm"
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        edit_file(source, target, [script()], {})
    assert target.read_text() == "mine"


def test_a_new_file_is_closed_to_others(tmp_path: Path) -> None:
    source, before = Path(str(get_testdata_file("CT_small.dcm"))), os.umask(0)
    try:
        edit_file(source, tmp_path / "out.dcm", [script()], {})
    finally:
        os.umask(before)
    assert (tmp_path / "out.dcm").stat().st_mode & 0o777 == 0o640


def test_an_open_file_is_written_from_where_it_stands(tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file("MR_small_RLE.dcm"))), tmp_path / "out.dcm"
    with target.open("wb", buffering=0) as file:
        file.write(b"part")
        edit_file(source, file.fileno(), [script()], {})
        file.write(b"end")
    content = target.read_bytes()
    assert content.startswith(b"part" + bytes(128) + b"DICM")
    assert content.endswith(source.read_bytes()[-100:] + b"end")


def test_a_failing_script_leaves_no_file(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    with pytest.raises(ScriptRuntimeError):
        edit_file(source, tmp_path / "out.dcm", [script("-(0010,0010) v := lowercase[v]")], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("CT_small.dcm", '(0002,0010) := "1.2.840.10008.1.2.5"'),
        ("CT_small.dcm", "-(0002,0010)"),
        ("MR_small_RLE.dcm", '(0002,0010) := "1.2.840.10008.1.2.1"'),
        ("MR_small_bigendian.dcm", '(0002,0010) := "1.2.840.10008.1.2.1"'),
        ("test-SR.dcm", '(0002,0010) := "1.2.840.10008.1.2"'),
    ],
)
def test_a_script_can_not_relabel_the_encoding(name: str, line: str, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file(name)))
    with pytest.raises(UneditableFile, match=r"wrote to \(0002,0010\)"):
        edit_file(source, tmp_path / "out.dcm", [script(line)], {})
    assert list(tmp_path.iterdir()) == []


def large_image() -> bytes:
    """Return an image that is too long to be read whole."""
    pixels = dicom.Element(dicom.PIXEL_DATA, "OW", bytes(range(250)) * 1000)
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    return part10(dicom.encode([*dicom.image_elements(), pixels], syntax))


def test_file_systems_that_can_not_copy_ranges_get_the_bytes_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    ds = edited(tmp_path, large_image(), '(0010,0010) := "X"')
    assert ds.PixelData == bytes(range(250)) * 1000


def test_a_disk_error_is_passed_on_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", fail)
    (tmp_path / "in.dcm").write_bytes(large_image())
    with pytest.raises(OSError, match="full"):
        edit_file(tmp_path / "in.dcm", tmp_path / "out.dcm", [script()], {})
    assert not (tmp_path / "out.dcm").exists()


def test_a_source_that_becomes_shorter_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_arguments: 0)
    with pytest.raises(UneditableFile, match="became shorter"):
        edited(tmp_path, large_image())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no DICOM file"),
        (b"x" * 500, "no DICOM file"),
        (part10(dicom.image())[:-1], r"ends inside \(7FE0,0010\)"),
        (part10(dicom.image())[:300], "ends inside"),
        (part10(dicom.image(), dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN), "deflated"),
        (b"\0" * 128 + b"DICM" + dicom.image(), "no transfer syntax"),
        (
            part10(dicom.image(dicom.JPEG_BASELINE), dicom.JPEG_BASELINE)[:-12],
            "ends inside|broken|can't",
        ),
        (
            part10(dicom.image() + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\0" * 16),
            "outside a sequence|ends inside",
        ),
        (part10(dicom.enhanced_image())[:500], "can't be read|ends inside"),
    ],
    ids=range(9),
)
def test_what_is_no_complete_object_is_refused_and_nothing_written(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(UneditableFile, match=said) as caught:
        edited(tmp_path, content)
    assert caught.value.remedy
    assert not (tmp_path / "out.dcm").exists()


WHOLE = part10(dicom.enhanced_image())
HEAVY = script("-*/(0010,0010)", 'blankValues["ACC-1"]', "hashUIDList[*/(XXX@,XXXX)]",
               '*/(0008,0080) ?= "日本"', "retainPrivateTags[*/(00X#,{A}XX)]")  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(132, len(WHOLE) - 1), st.binary(max_size=8)), max_size=6),
    st.integers(0, 60),
)
@pytest.mark.filterwarnings("ignore")
def test_whatever_the_bytes_a_file_is_edited_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(WHOLE[: len(WHOLE) - cut])
    for place, piece in changes:
        content[place : place + len(piece)] = piece
    (folder / "in.dcm").write_bytes(content)
    try:
        edit_file(folder / "in.dcm", folder / "out.dcm", [Profile(), HEAVY], {})
    except (UneditableFile, ScriptRuntimeError) as error:
        assert error.detail
        assert not (folder / "out.dcm").exists()
    else:
        assert (folder / "out.dcm").stat().st_size > 132


def test_a_dicomdir_is_refused_because_its_offsets_would_be_wrong(tmp_path: Path) -> None:
    uid = b"1.2.840.10008.1.3.10"
    meta = struct.pack("<HH2sH", 2, 2, b"UI", len(uid)) + uid
    content = part10(dicom.image())
    with pytest.raises(UneditableFile, match="DICOMDIR"):
        edited(tmp_path, content[:132] + meta + content[132:])


def test_a_deflated_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_INFLATED_BYTES", 1000)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = deflater.compress(dicom.image(PatientComments="A" * 5000)) + deflater.flush()
    path = tmp_path / "bomb.dcm"
    path.write_bytes(part10(content, dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
    with path.open("rb") as file, pytest.raises(UneditableFile, match="inflates to more than"):
        read_object(file, deflated=True)


def test_a_deflated_object_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = deflater.compress(dicom.image()) + deflater.flush()
    for size, said in ((len(content) // 2, "ends too early"), (len(content), "")):
        path = tmp_path / f"{size}.dcm"
        syntax = dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
        path.write_bytes(part10(content[:size], syntax))
        with path.open("rb") as file:
            if said:
                with pytest.raises(UneditableFile, match=said):
                    read_object(file, deflated=True)
            else:
                assert value_at(read_object(file, deflated=True), "(0010,0020)") == "P-0001"


def test_a_large_object_is_edited_without_being_read(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    head = dicom.encode(dicom.image_elements(), dicom.EXPLICIT_VR_LITTLE_ENDIAN)
    element = dicom.head(dicom.PIXEL_DATA, "OW", size, dicom.EXPLICIT_VR_LITTLE_ENDIAN)
    source = tmp_path / "big.dcm"
    source.write_bytes(part10(head + element))
    os.truncate(source, source.stat().st_size + size)
    reads: list[int] = []
    with source.open("rb") as file:
        ds = read_object(file)
        reads.append(file.tell())
        assert ds[0x7FE00010].value == b""
        assert ds[0x7FE00010].value.size_bytes == size
    edit_file(source, tmp_path / "out.dcm", [script('(0010,0010) := "X"')], {})
    assert (tmp_path / "out.dcm").stat().st_size > size
    with (tmp_path / "out.dcm").open("rb") as file:
        assert value_at(read_object(file), "(0010,0010)") == "X"
