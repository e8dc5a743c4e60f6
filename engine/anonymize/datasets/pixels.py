"""Blackening a rectangle of an image, in every frame (dicomedit 9.8).

Native pixel data are edited in place as bytes; compressed ones are decoded by pydicom's plugins.
Either way the object becomes Explicit VR Little Endian, and nothing but the rectangle changes.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGExtended12Bit

from engine.anonymize.datasets.reading import UNREADABLE, text_of, vr_of
from engine.anonymize.datasets.tree import roots, walk
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element, part_of
from engine.dicom.elements import PIXEL_VRS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from engine.anonymize.datasets.tree import Hit

PIXEL_DATA: Final = BaseTag(0x7FE00010)
PIXEL_ELEMENTS: Final = tuple(map(BaseTag, PIXEL_VRS))
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_PHOTOMETRIC: Final = BaseTag(0x00280004)
_PLANAR: Final = BaseTag(0x00280006)
_SIDES: Final = {
    "l": "left",
    "t": "top",
    "r": "right",
    "b": "bottom",
    **{side: side for side in ("left", "top", "right", "bottom")},
}
_WORD_BYTES: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_CODES: Final = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Columns and rows, 0-based; the ends are not part of it."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``l=0, t=0, r=9, b=9``; swapped corners reach as far from left and top (9.8).

        Raises:
            StatementFailure: if a side is missing, doubled or no whole number.
        """
        sides: dict[str, int] = {}
        for part in text.split(","):
            name, _, number = (piece.strip() for piece in part.partition("="))
            side = _SIDES.get(name.lower(), "")
            if not side or side in sides or not number.removeprefix("-").isdecimal():
                raise _bad_rectangle()
            sides[side] = int(number)
        if len(sides) < 4:
            raise _bad_rectangle()
        left, top = sides["left"], sides["top"]
        # As in XNAT: the corners are not swapped back, only the differences count (dicomedit 9.8).
        width, height = abs(sides["right"] - left), abs(sides["bottom"] - top)
        return cls(left, top, left + width, top + height)

    def within(self, columns: int, rows: int) -> tuple[range, range]:
        """Return the columns and rows of an image that are in it."""
        return (
            range(max(self.left, 0), max(min(self.right, columns), 0)),
            range(max(self.top, 0), max(min(self.bottom, rows), 0)),
        )


def _bad_rectangle() -> StatementFailure:
    return StatementFailure("the rectangle can't be read", 'write "l=0, t=0, r=100, b=20"')


@dataclass(frozen=True, slots=True)
class _Image:
    """How native pixel data lie in memory (PS3.3 C.7.6.3)."""

    frames: int
    rows: int
    columns: int
    samples: int
    bits: int
    by_plane: bool
    ybr: bool

    @property
    def black(self) -> tuple[bytes, ...]:
        """One black pixel for each plane; in YCbCr its colours are in the middle, not at 0."""
        size = self.bits // 8
        samples = [bytes(size)] * self.samples
        if self.ybr and self.samples == 3 and size:
            samples[1:] = [(1 << self.bits - 1).to_bytes(size, "little")] * 2
        return tuple(samples) if self.by_plane else (b"".join(samples),)

    @property
    def size_bytes(self) -> int:
        bits = self.frames * self.rows * self.columns * self.samples * self.bits
        return (bits + 7) // 8


def blacken(ds: Dataset, rectangle: Rectangle, tick: Callable[[], None]) -> None:
    """Set a rectangle to 0, or to black where 0 is another colour; no image, no change.

    Raises:
        StatementFailure: if the image can't be decoded or is not what its header says.
    """
    tag = next((t for t in PIXEL_ELEMENTS if t in ds), None)
    if tag is None:
        return
    try:
        _load(ds, tag)
        _make_explicit_little_endian(ds, tick)
        _expand(ds, tag)
        _fill(ds, tag, rectangle, tick)
    except UNREADABLE as error:
        reason = f"the pixel data can't be edited ({type(error).__name__})"
        raise StatementFailure(reason, "leave such objects out with an if block") from error


