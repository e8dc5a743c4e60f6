"""The members of ZIP and tar archives, one after the other; nothing is extracted to the disk.

An archive may be hostile: names are shown and never used as paths, and sizes are limited before
anything is decompressed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from io import BufferedReader
    from pathlib import Path

LARGEST_MEMBER_BYTES = 8 * 1024**3
_UNSUSPECTED_BYTES = 64 * 1024**2
_HIGHEST_RATIO = 200
"""Of larger members than that. Images compress to a half, empty ones to a hundredth."""
_SKIPPED_BYTES = 1024 * 1024
_MOST_AT_ONCE_BYTES = 4 * 1024 * 1024
"""A tar may announce a name of any length, which would be read into memory."""
_ZIP_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
"""The library decompresses the others without a limit: 4 KiB may become gigabytes."""
_ENCRYPTED = 0x1
_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
    *(RuntimeError, ValueError, LookupError, OverflowError, struct.error, tarfile.TarError),
)
"""What the libraries raise for a broken archive, besides `OSError`."""


class ArchiveKind(Enum):
    """The forms of archives; the value is the one that decompresses a tar."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"


_MAGIC = {
    b"PK\x03\x04": ArchiveKind.ZIP,
    b"PK\x05\x06": ArchiveKind.ZIP,  # without members
    b"\x1f\x8b": ArchiveKind.GZIP,
    b"BZh": ArchiveKind.BZIP2,
    b"\xfd7zXZ\0": ArchiveKind.XZ,
}
_TAR = slice(257, 262)


def _is_tar(beginning: bytes) -> bool:
    return beginning[_TAR] == b"ustar"


def archive_kind(beginning: bytes) -> ArchiveKind | None:
    """Return which archive begins so; None if none does."""
    for magic, kind in _MAGIC.items():
        if beginning.startswith(magic):
            return kind
    return ArchiveKind.TAR if _is_tar(beginning) else None


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive."""

    name: str
    size_bytes: int
    """As the archive announces it."""
    read_bytes: int
    """The share of the archive's bytes that is done with it."""
    open: Callable[[], BinaryIO]
    """Opens it, before the next member is asked for."""
    fault: str = ""
    """Why it must not be opened; empty if it may be."""


@contextmanager
def readable() -> Iterator[None]:
    """Translate the errors of a broken archive.

    Raises:
        UnreadableObject: with what the archive's library says.
    """
    try:
        yield
    except _FAULTS as error:
        words = str(error) or type(error).__name__
        raise UnreadableObject(f"the archive is broken: {words[:200]}") from error


def members_of(path: Path, kind: ArchiveKind) -> Iterator[Member]:
    """Yield the files in an archive, in their order; folders and links are left out.

    Raises:
        UnreadableObject: if the archive is broken from here on, or is no tar.
        OSError: if it can't be read.
    """
    with readable():
        yield from _in_zip(path) if kind is ArchiveKind.ZIP else _in_tar(path, kind)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        places = Counter(info.header_offset for info in archive.infolist())
        for info in archive.infolist():
            if info.filename.endswith("/") or stat.S_ISLNK(info.external_attr >> 16):
                continue
            yield Member(
                *(info.filename, info.file_size, info.compress_size),
                open=partial(_open, archive.open, info),
                fault=_zip_fault(info, shared=places[info.header_offset] > 1),
            )


def _zip_fault(info: zipfile.ZipInfo, *, shared: bool) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted: extract it with its password first"
    if info.compress_type not in _ZIP_METHODS:
        return f"is compressed by method {info.compress_type}: pack it anew with the usual one"
    # The library refuses members that share a part of their bytes, but only warns of these.
    if shared:
        return "its bytes are also those of other members, as in a ZIP bomb"
    return _fault(info.file_size, info.compress_size)


def _in_tar(path: Path, kind: ArchiveKind) -> Iterator[Member]:
    with path.open("rb") as packed, _decompressed(packed, kind) as content:
        if kind is not ArchiveKind.TAR and not _is_tar(content.peek(_TAR.stop)):
            raise UnreadableObject("is compressed and no tar: decompress it first")
        before = 0
        forward = cast("BinaryIO", _Forward(content))
        with tarfile.open(fileobj=forward, mode="r:") as archive:
            while (info := archive.next()) is not None:
                # The library keeps all members, for lookups by name; there may be millions.
                vars(archive)["members"].clear()
                if not info.isreg():
                    continue
                now = packed.tell()
                yield Member(
                    *(info.name, info.size, now - before),
                    open=partial(_open, archive.extractfile, info),
                    fault=_fault(info.size, info.size),
                )
                before = now


def _decompressed(
    packed: BufferedReader, kind: ArchiveKind
) -> AbstractContextManager[BufferedReader]:
    # All three read as a `BufferedReader` does, also ahead.
    if kind is ArchiveKind.GZIP:
        return cast("AbstractContextManager[BufferedReader]", gzip.GzipFile(fileobj=packed))
    if kind is ArchiveKind.BZIP2:
        return cast("AbstractContextManager[BufferedReader]", bz2.BZ2File(packed))
    if kind is ArchiveKind.XZ:
        return cast("AbstractContextManager[BufferedReader]", lzma.LZMAFile(packed))
    return nullcontext(packed)


def _fault(size_bytes: int, packed_bytes: int) -> str:
    if size_bytes > LARGEST_MEMBER_BYTES:
        return f"is larger than {LARGEST_MEMBER_BYTES:,} bytes"
    if size_bytes > _UNSUSPECTED_BYTES and size_bytes > packed_bytes * _HIGHEST_RATIO:
        return "expands as a ZIP bomb does: extract it yourself first if it is none"
    return ""


def _open(open_member: Callable[..., Any], info: object) -> BinaryIO:
    with readable():
        return cast("BinaryIO", _MemberFile(open_member(info)))


class _MemberFile:
    """A member of an archive whose errors are translated."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Read so many bytes, less at the end only."""
        with readable():
            return self._file.read(size)

    def close(self) -> None:
        """Close it."""
        self._file.close()


class _Forward:
    """A stream as `tarfile` wants it: it seeks forward, and by one byte back.

    `tarfile` could read a stream by itself, but reads the name of a member of any announced size.
    """

    def __init__(self, content: BufferedReader) -> None:
        self._content = content
        self._position = 0
        self._last = b""
        """The last byte, if it is to be read once more."""
        self._is_back = False

    def tell(self) -> int:
        """Return the position."""
        return self._position - self._is_back

    def seek(self, position: int) -> int:
        """Go to a position by reading up to it; a shorter stream ends before."""
        if position == self._position - 1:
            self._is_back = True
            return position
        if position < self.tell():
            raise tarfile.ReadError("a member begins before the end of another one")
        while position > self.tell():
            if not self.read(min(position - self.tell(), _SKIPPED_BYTES)):
                break
        return self.tell()

    def read(self, size: int) -> bytes:
        """Read so many bytes, less at the end only."""
        if not 0 <= size <= _MOST_AT_ONCE_BYTES:
            raise tarfile.ReadError("a name or another head is too long")
        again = self._last if self._is_back and size else b""
        found = self._content.read(size - len(again)) if size > len(again) else b""
        if again:
            self._is_back = False
        self._position += len(found)
        self._last = found[-1:] or self._last
        return again + found
