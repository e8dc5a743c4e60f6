"""DICOM files as they lie about: where the data set begins, and how it is encoded (PS3.10 7.1)."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from stat import S_ISREG
from struct import error, unpack_from
from typing import TYPE_CHECKING

from engine.dicom.dataset import read_complete
from engine.dicom.elements import EXPLICIT_LITTLE, value_at
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.dicom.elements import Buffer
    from engine.dicom.header import HeaderView

_PREFIX_BYTES = 128
_MAGIC = b"DICM"
_META_GROUP = 0x0002
_TRANSFER_SYNTAX_UID = 0x0010


def read_file(path: Path, *, last_tag: int) -> HeaderView:
    """Return the header of a DICOM file, checked to its end as a received object is.

    Raises:
        UnreadableObject: if it is no DICOM file, or can't be opened.
    """
    try:
        with _mapped(path) as content:
            transfer_syntax_uid, begin = data_set_of(content)
            with memoryview(content)[begin:] as data_set:
                return read_complete(data_set, transfer_syntax_uid, last_tag=last_tag)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise UnreadableObject(f"can't be read: {reason}") from fault


def is_dicom_file(path: Path) -> bool:
    """Tell whether a file begins as PS3.10 7.1 wants it; one that can't be read does not."""
    try:
        with path.open("rb") as file:
            return file.read(_PREFIX_BYTES + len(_MAGIC)).endswith(_MAGIC)
    except OSError:
        return False


def data_set_of(content: Buffer) -> tuple[str, int]:
    """Return the transfer syntax and the place of the data set in a file.

    Raises:
        UnreadableObject: if the file has no preamble or no file meta.
    """
    position = _PREFIX_BYTES + len(_MAGIC)
    if bytes(content[_PREFIX_BYTES:position]) != _MAGIC:
        raise UnreadableObject("is not a DICOM file")
    transfer_syntax_uid = ""
    try:
        while position < len(content):
            group, element = unpack_from("<HH", content, position)
            if group != _META_GROUP:
                break
            _, begin, length = value_at(content, position, EXPLICIT_LITTLE)
            if element == _TRANSFER_SYNTAX_UID:
                value = bytes(content[begin : begin + min(length, 64)])
                transfer_syntax_uid = value.decode("ascii", "replace").strip("\0 ")
            position = begin + length
    except (error, KeyError) as fault:
        raise UnreadableObject("the file meta is cut short or damaged") from fault
    if not transfer_syntax_uid:
        raise UnreadableObject("the file meta names no transfer syntax")
    return transfer_syntax_uid, position


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    found = path.stat()
    if not S_ISREG(found.st_mode):
        raise UnreadableObject("is no file")
    if not found.st_size:
        raise UnreadableObject("is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        yield pages