def _load(ds: Dataset, tag: BaseTag) -> None:
    element = kept_element(ds, tag)
    part = part_of(element)
    if part is not None:
        value, undefined = part.load(), part.undefined_length
        vr = vr_of(ds, tag)
        ds[tag] = DataElement(tag, vr, value, is_undefined_length=undefined, already_converted=True)


def _make_explicit_little_endian(ds: Dataset, tick: Callable[[], None]) -> None:
    # XNAT stores what alterPixels has changed in Explicit VR Little Endian (dicomedit 9.8).
    syntax = UID(text_of(ds.file_meta, _TRANSFER_SYNTAX) or ExplicitVRLittleEndian)
    if syntax.is_transfer_syntax and syntax.is_encapsulated:
        _decompress(ds)
    elif syntax == ExplicitVRBigEndian:
        # Not the file meta, which are little endian in every transfer syntax (PS3.10 7.1).
        for hit in list(walk(roots(ds)[-1], tick)):
            _swap(ds, hit)
    ds.file_meta[_TRANSFER_SYNTAX] = DataElement(_TRANSFER_SYNTAX, "UI", ExplicitVRLittleEndian)


def _decompress(ds: Dataset) -> None:
    # Decoders bring NumPy, which nothing else here needs.
    from pydicom.pixels.decoders.base import get_decoder

    syntax = UID(text_of(ds.file_meta, _TRANSFER_SYNTAX) or "")
    try:
        decoder = get_decoder(syntax)
        if not decoder.is_available:
            raise _no_decoder(syntax)
        pixels, image = decoder.as_array(ds)  # in RGB, not YCbCr
    except (NotImplementedError, ImportError) as error:
        raise _no_decoder(syntax) from error
    except RuntimeError as error:
        cause = f"the pixel data can't be decoded as {syntax.name}"
        raise StatementFailure(cause, _instead_of_decoding(syntax)) from error
    ds[PIXEL_DATA] = DataElement(PIXEL_DATA, "OW", pixels.tobytes(), already_converted=True)
    photometric = str(image["photometric_interpretation"])
    ds[_PHOTOMETRIC] = DataElement(_PHOTOMETRIC, "CS", photometric)
    # PS3.3 C.7.6.3.1.3: only an image of several samples has a planar configuration.
    if _number(ds, 0x00280002, 1) > 1:
        ds[_PLANAR] = DataElement(_PLANAR, "US", image["planar_configuration"])


def _no_decoder(syntax: UID) -> StatementFailure:
    remedy = "install dicomdock with its extra: dicomdock[pixels]"
    return StatementFailure(f"nothing here decodes {syntax.name}", remedy)


def _instead_of_decoding(syntax: UID) -> str:
    """Return what helps: no decoder for 12 bits is under a licence like ours."""
    guard = "leave such objects out with an if block"
    if syntax == JPEGExtended12Bit:
        return f"install pylibjpeg-libjpeg (GPL), decompress it with dcmdjpeg first, or {guard}"
    return f"decompress it with dcmdjpeg or gdcmconv first, or {guard}"


