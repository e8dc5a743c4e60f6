"""DICOM files (PS3.10): makes their head, finds their data set, reads one to send it."""

from __future__ import annotations

import mmap
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from stat import S_ISREG
from struct import Struct, error, unpack_from
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.dataset import read_complete, read_header
from engine.dicom.elements import EXPLICIT_LITTLE, value_at
from engine.dicom.header import SOP_CLASS_UID, SOP_INSTANCE_UID
from engine.errors import UnreadableObject
from engine.model.anonymization import CREATOR_ELEMENT, CREATOR_UID, EXEMPT, NOTE_ELEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.tag import BaseTag

    from engine.dicom.elements import Buffer
    from engine.dicom.header import HeaderView
    from engine.dicom.raw_elements import Elements, RawWalk
    from engine.model.file_sample import FileSample


PREAMBLE = bytes(128) + b"DICM"  # PS3.10 7.1: 128 bytes for anything, and the prefix
_PREFIX = slice(128, len(PREAMBLE))
_META_GROUP, _LAST_META_TAG = 0x0002, 0x0002FFFF
_FIRST_OF_META = b"\x02\x00\x00\x00UL\x04\x00"
"""The head of File Meta Information Group Length (0002,0000)."""
_IMPLICIT_LITTLE, _EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_TRANSFER_SYNTAX_UID = 0x0010


def read_file(path: Path, *, last_tag: int) -> HeaderView:
    """Return the header of a DICOM file, checked to its end as a received object is.

    Raises:
        UnreadableObject: if it is no DICOM file, or can't be opened.
    """
    try:
        with _mapped(path) as content:
            transfer_syntax_uid, begin = data_set_of(content)
            # Released before the map is closed, which would fail with a view of it open.
            with memoryview(content)[begin:] as data_set:
                return read_complete(data_set, transfer_syntax_uid, last_tag=last_tag)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise UnreadableObject(f"can't be read: {reason}") from fault


def read_sample(sample: FileSample, *, last_tag: int) -> HeaderView:
    """Return the header of a file of which only the beginning is there; its end is not checked.

    Raises:
        UnreadableObject: if it is no DICOM file, or the header is longer than the beginning.
    """
    try:
        transfer_syntax_uid, begin = data_set_of(sample.content)
        with memoryview(sample.content)[begin:] as data_set:
            left = sample.size_bytes - begin
            return read_header(data_set, transfer_syntax_uid, last_tag=last_tag, size_bytes=left)
    except UnreadableObject as fault:
        remedy = "choose another DICOM file (PS3.10), or give it to a command such as `route`"
        read = f"; only its first {len(sample.content):,} bytes were read"
        why = fault.detail + (read if len(sample.content) < sample.size_bytes else "")
        raise UnreadableObject(f"the file can't be tried: {why}", remedy) from fault


def is_dicom_file(path: Path) -> bool:
    """Tell whether a file begins as PS3.10 7.1 wants it; one that can't be read does not."""
    try:
        with path.open("rb") as file:
            return has_preamble(file.read(len(PREAMBLE)))
    except OSError:
        return False


def has_preamble(beginning: Buffer) -> bool:
    """Tell whether the beginning of a file is as PS3.10 7.1 says."""
    return bytes(beginning[_PREFIX]) == PREAMBLE[_PREFIX]


def read_file_meta(walk: RawWalk) -> Elements:
    """Return the elements of the file meta, in order; the walk is then where the data set begins.

    Raises:
        UnreadableObject: if it is no file, or its file meta is not encoded by the rules.
    """
    if not has_preamble(walk.window):
        raise UnreadableObject("is not a DICOM file")
    walk.begin(len(PREAMBLE))
    found: Elements = {}
    walk.take(found, EXPLICIT_LITTLE, _LAST_META_TAG)
    if not found or next(iter(found)).group != _META_GROUP or walk.long:
        raise UnreadableObject("the file meta is damaged")
    walk.begin(walk.reached)
    return found


def uid_in(meta: Elements, tag: BaseTag) -> str:
    """Return a UID of the file meta, empty if it isn't there.

    Raises:
        UnreadableObject: if it is no text.
    """
    element = meta.get(tag)
    try:
        return (element.value or b"").decode("ascii").strip("\0 ") if element is not None else ""
    except UnicodeDecodeError as fault:
        raise UnreadableObject("the file meta is damaged") from fault


def data_set_of(content: Buffer) -> tuple[str, int]:
    """Return the transfer syntax and the place of the data set in a file.

    Raises:
        UnreadableObject: if the file has no preamble or no file meta.
    """
    if not has_preamble(content):
        raise UnreadableObject("is not a DICOM file")
    return _data_set_behind(content, len(PREAMBLE))


