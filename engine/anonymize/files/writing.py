"""Writes an edited object to a DICOM file; the kernel copies long values (PS3.10)."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from engine.anonymize.datasets.decoding import decode, decode_all
from engine.anonymize.datasets.reading import UNREADABLE, text_of, vr_of
from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.anonymize.files.source import ReadObject
from engine.anonymize.files.splicing import Range, encode_simple, pieces
from engine.anonymize.files.values import kept_element, part_of

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset

    from engine.anonymize.files.source import SourceFile
    from engine.anonymize.files.values import FilePart

_PREAMBLE: Final = bytes(128) + b"DICM"
"""The original's preamble may hold anything, so it is not taken over."""
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_CHARACTER_SET: Final = BaseTag(0x00080005)
_GROUP_LENGTH: Final = BaseTag(0x00020000)
_META_LENGTH: Final = struct.pack("<HH2sH", 2, 0, b"UL", 4)
_NOT_BETWEEN_THESE_FILES: Final = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
)


def transfer_syntax_of(ds: Dataset) -> UID:
    """Return the transfer syntax that the file meta information names."""
    return UID(text_of(ds.file_meta, _TRANSFER_SYNTAX) or "")


def write_object(ds: Dataset, target: int, *, read_as: UID) -> None:
    """Write an object to an open file, from where that stands.

    Args:
        ds: the object, as `read_object` made it and scripts changed it.
        target: the descriptor of the file.
        read_as: the transfer syntax that the object was read in.

    Raises:
        UneditableFile: if a value can't be encoded.
        OSError: if the file can't be written.
    """
    syntax = transfer_syntax_of(ds)
    output = _Output(target)
    output.buffer.write(_PREAMBLE)
    try:
        if isinstance(ds, ReadObject) and ds.source is not None and syntax == read_as:
            _write_spliced(ds, ds.source, output)
        else:
            _write_meta(ds, output.buffer)
            _write_data_set(ds, output, syntax, read_as)
    except OSError:
        raise
    except (StatementFailure, *UNREADABLE) as error:
        detail = f"the edited object can't be encoded ({type(error).__name__})"
        raise UneditableFile(detail, "see what the script writes to this element") from error
    output.flush()


def _write_data_set(ds: Dataset, output: _Output, syntax: UID, read_as: UID) -> None:
    if syntax == DeflatedExplicitVRLittleEndian:
        _write_deflated(ds, output.buffer)
    elif syntax == read_as:
        _write_as_read(ds, output)
    else:
        _write_converted(ds, output.buffer, syntax)


