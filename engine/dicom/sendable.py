"""An object in a file, as a storage SCU sends it: what it is, and its data set as it is encoded."""

from __future__ import annotations

import mmap
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.dicom.dataset import read_header
from engine.dicom.header import SOP_CLASS_UID, SOP_INSTANCE_UID
from engine.dicom.part10 import data_set_of
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE_BYTES = 1024 * 1024
_UID = re.compile(r"[0-9.]{1,64}")
# A FIFO or device must not block us before we have seen what it is.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Sendable:
    """An object in an open file; moving or removing the file does not disturb it."""

    fd: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    """Where the data set begins."""
    size_bytes: int
    """Of the data set."""

    @property
    def context(self) -> tuple[str, str]:
        """SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the data set in pieces.

        Raises:
            UnreadableObject: if the file became shorter.
            OSError: if it can't be read.
        """
        position, end = self.offset, self.offset + self.size_bytes
        while position < end:
            piece = os.pread(self.fd, min(_PIECE_BYTES, end - position), position)
            if not piece:
                raise UnreadableObject("became shorter while it was read")
            position += len(piece)
            yield memoryview(piece)


@contextmanager
def open_sendable(path: Path) -> Iterator[Sendable]:
    """Open an object's file.

    Raises:
        UnreadableObject: if it is no DICOM file, or says not what it is.
        OSError: if it can't be opened.
    """
    fd = os.open(path, _FLAGS)
    try:
        yield _sendable(fd)
    finally:
        os.close(fd)


def _sendable(fd: int) -> Sendable:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableObject("is no file")
    if not status.st_size:
        raise UnreadableObject("is empty")
    with mmap.mmap(fd, status.st_size, access=mmap.ACCESS_READ) as pages:
        syntax, begin = data_set_of(pages)
        with memoryview(pages)[begin:] as data_set:
            header = read_header(data_set, syntax, last_tag=SOP_INSTANCE_UID)
            sop_class, instance = header.text(SOP_CLASS_UID), header.text(SOP_INSTANCE_UID)
            del header
    if not sop_class or not instance:
        raise UnreadableObject("has no SOP class or instance UID")
    if not (_UID.fullmatch(sop_class) and _UID.fullmatch(syntax)):  # no peer could accept it
        raise UnreadableObject("has a SOP class or transfer syntax that is no UID")
    return Sendable(fd, sop_class, instance, syntax, begin, status.st_size - begin)
