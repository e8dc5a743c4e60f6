"""Makes the head of a file: preamble and file meta (PS3.10 7.1)."""

from __future__ import annotations

import os
from struct import Struct

from engine.errors import UnreadableObject
from engine.model.anonymization import CREATOR_ELEMENT, CREATOR_UID, EXEMPT, NOTE_ELEMENT

IMPLEMENTATION_CLASS_UID = "2.25.235022223827495242976505035687323014033"
IMPLEMENTATION_VERSION_NAME = "DICOMDOCK_0.1"

_LENGTH = Struct("<I")
_ELEMENT = Struct("<HH2sH")
_MAGIC = bytes(128) + b"DICM" + _ELEMENT.pack(0x0002, 0x0000, b"UL", 4)
_LONGEST_UID_BYTES = 64
_GROUP_LENGTH_END = len(_MAGIC) + _LENGTH.size


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
        begin = _MAGIC + _LENGTH.pack(length) + before
        if uid_bytes <= _LONGEST_UID_BYTES:  # others are no UIDs, and might be of any length
            self._begins[uid_bytes] = begin
        return begin


def body_offset(fd: int) -> int | None:
    """Return where the data set begins in a stored file, None if it is no such file."""
    beginning = os.pread(fd, _GROUP_LENGTH_END, 0)
    if len(beginning) < _GROUP_LENGTH_END or not beginning.startswith(_MAGIC):
        return None
    (length,) = _LENGTH.unpack_from(beginning, len(_MAGIC))
    return _GROUP_LENGTH_END + int(length)


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


_VERSION = _long_element(0x0001, b"\0\1")
_EXEMPT = _element(CREATOR_ELEMENT & 0xFFFF, b"UI", CREATOR_UID) + _long_element(
    NOTE_ELEMENT & 0xFFFF, EXEMPT
)