class _Output:
    """Encoded elements on their way to a file, in between with parts of another file."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.buffer = DicomBytesIO()
        self.buffer.is_implicit_VR, self.buffer.is_little_endian = False, True

    def splice(self, part: FilePart) -> None:
        """Append an element as it stands in its file."""
        self.copy(part.file, part.element_start, part.end)

    def copy(self, file: BinaryIO, start: int, end: int) -> None:
        """Append bytes of another file."""
        self.flush()
        _copy(file.fileno(), self.target, start, end)

    def flush(self) -> None:
        """Write what is encoded so far."""
        left = memoryview(self.buffer.getvalue())
        while left:
            left = left[os.write(self.target, left) :]
        implicit, little = self.buffer.is_implicit_VR, self.buffer.is_little_endian
        self.buffer = DicomBytesIO()
        self.buffer.is_implicit_VR, self.buffer.is_little_endian = implicit, little


def _copy(source: int, target: int, start: int, end: int) -> None:
    """Copy bytes from one file to another inside the kernel."""
    offset, move = start, _by_range
    while offset < end:
        try:
            done = move(source, target, offset, end - offset)
        except OSError as error:
            if move is _by_sending or error.errno not in _NOT_BETWEEN_THESE_FILES:
                raise
            move = _by_sending
            continue
        if done == 0:
            raise UneditableFile("the file became shorter while it was read", "try it again")
        offset += done


def _by_range(source: int, target: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset)


def _by_sending(source: int, target: int, offset: int, count: int) -> int:
    return os.sendfile(target, source, offset, count)


def _write_meta(ds: Dataset, buffer: DicomBytesIO) -> None:
    ds.file_meta[_GROUP_LENGTH] = DataElement(_GROUP_LENGTH, "UL", 0)
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_file_meta_info(buffer, ds.file_meta, enforce_standard=False)


def _write_spliced(ds: Dataset, source: SourceFile, output: _Output) -> None:
    """Copy what was not changed from the file that the object was read from."""
    meta = _encoded_meta(ds.file_meta, source)
    output.buffer.write(_META_LENGTH + struct.pack("<I", len(meta)) + meta)
    implicit, little = ds.original_encoding
    output.buffer.is_implicit_VR, output.buffer.is_little_endian = bool(implicit), bool(little)
    _write_edited(ds, source, output)


def _encoded_meta(meta: Dataset, source: SourceFile) -> bytes:
    """Return the file meta information but for its length, which must stand before it."""
    output = _Output(target=-1)
    meta.pop(_GROUP_LENGTH, None)
    for piece in pieces(dict(meta.items()), source.meta, implicit=False):
        if isinstance(piece, Range):
            output.buffer.write(source.read(*piece))
        else:
            _encode(meta, piece, output)
    return bytes(output.buffer.getvalue())


def _write_edited(ds: Dataset, source: SourceFile, output: _Output) -> None:
    now = dict(ds.items())
    for piece in pieces(now, source.data_set, implicit=output.buffer.is_implicit_VR):
        if isinstance(piece, Range):
            _append(piece, source, output)
        else:
            _encode(ds, piece, output)


def _append(piece: Range, source: SourceFile, output: _Output) -> None:
    """Append a part of the file, from memory as far as it was read at its beginning."""
    there = min(piece.end, len(source.beginning))
    if piece.start < there:
        output.buffer.write(source.beginning[piece.start : there])
    if there < piece.end:
        output.copy(source.file, max(piece.start, there), piece.end)


def _encode(ds: Dataset, tag: BaseTag, output: _Output) -> None:
    part = part_of(kept_element(ds, tag))
    if part is not None:
        output.splice(part)
    elif tag.element or tag.group <= 6:  # PS3.5 7.2: group lengths are retired
        implicit, little = output.buffer.is_implicit_VR, output.buffer.is_little_endian
        known = _as_written(ds, tag, implicit=implicit)
        plain = encode_simple(known, implicit=implicit, little=little)
        if plain is None:
            names = (text_of(ds, _CHARACTER_SET) or default_encoding).split("\\")
            write_data_element(output.buffer, known, names)
        else:
            output.buffer.write(plain)


def _write_as_read(ds: Dataset, output: _Output) -> None:
    """Write elements that were not changed as they were encoded."""
    implicit, little = ds.original_encoding
    output.buffer.is_implicit_VR, output.buffer.is_little_endian = bool(implicit), bool(little)
    for tag in sorted(ds.keys()):
        _encode(ds, tag, output)


def _as_written(ds: Dataset, tag: BaseTag, *, implicit: bool) -> DataElement | RawDataElement:
    element = kept_element(ds, tag)
    if isinstance(element, RawDataElement) and (element.VR or implicit):
        # pydicom reads an empty value as None, which it can't write.
        return element if element.value is not None else element._replace(value=b"")
    return decode(ds, tag)


def _write_converted(ds: Dataset, buffer: DicomBytesIO, syntax: UID) -> None:
    """Encode everything anew, for the transfer syntax changed with the pixel data."""
    for tag in sorted(ds.keys()):
        part = part_of(kept_element(ds, tag))
        if part is not None:
            ds[tag] = DataElement(tag, vr_of(ds, tag), part.load(), already_converted=True)
    decode_all(ds)
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, ds)


def _write_deflated(ds: Dataset, buffer: DicomBytesIO) -> None:
    """PS3.5 A.5: the data set is deflated as a whole."""
    content = DicomBytesIO()
    content.is_implicit_VR, content.is_little_endian = False, True
    write_dataset(content, ds)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(content.getvalue()) + deflater.flush()
    buffer.write(deflated + b"\0" * (len(deflated) % 2))
