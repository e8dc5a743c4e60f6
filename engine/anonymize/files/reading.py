"""Reads a DICOM file; long values stay in the file (PS3.10)."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from engine.anonymize.datasets.decoding import MAY_HAVE_ITEMS, encodings_of
from engine.anonymize.datasets.reading import BYTES, FLOATS, UNREADABLE, text_of, vr_of
from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.anonymize.files.values import FilePart, ReadObject, SourceFile, kept_element
from engine.dicom.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM_STARTS,
    LAST_TAG,
    PIXEL_VRS,
    UNDEFINED_LENGTH,
    head_bytes,
)
from engine.dicom.part10 import read_file_meta, uid_in
from engine.dicom.raw_elements import MAX_IN_MEMORY_BYTES, RawWalk, TooManyElements
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from typing import BinaryIO

    from engine.dicom.elements import Encoding
    from engine.dicom.raw_elements import Elements, Head

MAX_INFLATED_BYTES: Final = 512 * 1024 * 1024
_AGAIN: Final = "send or copy it again"
_MEDIA_STORAGE_SOP_CLASS: Final = BaseTag(0x00020002)
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_META_GROUP: Final = 2
_STAY: Final = BYTES | FLOATS.keys() | {"US", "SS", "UL", "SL", "UV", "SV", "AT", "US or OW"}
"""The VRs of long values that stay in the file: those that are no text and no sequences."""


def read_object(file: BinaryIO, *, deflated: bool = False) -> Dataset:
    """Read an object; the file must stay open as long as its `FilePart` values are used.

    Args:
        file: an open DICOM file, at its beginning.
        deflated: whether to read deflated objects too, wholly into memory.

    Raises:
        UneditableFile: if it is no DICOM file, is cut short, or can't be read.
    """
    try:
        with suppress(UnreadableObject):
            return read_regular(file)
        # The walk has read by `pread`: the file stands at its beginning as before.
        return _read(file, deflated=deflated)
    except InvalidDicomError as error:
        raise UneditableFile("it is no DICOM file", "leave it out") from error
    except (StatementFailure, *UNREADABLE, zlib.error) as error:
        detail = f"it can't be read as DICOM ({type(error).__name__})"
        raise UneditableFile(detail, "check it with dcmdump") from error


def read_regular(file: BinaryIO) -> ReadObject:
    """Read an object by one walk; the file must stay open as long as the object is used.

    Raises:
        UnreadableObject: if pydicom must read it, perhaps only to say what is wrong with it.
        UneditableFile: if it has too many elements.
        OSError: if the file can't be read.
    """
    try:
        return _walked(RawWalk.of_file(file), file)
    except TooManyElements as error:
        raise UneditableFile(f"it has {error}", "leave it out") from error


def _walked(walk: RawWalk, file: BinaryIO) -> ReadObject:
    beginning, meta = walk.window, read_file_meta(walk)
    uid = uid_in(meta, _TRANSFER_SYNTAX)
    if not uid or uid_in(meta, _MEDIA_STORAGE_SOP_CLASS) == MediaStorageDirectoryStorage:
        raise UnreadableObject("it is no object")
    encoding = walk.encoding(uid)
    elements: Elements = {}
    while (pixels := walk.take(elements, encoding)) is not None:
        # What stands behind pixel data may identify as well, and is edited too.
        elements[pixels.tag] = _left(file, pixels, walk.skip(pixels, encoding))
    # Copies: what was read stays as it was, so that the writer sees what has changed.
    ds = ReadObject(elements.copy())
    implicit, little = not encoding.explicit, not encoding.big_endian
    ds.set_original_encoding(implicit, little, encodings_of(elements))
    # After the walk, as a VR may depend on other elements of the data set.
    for raw in walk.long:
        elements[raw.tag] = ds[raw.tag] = _long_value(ds, raw, file)
    ds.file_meta = FileMetaDataset(meta.copy())
    ds.source = SourceFile(file, beginning, meta, elements)
    return ds


def _left(file: BinaryIO, head: Head, end: int) -> DataElement:
    """Return an element with a part of the file for its value."""
    undefined = head.length == UNDEFINED_LENGTH
    part = FilePart(file, head.start, head.value_start, end, undefined_length=undefined)
    vr = head.vr or PIXEL_VRS[head.tag]
    return DataElement(head.tag, vr, part, is_undefined_length=undefined, already_converted=True)


def _long_value(
    ds: Dataset, element: RawDataElement, file: BinaryIO
) -> RawDataElement | DataElement:
    """Return an element whose value was not read: with a part of the file for it, or its value.

    Args:
        ds: the data set that it is in.
        element: the element, without its value.
        file: the open file that it stands in.

    Raises:
        UneditableFile: if the file ends before the value does.
    """
    start, end = element.value_tell, element.value_tell + element.length
    if end > os.fstat(file.fileno()).st_size:
        raise UneditableFile(f"it ends inside {element.tag}", _AGAIN)
    vr = vr_of(ds, element.tag)
    looks_nested = os.pread(file.fileno(), 4, start) in ITEM_STARTS
    if vr not in _STAY or (looks_nested and element.VR in MAY_HAVE_ITEMS):
        return element._replace(value=os.pread(file.fileno(), element.length, start))
    part = FilePart(file, start - head_bytes(element.VR), start, end, undefined_length=False)
    return DataElement(element.tag, vr, part, already_converted=True)


def _read(file: BinaryIO, *, deflated: bool) -> Dataset:
    read_preamble(file, force=False)
    meta = read_dataset(_whole_reads(file), False, True, stop_when=_is_behind_meta)
    uid = UID(text_of(meta, _TRANSFER_SYNTAX) or "")
    if text_of(meta, _MEDIA_STORAGE_SOP_CLASS) == MediaStorageDirectoryStorage:
        raise UneditableFile("it is a DICOMDIR, whose offsets would get wrong", "make a new one")
    if not uid:
        raise UneditableFile("its file meta information names no transfer syntax", "leave it out")
    if uid == DeflatedExplicitVRLittleEndian:
        ds = _read_deflated(file, allowed=deflated)
    else:
        known = uid.is_transfer_syntax
        implicit = known and uid.is_implicit_VR
        ds = _Reader(file, implicit, known and not uid.is_little_endian).read()
    ds.file_meta = FileMetaDataset(meta)
    return ds


def _is_behind_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _META_GROUP


def _read_deflated(file: BinaryIO, *, allowed: bool) -> Dataset:
    if not allowed:
        raise UneditableFile("its data set is deflated", "inflate it with dcmconv first")
    # Bounded: a megabyte can inflate to a gigabyte.
    # PS3.5 A.5: without the header of zlib (RFC 1951).
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    # Bounded: a few kilobytes can inflate to gigabytes.
    content = inflater.decompress(file.read(), MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise UneditableFile(f"it inflates to more than {MAX_INFLATED_BYTES:,} bytes", "leave it")
    if not inflater.eof:
        raise UneditableFile("its deflated data set ends too early", _AGAIN)
    return read_dataset(_whole_reads(BytesIO(content)), False, True)


class _WholeReads:
    """A file that ends only between reads: pydicom takes what it gets for an element's value."""

    def __init__(self, file: BinaryIO) -> None:
        self._read = file.read
        self.tell = file.tell
        self.seek = file.seek
        self.fileno = file.fileno

    def read(self, size: int) -> bytes:
        """Return exactly that many bytes, or none at the end."""
        content = self._read(size)
        if 0 < len(content) < size:
            raise UneditableFile("it ends inside an element", _AGAIN)
        return content


