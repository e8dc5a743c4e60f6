"""From a DICOM file, or the beginning of a data set, to its elements as rows of bounded size."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from engine.anonymize.datasets.decoding import UnreadableItems, decoded, encodings_of, is_declared
from engine.anonymize.datasets.reading import UNREADABLE
from engine.anonymize.record import recorded
from engine.api.objects import ElementRow
from engine.dicom.elements import PIXEL_VRS, UNDEFINED_LENGTH
from engine.dicom.part10 import read_file_meta, uid_in
from engine.dicom.raw_elements import MAX_IN_MEMORY_BYTES, RawWalk
from engine.errors import UnreadableObject
from engine.inspection.job import HeaderJob, HeaderResult
from engine.model.identity import element_number, is_identifying, is_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from engine.anonymize.files.values import Kept
    from engine.dicom.raw_elements import Elements

MOST_ROWS: Final = 5_000
DEEPEST: Final = 12
LONGEST_TEXT: Final = 256
_MOST_VALUES: Final = 64
_FIRST_BYTES: Final = 16
_RAW_BYTES: Final = 32
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)


def read(job: HeaderJob) -> HeaderResult:
    """Return the elements of an object; why it can't be read is in the result."""
    try:
        if job.path:
            with Path(job.path).open("rb") as file:
                return _read(file, RawWalk.of_file(file), "")
        return _read(BytesIO(job.data), RawWalk.of_bytes(job.data), job.transfer_syntax_uid)
    except (InvalidDicomError, MemoryError, *UNREADABLE) as error:
        return HeaderResult(problem=f"the header can't be read ({type(error).__name__})")


def _read(file: BinaryIO, walk: RawWalk, syntax: str) -> HeaderResult:
    try:
        header = _walked(walk, syntax)
    except UnreadableObject:
        # Damaged files are shown too, as far as pydicom can read them.
        header = _read_by_pydicom(file, UID(syntax) if syntax else None)
    rows, ds = _Rows(file), header.parts[-1]
    elements = [row for part in header.parts for row in rows.of(part)]
    if header.pixels is not None:
        elements.append(_pixel_row(header.pixels))
    return HeaderResult(
        elements=tuple(elements),
        complete=rows.complete,
        transfer_syntax_uid=header.transfer_syntax_uid,
        sop_class_uid=_text_or_nothing(ds, "SOPClassUID"),
        frames=_frames(ds),
        has_pixels=header.pixels is not None,
        anonymized_by=_scripts(ds),
    )


class _Pixels(NamedTuple):
    """The head of the pixel data, at which the reading ends."""

    tag: int
    vr: str
    length: int


class _Header(NamedTuple):
    """What stands before the pixel data, undecoded."""

    parts: tuple[Dataset, ...]
    """File meta, if it is a file, and data set."""
    transfer_syntax_uid: str
    pixels: _Pixels | None


def _walked(walk: RawWalk, syntax: str) -> _Header:
    """Read a file, or a data set in a transfer syntax, that is encoded by the rules.

    Raises:
        UnreadableObject: if pydicom must read it, perhaps only to say what is wrong with it.
    """
    parts: tuple[Dataset, ...] = ()
    if not syntax:
        meta = read_file_meta(walk)
        syntax, parts = uid_in(meta, _TRANSFER_SYNTAX), (FileMetaDataset(meta),)
        if not syntax:
            raise UnreadableObject("the file meta names no transfer syntax")
    encoding = walk.encoding(syntax)
    elements: Elements = {}
    head = walk.take(elements, encoding)
    ds = Dataset(elements)
    implicit, little = not encoding.explicit, not encoding.big_endian
    ds.set_original_encoding(implicit, little, encodings_of(elements))
    pixels = None if head is None else _Pixels(head.number, head.vr or "OW", head.length)
    return _Header((*parts, ds), syntax, pixels)


