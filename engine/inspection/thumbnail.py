"""One frame of an image made small: decoded by pydicom's handlers, sampled, windowed to 8 bits.

Nothing here needs NumPy; decoders of compressed images do (extra ``pixels``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING, Any, Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, expand_ybr422
from pydicom.uid import UID

from engine.anonymize.datasets.reading import UNREADABLE
from engine.api.objects import Thumbnail, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from engine.inspection.job import ThumbnailJob

LARGEST_SIDE: Final = 512
# A header may name any size: a decoder would take that much memory.
LARGEST_FRAME_BYTES: Final = 128 * 1024**2
LARGEST_VALUE_BYTES: Final = 4 * 1024**2
"""Longer values before the pixel data are passed over: nothing of the image is so long."""
_PIXELS: Final = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_CODES: Final = {(1, 0): "B", (1, 1): "b", (2, 0): "H", (2, 1): "h", (4, 0): "I", (4, 1): "i"}
_EXTRA: Final = "install dicomdock with its extra: dicomdock[pixels]"


class _NoImage(Exception):
    """There is no thumbnail: why, and what to do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def thumbnail(job: ThumbnailJob) -> Thumbnail:
    """Return one frame; if there is none, the result has the problem."""
    try:
        with Path(job.path).open("rb") as file:
            return _thumbnail(file, job)
    except _NoImage as none:
        return Thumbnail(problem=none.problem, remedy=none.remedy)
    except MemoryError:
        return Thumbnail(problem="the image needs too much memory")
    except (InvalidDicomError, *UNREADABLE) as error:
        return Thumbnail(problem=f"the image can't be decoded ({type(error).__name__})")


def _thumbnail(file: BinaryIO, job: ThumbnailJob) -> Thumbnail:
    ds: Dataset = read_partial(file, stop_when=_at_pixels, defer_size=LARGEST_VALUE_BYTES)
    options: dict[str, Any] = as_pixel_options(ds)
    syntax = UID(str(ds.file_meta.get("TransferSyntaxUID", "")))
    frames = _require_reasonable(options, job.frame)
    options |= _begin(file, syntax)
    buffer, image = _decoded(file, syntax, options, job.frame)
    rows, columns = int(image["rows"]), int(image["columns"])
    # Never enlarged, and with the same proportions.
    step = max(columns / _side(job.width), rows / _side(job.height), 1.0)
    width, height = max(1, int(columns / step)), max(1, int(rows / step))
    # Only the samples of the small image are read, each from the middle of its cell.
    raster = _Raster(buffer, image, big_endian=not syntax.is_little_endian)
    places = [
        int((y + 0.5) * rows / height) * columns + int((x + 0.5) * columns / width)
        for y in range(height)
        for x in range(width)
    ]
    made = Thumbnail(width, height, frame=job.frame, frames=frames, columns=columns, rows=rows)
    if raster.samples == 3:
        return replace(made, samples=3, pixels=raster.colours(places))
    if str(image["photometric_interpretation"]) == "PALETTE COLOR":
        return replace(made, samples=3, pixels=_through_palette(ds, raster.values(places)))
    values, window = _windowed(ds, raster.values(places), job.window)
    if str(image["photometric_interpretation"]) == "MONOCHROME1":
        # PS3.3 C.7.6.3.1.2: the lowest value is white.
        values = bytes(255 - value for value in values)
    return replace(made, pixels=values, window=window)


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) in _PIXELS


def _require_reasonable(options: dict[str, Any], frame: int) -> int:
    """Refuse objects without an image that we can show, before decoding; return the frames."""
    names = ("rows", "columns", "samples_per_pixel", "bits_allocated")
    if any(not isinstance(options.get(name), int) for name in names):
        raise _NoImage("the object has no image")
    rows, columns, samples, bits = (int(options[name]) for name in names)
    frames = int(options.get("number_of_frames") or 1)
    if min(rows, columns) < 1 or rows * columns * samples * bits // 8 > LARGEST_FRAME_BYTES:
        raise _NoImage(f"an image of {columns}×{rows} is not shown", "use a viewer")
    if not 1 <= frame <= frames:
        raise _NoImage(f"there is no frame {frame}", f"there are {frames}")
    if bits not in (1, 8, 16, 32) or samples not in (1, 3):
        raise _NoImage(f"{bits} bits and {samples} samples are not shown", "use a viewer")
    return frames