def _whole_reads(file: BinaryIO) -> BinaryIO:
    """Return a file as pydicom needs it, which is less than its types ask for."""
    return cast("BinaryIO", _WholeReads(file))


class _Reader:
    """Reads the elements around those that stay in the file."""

    def __init__(self, file: BinaryIO, implicit: bool, big_endian: bool) -> None:
        self._binary = file
        self._file = _whole_reads(file)
        self._implicit = implicit
        self._big_endian = big_endian
        self._size = os.fstat(file.fileno()).st_size

    def read(self) -> Dataset:
        """Return the data set, with the elements behind the pixel data as well."""
        ds = self._part(behind_pixels=False)
        # pydicom may have found that the transfer syntax is wrong about it.
        self._implicit = bool(ds.original_encoding[0])
        while self._file.tell() < self._size:
            pixels = self._pixel_data(self._encoding)
            ds[pixels.tag] = pixels
            ds.update(self._part(behind_pixels=True))
        return ds

    def _part(self, *, behind_pixels: bool) -> Dataset:
        start = self._file.tell()
        ds = read_dataset(
            self._file,
            self._implicit,
            not self._big_endian,
            at_top_level=not behind_pixels,
            stop_when=lambda tag, _vr, _length: tag in PIXEL_VRS,
            defer_size=MAX_IN_MEMORY_BYTES,
        )
        # pydicom swallows the end of the file inside an element, and all elements with it.
        if not ds and self._file.tell() > start:
            raise UneditableFile("it ends inside an element", _AGAIN)
        for tag in list(ds.keys()):
            if tag > LAST_TAG:
                raise UneditableFile(f"{tag} stands outside a sequence", "check it with dcmdump")
            element = kept_element(ds, tag)
            if isinstance(element, RawDataElement) and element.value is None and element.length:
                ds[tag] = _long_value(ds, element, self._binary)
        return ds

    def _pixel_data(self, encoding: Encoding) -> DataElement:
        """Find the end of the pixel data without reading it."""
        walk = RawWalk.of_file(self._binary)
        walk.begin(self._file.tell())
        try:
            head = walk.head(encoding)
            if head.tag not in PIXEL_VRS:
                detail = f"{head.tag} stands outside a sequence"
                raise UneditableFile(detail, "check it with dcmdump")
            end = walk.skip(head, encoding)
        except UnreadableObject as error:
            raise UneditableFile(error.detail, _AGAIN) from error
        self._file.seek(end)
        return _left(self._binary, head, end)

    @property
    def _encoding(self) -> Encoding:
        if self._implicit:
            return IMPLICIT_LITTLE
        return EXPLICIT_BIG if self._big_endian else EXPLICIT_LITTLE
