"""Rectangles that are blackened, in all encodings that are decoded here (dicomedit 9.8)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels.decoders import base
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from engine.anonymize import ScriptOutcome, ScriptRuntimeError, edit_file
from engine.anonymize.datasets.pixels import Rectangle
from engine.anonymize.errors import StatementFailure
from tests.engine.anonymize.objects import apply, make_object, script, value_at

ALTER = 'alterPixels["rectangle", "l=1, t=2, r=5, b=7", "solid", "v=100"]'


def image(
    rows: int = 4, columns: int = 6, frames: int = 1, samples: int = 1, bits: int = 8, **more: Any
) -> Dataset:
    ds = make_object(
        {
            "(0028,0002)": ("US", str(samples)),
            "(0028,0004)": ("CS", "MONOCHROME2" if samples == 1 else "RGB"),
            "(0028,0008)": ("IS", str(frames)),
            "(0028,0010)": ("US", str(rows)),
            "(0028,0011)": ("US", str(columns)),
            "(0028,0100)": ("US", str(bits)),
        }
    )
    size = rows * columns * frames * samples * bits // 8
    ds[0x7FE00010] = DataElement(0x7FE00010, "OW", b"\xff" * (size + size % 2))
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def blackened(ds: Dataset, rectangle: str) -> bytes:
    apply(ds, f'alterPixels["Rectangle", "{rectangle}", "SOLID", "v=0"]')
    value: bytes = ds.PixelData
    return value


W, B = b"\xff", b"\0"


@pytest.mark.parametrize(
    ("rectangle", "rows"),
    [
        ("l=1, t=1, r=3, b=3", [W * 6, W + B * 2 + W * 3, W + B * 2 + W * 3, W * 6]),
        ("left=1,top=1,right=3,bottom=3", [W * 6, W + B * 2 + W * 3, W + B * 2 + W * 3, W * 6]),
        ("b=1, r=6, t=0, l=0", [B * 6, W * 6, W * 6, W * 6]),
        ("l=3, t=2, r=1, b=1", [W * 6, W * 6, W * 3 + B * 2 + W, W * 6]),
        ("l=-2, t=-1, r=2, b=1", [B * 2 + W * 4, W * 6, W * 6, W * 6]),
        ("l=4, t=3, r=99, b=99", [W * 6, W * 6, W * 6, W * 4 + B * 2]),
        ("l=9, t=9, r=12, b=12", [W * 6] * 4),
        ("l=2, t=2, r=2, b=4", [W * 6] * 4),
    ],
)
def test_columns_and_rows_of_the_rectangle_become_black(rectangle: str, rows: list[bytes]) -> None:
    assert blackened(image(), rectangle) == b"".join(rows)


def test_all_frames_and_samples_are_blackened_however_they_are_ordered() -> None:
    pixel = W * 3 + B * 3 + W * 12
    wanted = (pixel + W * 18 * 3) * 2
    assert blackened(image(frames=2, samples=3), "l=1,t=0,r=2,b=1") == wanted
    plane = W + B + W * 22
    by_plane = image(frames=2, samples=3, PlanarConfiguration=1)
    assert blackened(by_plane, "l=1,t=0,r=2,b=1") == plane * 6


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_pixels_of_several_bytes_are_blackened_as_a_whole(bits: int) -> None:
    size = bits // 8
    row = W * size + B * size * 2 + W * size * 3
    assert blackened(image(bits=bits), "l=1,t=0,r=3,b=1") == row + W * 6 * size * 3


def test_single_bits_are_cleared_wherever_bytes_begin() -> None:
    pixels = blackened(image(rows=3, columns=5, frames=2, bits=1), "l=1,t=1,r=4,b=3")
    bits = "".join(f"{byte:08b}"[::-1] for byte in pixels)[:30]
    assert bits == ("11111" + "10001" * 2) * 2
    assert blackened(image(rows=3, columns=5, bits=1), "l=2,t=1,r=2,b=3") == b"\xff" * 2


def test_black_in_ycbcr_is_in_the_middle_of_its_colours() -> None:
    ds = image(rows=1, columns=2, samples=3, PhotometricInterpretation="YBR_FULL")
    assert blackened(ds, "l=0,t=0,r=1,b=1") == b"\x00\x80\x80" + W * 3
    planes = image(
        rows=1, columns=2, samples=3, bits=16, PhotometricInterpretation="YBR_FULL",
        PlanarConfiguration=1,
    )  # fmt: skip
    grey = b"\x00\x80"
    assert blackened(planes, "l=0,t=0,r=1,b=1") == B * 2 + W * 2 + (grey + W * 2) * 2


def test_floating_point_pixels_are_blackened_too() -> None:
    for tag, vr, size in ((0x7FE00008, "OF", 4), (0x7FE00009, "OD", 8)):
        ds = image(rows=1, columns=3)
        del ds.PixelData
        ds[tag] = DataElement(tag, vr, W * 3 * size)
        apply(ds, 'alterPixels["rectangle", "l=0,t=0,r=2,b=1", "solid", "v=0"]')
        assert ds[tag].value == B * 2 * size + W * size


def test_an_object_without_pixels_stays_as_it_is() -> None:
    ds = make_object({"(0010,0010)": ("PN", "Doe")})
    before = str(ds)
    assert apply(ds, ALTER) is ScriptOutcome.OK
    assert str(ds) == before


def test_words_of_big_endian_objects_are_turned_around_in_all_elements() -> None:
    ds = image(rows=1, columns=2, bits=16)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = b"\x01\x02\x03\x04"
    ds.add_new(0x60003000, "OW", b"\x0a\x0b")
    ds.add_new(0x00420011, "OB", b"\x0a\x0b")
    ds.add_new(0x00081140, "SQ", [Dataset()])
    ds[0x00081140].value[0].add_new(0x00281201, "OW", b"\x01\x02")
    assert blackened(ds, "l=1,t=0,r=2,b=1") == b"\x02\x01\0\0"
    assert ds[0x60003000].value == b"\x0b\x0a"
    assert ds[0x00420011].value == b"\x0a\x0b"
    assert ds[0x00081140].value[0][0x00281201].value == b"\x02\x01"
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


@pytest.mark.parametrize(
    ("ds", "said"),
    [
        (image(bits=12), "12 bits allocated"),
        (image(rows=40), "shorter than rows"),
        (image(Rows=None), r"\(0028,0010\) is missing"),
    ],
)
def test_an_image_that_its_header_does_not_describe_refuses_the_object(
    ds: Dataset, said: str
) -> None:
    if said.startswith("shorter"):
        ds.PixelData = b"\0\0"
    with pytest.raises(ScriptRuntimeError, match=said):
        apply(ds, ALTER)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ALTER.replace("rectangle", "ellipse"), "shape is not known"),
        (ALTER.replace("solid", "striped"), "fill is not known"),
        (ALTER.replace("v=100", "100"), "fill value can't be read"),
        (ALTER.replace("b=7", "c=7"), "rectangle can't be read"),
        (ALTER.replace("b=7", "t=7"), "rectangle can't be read"),
        (ALTER.replace(", b=7", ""), "rectangle can't be read"),
        (ALTER.replace("b=7", "b=7.5"), "rectangle can't be read"),
    ],
)
def test_what_is_no_solid_rectangle_refuses_the_object(call: str, said: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=said):
        apply(image(), call)


def test_a_rectangle_is_clipped_to_the_image() -> None:
    rectangle = Rectangle.parse("l=-5,t=1,r=3,b=9")
    assert rectangle.within(columns=2, rows=4) == (range(2), range(1, 4))
    with pytest.raises(StatementFailure):
        Rectangle.parse("")


FILES = {
    "Explicit VR Little Endian": "CT_small.dcm",
    "Implicit VR Little Endian": "MR_small_implicit.dcm",
    "Explicit VR Big Endian": "MR_small_bigendian.dcm",
    "32 bits, multi-frame, implicit": "rtdose.dcm",
    "32 bits, big endian": "rtdose_expb_1frame.dcm",
    "1 bit, big endian": "liver_expb_1frame.dcm",
    "RGB, odd size, big endian": "SC_rgb_small_odd_big_endian.dcm",
    "RLE, 16 bits": "MR_small_RLE.dcm",
    "RLE, RGB, multi-frame": "SC_rgb_rle_2frame.dcm",
    "JPEG baseline, YBR": "SC_rgb_small_odd_jpeg.dcm",
    "JPEG lossless": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "JPEG 2000, wrong about its sign": "J2K_pixelrep_mismatch.dcm",
    "YBR 4:2:2, native": "SC_ybr_full_422_uncompressed.dcm",
    "deflated": "image_dfl.dcm",
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("name", FILES.values(), ids=FILES.keys())
def test_in_real_files_nothing_but_the_rectangle_changes(name: str, tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file(name))), tmp_path / "out.dcm"
    edit_file(source, target, [script(ALTER)], {}, deflated=True)
    before, after = dcmread(io.BytesIO(source.read_bytes())), dcmread(target)
    wanted = before.pixel_array.copy()
    frames = wanted if int(before.get("NumberOfFrames", 1)) > 1 else wanted[None]
    frames[:, 2:7, 1:5] = 0
    assert (after.pixel_array == wanted).all()
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert after.SOPInstanceUID == before.SOPInstanceUID


def _without_numpy(*_arguments: object, **_options: object) -> None:
    raise ImportError("NumPy is required")


@pytest.mark.parametrize("missing", ["decoder", "NumPy"])
def test_a_format_that_nothing_decodes_refuses_the_object_and_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "NumPy":
        monkeypatch.setattr(base.Decoder, "as_array", _without_numpy)
    else:
        monkeypatch.setattr(base.Decoder, "is_available", property(lambda _self: False))
    source = Path(str(get_testdata_file("MR_small_RLE.dcm")))
    with pytest.raises(ScriptRuntimeError, match="nothing here decodes RLE") as caught:
        edit_file(source, tmp_path / "out.dcm", [script(ALTER)], {})
    assert "[pixels]" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_jpeg_of_12_bits_is_refused_and_says_what_decodes_it(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("JPGExtended.dcm")))
    with pytest.raises(ScriptRuntimeError, match="can't be decoded as JPEG Extended") as caught:
        edit_file(source, tmp_path / "out.dcm", [script(ALTER)], {})
    assert "pylibjpeg-libjpeg" in caught.value.remedy
    assert "dcmdjpeg" in caught.value.remedy


def test_unknown_and_broken_compressed_data_refuse_the_object() -> None:
    ds = image()
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")  # MPEG-2
    with pytest.raises(ScriptRuntimeError, match="nothing here decodes MPEG2"):
        apply(ds, ALTER)
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.5")
    with pytest.raises(ScriptRuntimeError, match="the pixel data can't be"):
        apply(ds, ALTER)
    assert value_at(ds, "(0002,0010)") == "1.2.840.10008.1.2.5"
