"""From a DICOM file, or the beginning of a data set, to its elements as rows of bounded size."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.multival import MultiValue
from pydicom.uid import UID

from engine.anonymize.datasets.reading import UNREADABLE
from engine.anonymize.record import recorded
from engine.api.objects import ElementRow
from engine.inspection.job import HeaderJob, HeaderResult
from engine.model.identity import element_number, is_identifying, is_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MOST_ROWS: Final = 5_000
DEEPEST: Final = 12
LONGEST_TEXT: Final = 256
_MOST_VALUES: Final = 64
_FIRST_BYTES: Final = 16
_RAW_BYTES: Final = 32
_DEFERRED_BYTES: Final = 64 * 1024
_UNDEFINED: Final = 0xFFFFFFFF
_PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def read(job: HeaderJob) -> HeaderResult:
    """Return the elements of an object; why it can't be read is in the result."""
    try:
        if job.path:
            with Path(job.path).open("rb") as file:
                return _read(file, None)
        return _read(BytesIO(job.data), UID(job.transfer_syntax_uid))
    except (InvalidDicomError, MemoryError, *UNREADABLE) as error:
        return HeaderResult(problem=f"the header can't be read ({type(error).__name__})")


def _read(file: BinaryIO, syntax: UID | None) -> HeaderResult:
    stop = _AtPixels()
    if syntax is None:
        whole = read_partial(file, stop_when=stop, defer_size=_DEFERRED_BYTES)
        syntax = UID(str(whole.file_meta.get("TransferSyntaxUID", "")))
        parts: tuple[Dataset, ...] = (whole.file_meta, whole)
    else:
        implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
        parts = (read_dataset(file, implicit, little, stop_when=stop),)
    walk, ds = _Walk(file), parts[-1]
    rows = [row for part in parts for row in walk.rows(part)] + list(stop.rows())
    return HeaderResult(
        elements=tuple(rows),
        complete=walk.complete,
        transfer_syntax_uid=str(syntax),
        sop_class_uid=_text_or_nothing(ds, "SOPClassUID"),
        frames=_frames(ds),
        has_pixels=bool(stop.found),
        anonymized_by=_scripts(ds),
    )


class _AtPixels:
    """Ends the reading at the pixel data and keeps what is said of them."""

    def __init__(self) -> None:
        self.found: tuple[int, str, int] | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) not in _PIXELS:
            return False
        self.found = (int(tag), vr or "OW", length)
        return True

    def rows(self) -> Iterator[ElementRow]:
        if self.found is None:
            return
        tag, vr, length = self.found
        defined = length != _UNDEFINED
        words = f"{length:,} bytes" if defined else "compressed frames"
        yield ElementRow(
            *(0, 0, element_number(tag), tag, vr, keyword_for_tag(tag), words),
            length=length if defined else -1,
            identifying=False,
            private=False,
            cut=True,
        )


class _Walk:
    """Goes through a data set down to its items, and gives up in good time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_ROWS
        self.complete = True

    def rows(
        self, ds: Dataset, depth: int = 0, item: int = 0, above: str = "", private: bool = False
    ) -> Iterator[ElementRow]:
        """Yield the elements of a data set in order, those of items behind their sequence."""
        for tag in sorted(ds.keys()):
            if not self._left:
                self.complete = False
                return
            self._left -= 1
            path = f"{above}{element_number(int(tag))}"
            row, items = self._row(ds, tag, (depth, item, path), private)
            yield row
            if items and depth >= DEEPEST:
                self.complete = False
                continue
            for number, inner in enumerate(items, start=1):
                yield from self.rows(inner, depth + 1, number, f"{path}[{number}].", row.private)

    def _row(
        self, ds: Dataset, tag: BaseTag, where: tuple[int, int, str], in_private: bool
    ) -> tuple[ElementRow, Sequence[Dataset]]:
        raw = ds.get_item(tag, keep_deferred=True)
        found = self._content(ds, tag, raw)
        private = in_private or is_private(int(tag))
        hidden = is_identifying(int(tag), found.vr) or (in_private and found.vr != "SQ")
        row = ElementRow(
            *where,
            tag=int(tag),
            vr=found.vr,
            keyword="" if private else keyword_for_tag(tag),
            value=_clean(found.text[:LONGEST_TEXT]),
            length=_length(raw),
            identifying=hidden,
            private=private,
            cut=found.cut or len(found.text) > LONGEST_TEXT,
            first_bytes=b"" if found.vr == "SQ" else self._first_bytes(raw),
        )
        return row, found.items

    def _first_bytes(self, raw: DataElement | RawDataElement) -> bytes:
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            self._file.seek(raw.value_tell)
            return self._file.read(min(_RAW_BYTES, raw.length))
        return raw.value[:_RAW_BYTES] if isinstance(raw.value, bytes) else b""

    def _content(self, ds: Dataset, tag: BaseTag, raw: DataElement | RawDataElement) -> _Content:
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            self._file.seek(raw.value_tell)
            first = self._file.read(_FIRST_BYTES)
            return _Content(raw.VR or "UN", _hexadecimal(first, raw.length), cut=True)
        try:
            element = ds[tag]
            if element.VR == "SQ":
                items = tuple(element.value or ())
                words = f"{len(items)} item" + ("" if len(items) == 1 else "s")
                return _Content("SQ", words, items=items)
            return _text(element)
        except UNREADABLE:
            value = (raw.value if isinstance(raw, RawDataElement) else b"") or b""
            return _Content(raw.VR or "UN", _hexadecimal(value, len(value)), cut=True)


class _Content(NamedTuple):
    """What an element says."""

    vr: str
    text: str
    cut: bool = False
    items: tuple[Dataset, ...] = ()


def _length(raw: DataElement | RawDataElement) -> int:
    if isinstance(raw, RawDataElement):
        return -1 if raw.length == _UNDEFINED else raw.length
    if raw.is_undefined_length or raw.VR == "SQ":
        return -1
    return len(raw.value) if isinstance(raw.value, bytes | str) else 0


def _text(element: DataElement) -> _Content:
    vr, value = element.VR, element.value
    if isinstance(value, bytes):
        return _Content(vr, _hexadecimal(value, len(value)), cut=len(value) > _FIRST_BYTES)
    if isinstance(value, MultiValue | list):
        text = "\\".join(map(str, value[:_MOST_VALUES]))
        return _Content(vr, text, cut=len(value) > _MOST_VALUES)
    text = "" if value is None else str(value)
    name = UID(text).name if vr == "UI" else text
    return _Content(vr, text if name == text else f"{text} {name}")


def _hexadecimal(value: bytes, length: int) -> str:
    more = f" … {length:,} bytes" if length > _FIRST_BYTES else ""
    return value[:_FIRST_BYTES].hex(" ").upper() + more


def _clean(text: str) -> str:
    """Return a text that every protocol can carry."""
    return text.encode("utf-8", "replace").decode()


def _text_or_nothing(ds: Dataset, keyword: str) -> str:
    try:
        return _clean(str(ds.get(keyword, "") or ""))
    except UNREADABLE:
        return ""


def _frames(ds: Dataset) -> int:
    text = _text_or_nothing(ds, "NumberOfFrames")
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _scripts(ds: Dataset) -> tuple[str, ...]:
    try:
        return recorded(ds)
    except Exception:  # what a hostile header says of itself must not hide the rest of it
        return ()