def _swap(ds: Dataset, hit: Hit) -> None:
    """Turn the words of an element around; pydicom does so with numbers, not with bytes."""
    if hit.tag not in hit.level.ds:
        return
    vr = vr_of(hit.level.ds, hit.tag)
    size = _WORD_BYTES.get(vr, 1)
    is_image = hit.level.ds is ds and hit.tag == PIXEL_DATA
    if is_image:
        size = max(size, _number(ds, 0x00280100) // 8)
    element = kept_element(hit.level.ds, hit.tag)
    value = element.value if element is not None else None
    if size == 1 or not isinstance(value, bytes):
        return
    part = part_of(element)
    words = array(_CODES[size], (part.load() if part else value)[: len(value) // size * size])
    words.byteswap()
    hit.level.ds[hit.tag] = DataElement(hit.tag, vr, words.tobytes(), already_converted=True)


def _expand(ds: Dataset, tag: BaseTag) -> None:
    """Give every pixel its own colour where two share one, without loss (PS3.3 C.7.6.3.1.2)."""
    if tag != PIXEL_DATA or text_of(ds, _PHOTOMETRIC) != "YBR_FULL_422":
        return
    from pydicom.pixels.utils import expand_ybr422

    # Two pixels share their colours: four samples stand for six.
    native = _image(ds, tag).size_bytes // 3 * 2
    value = expand_ybr422(ds[tag].value[:native], _number(ds, 0x00280100))
    ds[tag] = DataElement(tag, "OB", value, already_converted=True)
    ds[_PHOTOMETRIC] = DataElement(_PHOTOMETRIC, "CS", "YBR_FULL")


def _image(ds: Dataset, tag: BaseTag) -> _Image:
    bits = {PIXEL_ELEMENTS[0]: 32, PIXEL_ELEMENTS[1]: 64}.get(tag) or _number(ds, 0x00280100)
    if bits not in (1, 8, 16, 32, 64):
        raise StatementFailure(f"{bits} bits allocated are not supported")
    return _Image(
        frames=_number(ds, 0x00280008, 1),
        rows=_number(ds, 0x00280010),
        columns=_number(ds, 0x00280011),
        samples=_number(ds, 0x00280002, 1),
        bits=bits,
        by_plane=_number(ds, 0x00280006, 0) == 1,
        ybr=(text_of(ds, _PHOTOMETRIC) or "").startswith("YBR_FULL"),
    )


def _number(ds: Dataset, tag: int, default: int | None = None) -> int:
    text = text_of(ds, BaseTag(tag))
    if not text and default is not None:
        return default
    if not text or not text.isdecimal():
        raise StatementFailure(
            f"{BaseTag(tag)} is missing or no number, so that the image is not known"
        )
    return int(text)


def _fill(ds: Dataset, tag: BaseTag, rectangle: Rectangle, tick: Callable[[], None]) -> None:
    image = _image(ds, tag)
    pixels = bytearray(ds[tag].value or b"")
    if len(pixels) < image.size_bytes:  # else a rectangle might miss what it should hide
        raise StatementFailure("the pixel data are shorter than rows, columns and frames say")
    columns, rows = rectangle.within(image.columns, image.rows)
    for frame in range(image.frames):
        tick()  # a time limit holds for thousands of frames too
        for plane, black in enumerate(image.black):
            start = (frame * len(image.black) + plane) * image.rows * image.columns
            for row in rows:
                _blacken_row(pixels, start + row * image.columns, columns, black)
    # PS3.5 7.1.1: a value has an even length.
    pixels += b"\0" * (len(pixels) % 2)
    ds[tag] = DataElement(tag, _vr_of_pixels(tag, image), bytes(pixels), already_converted=True)


def _blacken_row(pixels: bytearray, line: int, columns: range, black: bytes) -> None:
    """Blacken part of a row whose first pixel is the `line`-th; single bits have no bytes."""
    first, last = line + columns.start, line + columns.stop
    if black:
        pixels[first * len(black) : last * len(black)] = black * len(columns)
    else:
        _clear_bits(pixels, first, last)


def _clear_bits(pixels: bytearray, first: int, last: int) -> None:
    """Clear some bits; the first pixel is the lowest bit of the first byte (PS3.5 8.1.1)."""
    if last <= first:
        return
    start, end = first // 8, (last + 7) // 8
    bits = int.from_bytes(pixels[start:end], "little")
    kept = ~(((1 << (last - first)) - 1) << (first - start * 8))
    pixels[start:end] = (bits & kept).to_bytes(end - start, "little")


def _vr_of_pixels(tag: BaseTag, image: _Image) -> str:
    if tag != PIXEL_DATA:
        return "OF" if image.bits == 32 else "OD"
    # PS3.5 A.2: samples of more than 8 bits are in OW.
    return "OB" if image.bits <= 8 else "OW"