def _data_set_behind(content: Buffer, position: int) -> tuple[str, int]:
    """Return the transfer syntax and the place of the data set, for file meta that begins there."""
    transfer_syntax_uid = ""
    try:
        # Not by `RawWalk`: files to send may have file meta out of order, which it refuses.
        while position < len(content):
            group, element = unpack_from("<HH", content, position)
            if group != _META_GROUP:
                break
            _, begin, length = value_at(content, position, EXPLICIT_LITTLE)
            if element == _TRANSFER_SYNTAX_UID:
                # PS3.5 6.2: a UID has at most 64 bytes; a length from outside copies no more.
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


_PIECE_BYTES = 1024 * 1024
_UID = re.compile(r"[0-9.]{1,64}")
# A FIFO or device must not block us before we have seen what it is.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class ObjectHead(NamedTuple):
    """What a file says about its object, and where the data set is."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    """Where the data set begins."""


def head_of(content: Buffer, size_bytes: int | None = None) -> ObjectHead:
    """Return the head of an object's file.

    Args:
        content: the file, or its beginning.
        size_bytes: of the whole file; None if `content` is all of it.

    Raises:
        UnreadableObject: if it is no DICOM file, or says not what it is.
    """
    return _head_behind(content, *data_set_of(content), size_bytes)


def head_without_preamble(content: Buffer, size_bytes: int | None = None) -> ObjectHead | None:
    """Do as `head_of` does, for a data set that was written without a preamble or any file meta.

    PS3.10 allows neither, but early writers made both. Without file meta the encoding is guessed
    from the first element.

    Returns:
        None if it is no such data set.
    """
    try:
        if bytes(content[: len(_FIRST_OF_META)]) == _FIRST_OF_META:
            syntax, begin = _data_set_behind(content, 0)
        else:
            syntax, begin = _guessed_syntax(bytes(content[:6])), 0
        return _head_behind(content, syntax, begin, size_bytes) if syntax else None
    except UnreadableObject:
        return None


def _guessed_syntax(beginning: bytes) -> str:
    """Return the transfer syntax of a data set that begins with group 0008, empty if it doesn't."""
    has_vr = beginning[4:].isalpha() and beginning[4:].isupper()
    if beginning[:2] == b"\x08\x00":
        return _EXPLICIT_LITTLE if has_vr else _IMPLICIT_LITTLE
    return _EXPLICIT_BIG if beginning[:2] == b"\x00\x08" and has_vr else ""


def _head_behind(content: Buffer, syntax: str, begin: int, size_bytes: int | None) -> ObjectHead:
    left = None if size_bytes is None else size_bytes - begin
    with memoryview(content)[begin:] as data_set:
        header = read_header(data_set, syntax, last_tag=SOP_INSTANCE_UID, size_bytes=left)
        sop_class, instance = header.text(SOP_CLASS_UID), header.text(SOP_INSTANCE_UID)
        del header
    if not sop_class or not instance:
        raise UnreadableObject("has no SOP class or instance UID")
    if not (_UID.fullmatch(sop_class) and _UID.fullmatch(syntax)):  # no peer could accept it
        raise UnreadableObject("has a SOP class or transfer syntax that is no UID")
    return ObjectHead(sop_class, instance, syntax, begin)


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
        head = head_of(pages)
    return Sendable(fd, *head, status.st_size - head.offset)


IMPLEMENTATION_CLASS_UID = "2.25.235022223827495242976505035687323014033"
IMPLEMENTATION_VERSION_NAME = "DICOMDOCK_0.1"

_LENGTH, _LENGTH16 = Struct("<I"), Struct("<H")
_ELEMENT = Struct("<HH2sH")
_HEAD = PREAMBLE + _ELEMENT.pack(0x0002, 0x0000, b"UL", 4)
_INSTANCE = Struct("<HH2s").pack(0x0002, 0x0003, b"UI")
_LONGEST_UID_BYTES = 64
_GROUP_LENGTH_END = len(_HEAD) + _LENGTH.size