def _begin(file: BinaryIO, syntax: UID) -> dict[str, Any]:
    """Read the head of the pixel data element, so that the file is where its value begins."""
    # PS3.5 7.1.2, 7.1.3: tag and length, or tag, VR and two reserved bytes; an explicit VR has its
    # length of four bytes behind them.
    head = file.read(8)
    if len(head) < 8:
        raise _NoImage("the object has no image")
    mark = "<" if syntax.is_little_endian else ">"
    group, number = unpack(f"{mark}HH", head[:4])
    keyword = _PIXELS[group << 16 | number]
    if keyword != "PixelData":
        raise _NoImage("images of floating point numbers are not shown", "use a viewer")
    begun: dict[str, Any] = {"pixel_keyword": keyword, "transfer_syntax_uid": syntax}
    if not syntax.is_implicit_VR:
        file.read(4)
        begun["pixel_vr"] = head[4:6].decode("latin-1")
    return begun


def _decoded(
    file: BinaryIO, syntax: UID, options: dict[str, Any], frame: int
) -> tuple[bytes, dict[str, Any]]:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise _NoImage(f"nothing here decodes {syntax.name}") from error
    # pydicom knows the syntax, but no installed package decodes it.
    if not decoder.is_available:
        raise _NoImage(f"nothing here decodes {syntax.name}", _EXTRA)
    try:
        buffer, image = decoder.as_buffer(file, index=frame - 1, **options)
    except RuntimeError as error:
        raise _NoImage(f"the image can't be decoded as {syntax.name}", _EXTRA) from error
    image = {**options, **image}
    if syntax.is_encapsulated:
        return bytes(buffer), image
    return _plain(bytes(buffer), image, syntax, frame), image


