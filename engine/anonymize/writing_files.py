"""From an edited object to a DICOM file; long values are copied inside the kernel (PS3.10)."""

from __future__ import annotations

import errno
import os
import zlib
from typing import TYPE_CHECKING, Final

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from engine.anonymize.decoding import decode, decode_all
from engine.anonymize.errors import UneditableFile
from engine.anonymize.file_part import kept_element, part_of
from engine.anonymize.reading import UNREADABLE, text_of, vr_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from engine.anonymize.file_part import FilePart

_PREAMBLE: Final = bytes(128) + b"DICM"
"""The original's preamble may hold anything, so it is not taken over."""
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_CHARACTER_SET: Final = BaseTag(0x00080005)
_GROUP_LENGTH: Final = BaseTag(0x00020000)
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
        _write_meta(ds, output.buffer)
        if syntax == DeflatedExplicitVRLittleEndian:
            _write_deflated(ds, output.buffer)
        elif syntax == read_as:
            _write_as_read(ds, output)
        else:
            _write_converted(ds, output.buffer, syntax)
    except OSError:
        raise
    except UNREADABLE as error:
        detail = f"the edited object can't be encoded ({type(error).__name__})"
        raise UneditableFile(detail, "see what the script writes to this element") from error
    output.flush()


class _Output:
    """Encoded elements on their way to a file, in between with parts of another file."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.buffer = DicomBytesIO()

    def splice(self, part: FilePart) -> None:
        """Append an element as it stands in its file."""
        self.flush()
        _copy(part, self._target)

    def flush(self) -> None:
        """Write what is encoded so far."""
        left = memoryview(self.buffer.getvalue())
        while left:
            left = left[os.write(self._target, left) :]
        implicit, little = self.buffer.is_implicit_VR, self.buffer.is_little_endian
        self.buffer = DicomBytesIO()
        self.buffer.is_implicit_VR, self.buffer.is_little_endian = implicit, little


def _copy(part: FilePart, target: int) -> None:
    """Copy an element from one file to another inside the kernel."""
    offset = part.element_start
    move = _by_range
    while offset < part.end:
        try:
            done = move(part.file.fileno(), target, offset, part.end - offset)
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


def _write_as_read(ds: Dataset, output: _Output) -> None:
    """Write elements that nobody touched as they were encoded."""
    implicit, little = ds.original_encoding
    output.buffer.is_implicit_VR, output.buffer.is_little_endian = bool(implicit), bool(little)
    encodings = ds[_CHARACTER_SET].value if _CHARACTER_SET in ds else None
    for tag in sorted(ds.keys()):
        part = part_of(kept_element(ds, tag))
        if part is not None:
            output.splice(part)
        elif tag.element or tag.group <= 6:  # PS3.5 7.2: group lengths are retired
            known = _as_written(ds, tag, implicit=bool(implicit))
            write_data_element(output.buffer, known, encodings or default_encoding)


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