class FileMeta:
    """The file meta that objects of one sender, SOP class and transfer syntax have in common."""

    def __init__(
        self,
        sop_class_uid: str,
        transfer_syntax_uid: str,
        calling_ae_title: str,
        called_ae_title: str,
        *,
        anonymization: bool = True,
    ) -> None:
        """Encode all but the SOP instance UID.

        Args:
            sop_class_uid: of the objects.
            transfer_syntax_uid: of their data sets.
            calling_ae_title: who sent them.
            called_ae_title: who received them.
            anonymization: whether their receiver's anonymization is on; if not, the file says so.

        Raises:
            UnreadableObject: if a value is longer than an element can hold.
        """
        self._begins: dict[int, bytes] = {}
        """What stands before a SOP instance UID, by its length."""
        self._before = _VERSION + _element(0x0002, b"UI", sop_class_uid)
        self._after = (
            _element(0x0010, b"UI", transfer_syntax_uid)
            + _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID)
            + _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME)
            # PS3.10 7.1: Source and Receiving Application Entity Title.
            + _element(0x0016, b"AE", calling_ae_title[:16])
            + _element(0x0018, b"AE", called_ae_title[:16])
            + (b"" if anonymization else _EXEMPT)
        )

    def preamble(self, sop_instance_uid: str) -> bytes:
        """Return preamble and file meta of one object.

        Raises:
            UnreadableObject: if the UID is longer than an element can hold.
        """
        uid = sop_instance_uid.encode("ascii", "replace")
        if len(uid) % 2:
            uid += b"\0"
        begin = self._begins.get(len(uid)) or self._begin(len(uid))
        return begin + uid + self._after

    def _begin(self, uid_bytes: int) -> bytes:
        """Return what stands before a SOP instance UID of some length, and keep it."""
        before = self._before + _head(0x0003, b"UI", uid_bytes)
        length = len(before) + uid_bytes + len(self._after)
        begin = _HEAD + _LENGTH.pack(length) + before
        if uid_bytes <= _LONGEST_UID_BYTES:  # others are no UIDs, and might be of any length
            self._begins[uid_bytes] = begin
        return begin


def body_offset(fd: int) -> int | None:
    """Return where the data set begins in a stored file, None if it is no such file."""
    return body_offset_in(os.pread(fd, _GROUP_LENGTH_END, 0))


def body_offset_in(beginning: bytes) -> int | None:
    """Return where the data set begins in a file that begins so, None if it is no such file."""
    # Every file of ours begins so: the group length is its first element, with a fixed head.
    if len(beginning) < _GROUP_LENGTH_END or not beginning.startswith(_HEAD):
        return None
    (length,) = _LENGTH.unpack_from(beginning, len(_HEAD))
    return _GROUP_LENGTH_END + int(length)


def with_instance(meta: bytes, sop_instance_uid: str) -> bytes:
    """Return preamble and file meta, as `FileMeta` makes them, for another SOP instance.

    Raises:
        UnreadableObject: if the UID is longer than an element can hold.
    """
    start = meta.index(_INSTANCE, _GROUP_LENGTH_END)
    end = start + 8 + _LENGTH16.unpack_from(meta, start + 6)[0]
    element = _element(0x0003, b"UI", sop_instance_uid)
    content = b"".join((meta[_GROUP_LENGTH_END:start], element, meta[end:]))
    return b"".join((_HEAD, _LENGTH.pack(len(content)), content))


_SHORT_VRS, _LONG_VR = frozenset((b"UI", b"SH", b"AE", b"UL")), b"OB"
"""The VRs of file meta (PS3.10 7.1) by the size of their lengths (PS3.5 7.1.2)."""


def own_meta(beginning: bytes) -> dict[int, bytes] | None:
    """Return the values of the file meta of a file of ours, by element number.

    Args:
        beginning: the first bytes of the file.

    Returns:
        None if it does not begin as our files do, or the file meta is longer than `beginning`.
    """
    if len(beginning) < _GROUP_LENGTH_END or not beginning.startswith(_HEAD):
        return None
    (length,) = _LENGTH.unpack_from(beginning, len(_HEAD))
    position, end = _GROUP_LENGTH_END, _GROUP_LENGTH_END + length
    found: dict[int, bytes] = {}
    # The longest head of an element has 12 bytes.
    while position + 12 <= end <= len(beginning):
        group, element, vr, size = _ELEMENT.unpack_from(beginning, position)
        position += 8
        if vr == _LONG_VR:
            (size,) = _LENGTH.unpack_from(beginning, position)
            position += 4
        elif vr not in _SHORT_VRS:
            return None
        if group != _META_GROUP:
            return None
        found[element] = beginning[position : position + size]
        position += size
    return found if position == end else None


def _long_element(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0002, element, b"OB", 0) + _LENGTH.pack(len(value)) + value


def _element(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii", "replace")
    if len(encoded) % 2:
        encoded += b"\0" if vr == b"UI" else b" "
    return _head(element, vr, len(encoded)) + encoded


def _head(element: int, vr: bytes, length: int) -> bytes:
    if length > 0xFFFE:  # PS3.5 7.1.2: it has 16 bits
        raise UnreadableObject("a UID is too long for a file")
    return _ELEMENT.pack(0x0002, element, vr, length)


# PS3.10 7.1: version 1 of the file meta.
_VERSION = _long_element(0x0001, b"\0\1")
_EXEMPT = _element(CREATOR_ELEMENT & 0xFFFF, b"UI", CREATOR_UID) + _long_element(
    NOTE_ELEMENT & 0xFFFF, EXEMPT
)