def _plain(buffer: bytes, image: dict[str, Any], syntax: UID, frame: int) -> bytes:
    """Return a native frame with one sample after the other."""
    bits = int(image["bits_allocated"])
    if image["photometric_interpretation"] == "YBR_FULL_422":  # PS3.3 C.7.6.3.1.2
        return bytes(expand_ybr422(buffer, bits))
    if bits != 8 or syntax.is_little_endian or image.get("pixel_vr") != "OW":
        return buffer
    # Samples of 8 bits in words of big endian are swapped in pairs. After an odd number of samples
    # the next frame begins in the middle of a word.
    turned = bytearray(buffer)
    turned[::2], turned[1::2] = buffer[1::2], buffer[: len(buffer) // 2 * 2 : 2]
    odd = int(image["rows"]) * int(image["columns"]) * int(image["samples_per_pixel"]) % 2
    return bytes(turned[1:] if odd and frame % 2 == 0 else turned)


def _side(wanted: int) -> int:
    return min(max(1, wanted), LARGEST_SIDE)


class _Raster:
    """Decoded pixels of one frame (PS3.3 C.7.6.3)."""

    def __init__(self, buffer: bytes, image: dict[str, Any], *, big_endian: bool) -> None:
        self.samples = int(image["samples_per_pixel"])
        self._bits = int(image["bits_allocated"])
        self._size = max(1, self._bits // 8)
        self._pixels = int(image["rows"]) * int(image["columns"])
        self._planes = bool(image.get("planar_configuration"))
        self._ybr = str(image["photometric_interpretation"]).startswith("YBR_FULL")
        self._signed = int(image.get("pixel_representation") or 0)
        self._stored = min(int(image.get("bits_stored") or self._bits), self._bits)
        self._mark = ">" if big_endian else "<"
        self._buffer = buffer
        # A hostile header may promise more pixels than there are.
        if len(buffer) * 8 < self._pixels * self.samples * self._bits:
            raise _NoImage("the image is shorter than rows and columns say")

    def values(self, places: list[int]) -> list[int]:
        """Return grey values at some places."""
        # PS3.5 8.1: packed, the first pixel in the lowest bit.
        if self._bits == 1:
            return [self._buffer[at // 8] >> at % 8 & 1 for at in places]
        unused = self._bits - self._stored
        return [self._fit(self._sample(at), unused) for at in places]

    def colours(self, places: list[int]) -> bytes:
        """Return red, green and blue at some places, one byte each."""
        where = self._plane_at if self._planes else self._pixel_at
        # The high bytes are shown.
        shift = self._bits - 8
        pixels = bytearray()
        for at in places:
            sample = [self._sample(where(at, s)) >> shift & 0xFF for s in range(3)]
            pixels += bytes(_rgb(*sample)) if self._ybr else bytes(sample)
        return bytes(pixels)

    def _pixel_at(self, at: int, sample: int) -> int:
        return at * 3 + sample

    def _plane_at(self, at: int, sample: int) -> int:
        return sample * self._pixels + at

    def _sample(self, at: int) -> int:
        code = self._mark + _CODES[self._size, 0]
        begin = at * self._size
        (value,) = unpack(code, self._buffer[begin : begin + self._size])
        return int(value)

    def _fit(self, value: int, unused: int) -> int:
        """Return a sample without the bits above Bits Stored, which may hold anything."""
        value &= (1 << (self._bits - unused)) - 1
        if self._signed and value >> (self._stored - 1):
            value -= 1 << self._stored
        return value


def _through_palette(ds: Dataset, values: list[int]) -> bytes:
    """Return the colours that values stand for (PS3.3 C.7.6.3.1.5)."""
    palettes = [_palette(ds, colour) for colour in range(3)]
    return bytes(palette(value) for value in values for palette in palettes)


def _palette(ds: Dataset, colour: int) -> Callable[[int], int]:
    if 0x00281101 + colour not in ds or 0x00281201 + colour not in ds:
        raise _NoImage("the colour palette is missing or segmented", "use a viewer")
    entries, first, _ = (int(number) for number in ds[0x00281101 + colour].value)
    # PS3.3 C.7.6.3.1.5: 0 stands for 2 to the power of 16.
    entries, content = entries or 65_536, bytes(ds[0x00281201 + colour].value)
    wide = len(content) >= 2 * entries
    shades = content[1 : 2 * entries : 2] if wide else content[:entries]  # the high bytes
    if not shades:
        raise _NoImage("the colour palette is empty", "use a viewer")
    return lambda value: shades[min(max(0, value - first), len(shades) - 1)]


def _rgb(y: int, cb: int, cr: int) -> tuple[int, int, int]:
    """Convert one pixel (PS3.3 C.7.6.3.1.2)."""
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    return _byte(red), _byte(green), _byte(blue)


def _byte(value: float) -> int:
    return min(max(0, round(value)), 255)


def _windowed(ds: Dataset, raw: list[int], window: Window | None) -> tuple[bytes, Window]:
    """Map values to 8 bits by a linear window (PS3.3 C.11.2.1.2)."""
    slope = _number(ds, "RescaleSlope", 1.0) or 1.0
    intercept = _number(ds, "RescaleIntercept", 0.0)
    values = [value * slope + intercept for value in raw]
    if window is None:
        center, width = _number(ds, "WindowCenter", 0.0), _number(ds, "WindowWidth", 0.0)
        # No usable window in the object: the range of the values.
        if width < 1:
            low, high = min(values), max(values)
            center, width = (low + high + 1) / 2, max(1.0, high - low + 1)
        window = Window(center, width)
    width = max(1.0, window.width)
    low, span = window.center - 0.5 - (width - 1) / 2, max(width - 1, 1e-9)
    grey: Callable[[float], int] = lambda value: _byte((value - low) / span * 255)  # noqa: E731
    return bytes(map(grey, values)), Window(window.center, width)


def _number(ds: Dataset, keyword: str, otherwise: float) -> float:
    try:
        value = ds.get(keyword)
        value = value[0] if isinstance(value, MultiValue) else value
        number = float(value) if value not in (None, "") else otherwise
    except UNREADABLE:
        return otherwise
    # Also false for nan and inf, by which a window can't be computed.
    return number if abs(number) < 1e12 else otherwise
