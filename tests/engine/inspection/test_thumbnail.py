"""One frame made small: what pydicom decodes is shown, what it does not is said in words."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pydicom.data
import pytest
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from engine.api.objects import Thumbnail, Window
from engine.dicom.part10 import FileMeta
from engine.inspection.job import ThumbnailJob
from engine.inspection.thumbnail import thumbnail
from tests import dicom

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The process that this runs in tells nobody of odd values either.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
GREY = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
}


def made(path: Path, *, frame: int = 1, side: int = 64, window: Window | None = None) -> Thumbnail:
    return thumbnail(ThumbnailJob(str(path), frame, side, side, window))


def file_of(folder: Path, pixels: bytes, **values: Any) -> Path:
    """Write an image with one byte a pixel."""
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT", "XNAT").preamble("1.2.3")
    path = folder / "image.dcm"
    path.write_bytes(meta + dicom.image(syntax, pixels, **(GREY | values)))
    return path


def sampled(path: Path, image: Thumbnail, frame: int = 1) -> NDArray[Any]:
    """Return what pydicom and NumPy make of the same pixels, by the same rule."""
    pixels = pixel_array(path, index=frame - 1)
    rows = [int((y + 0.5) * image.rows / image.height) for y in range(image.height)]
    columns = [int((x + 0.5) * image.columns / image.width) for x in range(image.width)]
    return pixels[rows][:, columns]


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("ExplVR_BigEnd.dcm", 1),
        ("SC_rgb_dcmtk_+eb+cr.dcm", 1),
        ("SC_rgb_rle_16bit_2frame.dcm", 2),
        ("SC_rgb_small_odd_big_endian.dcm", 1),
        ("SC_ybr_full_422_uncompressed.dcm", 1),
        ("SC_rgb_jls_lossy_line.dcm", 1),
        ("examples_ybr_color.dcm", 30),
    ],
)
def test_colours_are_those_that_pydicom_decodes(name: str, frame: int) -> None:
    image = made(SAMPLES / name, frame=frame)
    expected = sampled(SAMPLES / name, image, frame)
    shift = 8 * (expected.dtype.itemsize - 1)
    found = list(image.pixels)
    wanted = [int(v) >> shift for v in expected.ravel()]
    assert (image.samples, image.problem, image.window) == (3, "", None)
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 1


def test_colours_of_a_palette_are_looked_up() -> None:
    path = SAMPLES / "examples_palette.dcm"
    image = made(path)
    table = pydicom.dcmread(path)
    expected = apply_color_lut(sampled(path, image), table)
    shift = 8 * (expected.dtype.itemsize - 1)
    assert list(image.pixels) == [int(v) >> shift for v in expected[..., :3].ravel()]


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm"),
        *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    ],
)
def test_grey_values_go_through_the_window_of_the_object(name: str) -> None:
    image = made(SAMPLES / name)
    assert (image.width, image.height, image.columns, image.window) == (
        *(64, 64, 64),
        Window(600, 1600),
    )
    low, span = 600 - 0.5 - 1599 / 2, 1599
    wanted = [(int(v) - low) / span * 255 for v in sampled(SAMPLES / name, image).ravel()]
    expected = bytes(min(max(0, round(v)), 255) for v in wanted)
    assert image.pixels == expected


def test_without_a_window_all_values_are_shown_and_with_another_one_only_its_own(
    tmp_path: Path,
) -> None:
    path = file_of(tmp_path, bytes(range(100, 116)))
    image = made(path)
    assert (image.pixels[0], image.pixels[-1], image.window) == (0, 255, Window(108, 16))
    narrow = made(path, window=Window(108, 2))
    assert set(narrow.pixels) == {0, 255}
    assert narrow.window == Window(108, 2)


def test_what_is_stored_inverted_or_signed_or_in_single_bits_is_shown_right(tmp_path: Path) -> None:
    inverted = file_of(tmp_path, bytes(range(16)), PhotometricInterpretation="MONOCHROME1")
    assert made(inverted).pixels == bytes(range(255, -1, -17))
    signed = file_of(tmp_path, bytes([128, 127] * 8), PixelRepresentation=1)
    assert made(signed).pixels == bytes([0, 255] * 8)
    bits = file_of(tmp_path, bytes([0b01010101, 0xFF]), BitsAllocated=1, BitsStored=1)
    assert made(bits).pixels == bytes([255, 0] * 4 + [255] * 8)


def test_an_image_is_never_larger_than_asked_and_keeps_its_sides(tmp_path: Path) -> None:
    path = file_of(tmp_path, bytes(4 * 100), Rows=4, Columns=100)
    image = thumbnail(ThumbnailJob(str(path), 1, 25, 9_999, None))
    assert (image.width, image.height, len(image.pixels)) == (25, 1, 25)
    assert made(path, side=-3).width == 1


def test_long_values_before_the_image_are_not_loaded(tmp_path: Path) -> None:
    path, size = file_of(tmp_path, bytes(range(16))), 64 * 1024**2
    expected, content = made(path), path.read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00")
    with path.open("wb") as file:
        file.write(content[:pixels])
        file.write(b"\x29\x00\x00\x10OB\x00\x00" + size.to_bytes(4, "little"))
        file.seek(size, os.SEEK_CUR)  # a hole
        file.write(content[pixels:])
    tracemalloc.start()
    try:
        assert made(path) == expected
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"Rows": None}, "the object has no image"),
        ({"Rows": 0}, "an image of 4×0 is not shown"),
        ({"Rows": 65_535, "Columns": 65_535}, "an image of 65535×65535 is not shown"),
        ({"Rows": 400}, "the image is shorter than rows and columns say"),
        ({"BitsAllocated": 12}, "12 bits and 1 samples are not shown"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "the colour palette is missing"),
        ({"NumberOfFrames": "many"}, "can't be decoded"),
        ({"WindowCenter": "x", "WindowWidth": "1e99"}, ""),
        ({"RescaleSlope": "0", "RescaleIntercept": "nan"}, ""),
    ],
)
def test_what_is_no_usable_image_is_said_and_costs_nothing(
    tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    image = made(file_of(tmp_path, bytes(range(16)), **values))
    assert problem in image.problem
    assert bool(image.pixels) is not bool(image.problem)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("JPEG-lossy.dcm", "the image can't be decoded as JPEG Extended (Process 2 and 4)"),
        ("test-SR.dcm", "the object has no image"),
        ("badVR.dcm", "the image can't be decoded"),
        ("no_meta.dcm", "the image can't be decoded"),
    ],
)
def test_broken_and_foreign_files_are_told_apart_from_images(name: str, problem: str) -> None:
    assert made(SAMPLES / name).problem.startswith(problem)


def test_a_missing_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", False)
    image = made(SAMPLES / "MR_small_RLE.dcm")
    assert image.problem == "nothing here decodes RLE Lossless"
    assert image.remedy == "install dicomdock with its extra: dicomdock[pixels]"
    assert made(SAMPLES / "MR_small_RLE.dcm", frame=2).problem == "there is no frame 2"
