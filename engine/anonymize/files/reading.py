"""Reads a DICOM file; long values stay in the file (PS3.10)."""

from __future__ import annotations

import os
import struct
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
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from engine.anonymize.datasets.pixels import PIXEL_ELEMENTS
from engine.anonymize.datasets.reading import UNREADABLE, text_of
from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.anonymize.files.values import FilePart, kept_element
from engine.anonymize.files.walk import MAX_IN_MEMORY_BYTES, NotRegular, long_value, read_regular

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_INFLATED_BYTES: Final = 512 * 1024 * 1024
_AGAIN: Final = "send or copy it again"
_UNDEFINED: Final = 0xFFFFFFFF
_MEDIA_STORAGE_SOP_CLASS: Final = BaseTag(0x00020002)
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_META_GROUP: Final = 2
_FIRST_DELIMITER: Final = 0xFFFE0000
_SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
_ITEM: Final = 0xFFFEE000


def read_object(file: BinaryIO, *, deflated: bool = False) -> Dataset:
    """Read an object; the file must stay open as long as its `FilePart` values are used.

    Args:
        file: an open DICOM file, at its beginning.
        deflated: whether to read deflated objects too, wholly into memory.

    Raises:
        UneditableFile: if it is no DICOM file, is cut short, or can't be read.
    """
    try:
        with suppress(NotRegular):
            return read_regular(file)
        return _read(file, deflated=deflated)
    except InvalidDicomError as error:
        raise UneditableFile("it is no DICOM file", "leave it out") from error
    except (StatementFailure, *UNREADABLE, zlib.error) as error:
        detail = f"it can't be read as DICOM ({type(error).__name__})"
        raise UneditableFile(detail, "check it with dcmdump") from error


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
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
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
        self._order = ">" if big_endian else "<"
        self._size = os.fstat(file.fileno()).st_size

    def read(self) -> Dataset:
        """Return the data set, with the elements behind the pixel data as well."""
        ds = self._part(behind_pixels=False)
        self._implicit = bool(ds.original_encoding[0])
        while self._file.tell() < self._size:
            pixels = self._pixel_data()
            ds[pixels.tag] = pixels
            ds.update(self._part(behind_pixels=True))
        return ds

    def _part(self, *, behind_pixels: bool) -> Dataset:
        start = self._file.tell()
        little = self._order == "<"
        ds = read_dataset(
            self._file,
            self._implicit,
            little,
            at_top_level=not behind_pixels,
            stop_when=lambda tag, _vr, _length: tag in PIXEL_ELEMENTS,
            defer_size=MAX_IN_MEMORY_BYTES,
        )
        # pydicom swallows the end of the file inside an element, and all elements with it.
        if not ds and self._file.tell() > start:
            raise UneditableFile("it ends inside an element", _AGAIN)
        for tag in list(ds.keys()):
            if tag >= _FIRST_DELIMITER:
                raise UneditableFile(f"{tag} stands outside a sequence", "check it with dcmdump")
            element = kept_element(ds, tag)
            if isinstance(element, RawDataElement) and element.value is None and element.length:
                ds[tag] = long_value(ds, element, self._binary)
        return ds

    def _pixel_data(self) -> DataElement:
        """Find the end of the pixel data without reading it."""
        start = self._file.tell()
        tag, vr, length, head = self._head()
        if tag not in PIXEL_ELEMENTS:
            raise UneditableFile(f"{tag} stands outside a sequence", "check it with dcmdump")
        undefined = length == _UNDEFINED
        end = self._end_of_items() if undefined else start + head + length
        if end > self._size:
            raise UneditableFile(f"it ends inside {tag}", _AGAIN)
        self._file.seek(end)
        value = FilePart(self._binary, start, start + head, end, undefined_length=undefined)
        return DataElement(tag, vr, value, is_undefined_length=undefined, already_converted=True)

    def _head(self) -> tuple[BaseTag, str, int, int]:
        """Read tag, VR, length of the value and length of all that."""
        group, element, vr, length = struct.unpack(f"{self._order}HH2sH", self._file.read(8))
        tag = BaseTag(group << 16 | element)
        if self._implicit:
            (length,) = struct.unpack(
                f"{self._order}I", vr + struct.pack(f"{self._order}H", length)
            )
            return tag, _PIXEL_VRS.get(tag, "OW"), length, 8
        name = vr.decode("ascii", "replace")
        if name not in EXPLICIT_VR_LENGTH_32:
            return tag, name, length, 8
        (length,) = struct.unpack(f"{self._order}I", self._file.read(4))
        return tag, name, length, 12

    def _end_of_items(self) -> int:
        """Step over the fragments of encapsulated pixel data (PS3.5 A.4)."""
        while True:
            group, element, length = struct.unpack(f"{self._order}HHI", self._file.read(8))
            tag = group << 16 | element
            if tag == _SEQUENCE_DELIMITER:
                return self._file.tell()
            if tag != _ITEM or self._file.tell() + length > self._size:
                raise UneditableFile("its encapsulated pixel data are broken", "send it again")
            self._file.seek(length, os.SEEK_CUR)


_PIXEL_VRS: Final = dict(zip(PIXEL_ELEMENTS, ("OF", "OD", "OW"), strict=True))