def _read_by_pydicom(file: BinaryIO, syntax: UID | None) -> _Header:
    """Read what is not encoded by the rules, as far as it goes."""
    file.seek(0)
    pixels: list[_Pixels] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag not in PIXEL_VRS:
            return False
        pixels.append(_Pixels(int(tag), vr or "OW", length))
        return True

    if syntax is None:
        whole = read_partial(file, stop_when=at_pixels, defer_size=MAX_IN_MEMORY_BYTES)
        syntax = UID(str(whole.file_meta.get("TransferSyntaxUID", "")))
        parts: tuple[Dataset, ...] = (whole.file_meta, whole)
    else:
        implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
        parts = (read_dataset(file, implicit, little, stop_when=at_pixels),)
    # The first time pydicom may only be looking whether there are VRs.
    return _Header(parts, str(syntax), pixels[-1] if pixels else None)


def _pixel_row(pixels: _Pixels) -> ElementRow:
    tag, vr, length = pixels
    defined = length != UNDEFINED_LENGTH
    words = f"{length:,} bytes" if defined else "compressed frames"
    return ElementRow(
        *(0, 0, element_number(tag), tag, vr, keyword_for_tag(tag), words),
        length=length if defined else -1,
        identifying=False,
        private=False,
        cut=True,
    )


class _Rows:
    """The rows of a data set down to its items, up to a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_ROWS
        self.complete = True

    def of(
        self, ds: Dataset, depth: int = 0, item: int = 0, above: str = "", private: bool = False
    ) -> Iterator[ElementRow]:
        """Yield the elements of a data set in order, those of items behind their sequence."""
        # As they were read, before a look at one decodes others that it depends on.
        for tag, raw in sorted(ds.items(), key=lambda each: int(each[0])):
            if not self._left:  # a header may have more elements than anybody reads
                self.complete = False
                return
            self._left -= 1
            path = f"{above}{element_number(int(tag))}"
            row, items = self._row(ds, raw, (depth, item, path), private)
            yield row
            # The walk calls itself for each level.
            if items and depth >= DEEPEST:
                self.complete = False
                continue
            for number, inner in enumerate(items, start=1):
                yield from self.of(inner, depth + 1, number, f"{path}[{number}].", row.private)

    def _row(
        self, ds: Dataset, raw: Kept, where: tuple[int, int, str], in_private: bool
    ) -> tuple[ElementRow, tuple[Dataset, ...]]:
        tag = raw.tag
        found = self._content(ds, raw)
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

    def _first_bytes(self, raw: Kept) -> bytes:
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            # A long value stays in the file; only its beginning is shown.
            self._file.seek(raw.value_tell)
            return self._file.read(min(_RAW_BYTES, raw.length))
        return raw.value[:_RAW_BYTES] if isinstance(raw.value, bytes) else b""

    def _content(self, ds: Dataset, raw: Kept) -> _Content:
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            self._file.seek(raw.value_tell)
            first = self._file.read(_FIRST_BYTES)
            return _Content(raw.VR or "UN", _hexadecimal(first, raw.length), cut=True)
        try:
            walked = _walked_items(ds, raw)
            if walked is not None:
                # pydicom hands on what items must know of the data set around them.
                ds[raw.tag] = DataElement(raw.tag, "SQ", Sequence(walked), already_converted=True)
            element = ds[raw.tag]
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


def _walked_items(ds: Dataset, raw: Kept) -> list[Dataset] | None:
    """Return the items of a sequence; None if it is no sequence, or pydicom must read it."""
    if not isinstance(raw, RawDataElement) or not _is_sequence(raw):
        return None
    names = ds.original_character_set
    try:
        found = decoded(raw, [names] if isinstance(names, str) else list(names))
    except UnreadableItems:
        return None
    return None if found.odd else found.items


def _is_sequence(raw: RawDataElement) -> bool:
    return raw.VR == "SQ" or _was_of_undefined_length(raw) or (raw.VR is None and is_declared(raw))


def _was_of_undefined_length(raw: RawDataElement) -> bool:
    """Tell whether an element is one of unknown VR in an item that had no length: a sequence."""
    return raw.VR == "UN" and raw.is_implicit_VR


def _length(raw: Kept) -> int:
    if isinstance(raw, RawDataElement):
        if raw.length == UNDEFINED_LENGTH or _was_of_undefined_length(raw):
            return -1
        return raw.length
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
