"""Data sets of storage commitment (PS3.4 annex J): requests and reports as bytes.

What a peer sends may be anything: each item is found by a loop that copies nothing but UIDs.
"""

from __future__ import annotations

import re
from struct import Struct, error
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.elements import (
    UNDEFINED_LENGTH,
    encoding_of,
    odd_element,
    skip_items,
    value_at,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.dicom.elements import Buffer, Encoding

REQUEST_ACTION = 1
"""Action Type ID of a request (PS3.4 J.3.2.1.1)."""
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs of a report (PS3.4 J.3.3.1.1)."""
MOST_REFERENCES = 100_000
"""A longer request is refused: the requestor can send several."""

PROCESSING_FAILURE, NO_SUCH_INSTANCE, RESOURCE_LIMITATION = 0x0110, 0x0112, 0x0213
CLASS_NOT_SUPPORTED, CLASS_INSTANCE_CONFLICT, DUPLICATE_TRANSACTION = 0x0122, 0x0119, 0x0131
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    RESOURCE_LIMITATION: "resource limitation",
    CLASS_NOT_SUPPORTED: "referenced SOP class not supported",
    CLASS_INSTANCE_CONFLICT: "class / instance conflict",
    DUPLICATE_TRANSACTION: "duplicate transaction UID",
}
"""The values of Failure Reason (0008,1197) by PS3.3 C.14.1.1."""

_SOP_CLASS, _SOP_INSTANCE = 0x00081150, 0x00081155
_TRANSACTION, _FAILURE_REASON = 0x00081195, 0x00081197
_FAILED_SEQUENCE, _REFERENCED_SEQUENCE = 0x00081198, 0x00081199
_UID = re.compile(rb"[0-9.]{1,64}")
_BUDGET = MOST_REFERENCES
"""How many elements one value of undefined length may hold; see `skip_items`."""


class Reference(NamedTuple):
    """A SOP instance."""

    sop_class_uid: str
    sop_instance_uid: str


class CommitmentRequest(NamedTuple):
    """What a requestor wants to know of (PS3.4 table J.3-1)."""

    transaction_uid: str
    references: tuple[Reference, ...]


class CommitmentReport(NamedTuple):
    """What is committed, and what is not (PS3.4 table J.3-2)."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...]
    """With the Failure Reason of each."""

    @property
    def event_type(self) -> int:
        """The Event Type ID."""
        return SOME_FAILED if self.failed else ALL_COMMITTED


def decode_request(data: Buffer, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read the data set of an N-ACTION request.

    Raises:
        UnreadableObject: saying what is wrong, without values.
    """
    transaction, referenced, _ = _decode(data, transfer_syntax_uid)
    if not referenced:
        raise UnreadableObject("the request names no SOP instance")
    return CommitmentRequest(transaction, tuple(reference for reference, _ in referenced))


def decode_report(data: Buffer, transfer_syntax_uid: str) -> CommitmentReport:
    """Read the data set of an N-EVENT-REPORT request.

    Raises:
        UnreadableObject: saying what is wrong, without values.
    """
    transaction, referenced, failed = _decode(data, transfer_syntax_uid)
    return CommitmentReport(transaction, tuple(one for one, _ in referenced), tuple(failed))


_References = list[tuple[Reference, int]]


def _decode(data: Buffer, transfer_syntax_uid: str) -> tuple[str, _References, _References]:
    encoding = encoding_of(transfer_syntax_uid)
    transaction = ""
    referenced, failed = _References(), _References()
    try:
        for tag, start, length, _ in _elements(data, 0, len(data), encoding):
            if tag == _TRANSACTION:
                transaction = _uid("Transaction UID", data, start, length)
            elif tag == _REFERENCED_SEQUENCE:
                referenced = _references(data, start, length, encoding)
            elif tag == _FAILED_SEQUENCE:
                failed = _references(data, start, length, encoding)
    except (error, KeyError) as fault:
        raise UnreadableObject("the data set is cut short") from fault
    if not transaction:
        raise UnreadableObject("the data set has no Transaction UID")
    return transaction, referenced, failed


def _references(data: Buffer, start: int, length: int, encoding: Encoding) -> _References:
    found = _References()
    end = len(data) if length == UNDEFINED_LENGTH else start + length
    for begin, after in _items(data, start, end, encoding):
        found.append(_reference(data, begin, after, encoding))
        if len(found) > MOST_REFERENCES:
            raise TooManyReferences
    return found


class TooManyReferences(UnreadableObject):
    """The request names more SOP instances than are taken."""

    def __init__(self) -> None:
        super().__init__(f"the request names more than {MOST_REFERENCES:,} SOP instances")


def _reference(data: Buffer, start: int, end: int, encoding: Encoding) -> tuple[Reference, int]:
    sop_class = sop_instance = ""
    reason = 0
    for tag, at, length, _ in _elements(data, start, end, encoding):
        if tag == _SOP_CLASS:
            sop_class = _uid("Referenced SOP Class UID", data, at, length)
        elif tag == _SOP_INSTANCE:
            sop_instance = _uid("Referenced SOP Instance UID", data, at, length)
        elif tag == _FAILURE_REASON:
            # Little endian only: these contexts are accepted in no other syntax.
            reason = int.from_bytes(data[at : at + 2], "little")
    if not (sop_class and sop_instance):
        raise UnreadableObject("a reference lacks its SOP class or SOP instance")
    return Reference(sop_class, sop_instance), reason


def _items(data: Buffer, start: int, end: int, encoding: Encoding) -> Iterator[tuple[int, int]]:
    """Yield where the content of each item of a sequence begins and ends (PS3.5 7.5)."""
    position = start
    while position < end:
        key, length = encoding.key_and_length(data, position)
        position += 8
        if key == encoding.sequence_end:
            return
        if key != encoding.item:
            raise UnreadableObject("a sequence holds something that is no item")
        begin = position
        if length == UNDEFINED_LENGTH:
            # The delimiter follows: `_elements` stops in front of it.
            after = max((it[3] for it in _elements(data, begin, end, encoding)), default=begin)
            key, _ = encoding.key_and_length(data, after)
            if key != encoding.item_end:
                raise UnreadableObject("an item of undefined length has no end")
            position = after + 8
        else:
            after = position = begin + length
        if after > end:
            raise UnreadableObject("an item runs past the end of its sequence")
        yield begin, after


def _elements(
    data: Buffer, start: int, end: int, encoding: Encoding
) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, position and length of each value, and where its element ends."""
    position = start
    while position < end:
        key, _ = encoding.key_and_length(data, position)
        if key == encoding.item_end:
            return
        tag = encoding.key(key)
        try:
            vr, at, length = value_at(data, position, encoding)
        except KeyError:
            vr, at, length = odd_element(data, position, encoding)
        if length == UNDEFINED_LENGTH:
            inner = encoding_of("1.2.840.10008.1.2") if vr == "UN" else encoding
            position, _ = skip_items(data, at, tag, inner, 10 * _BUDGET)
        else:
            position = at + length
        if position > end:
            raise UnreadableObject("an element runs past the end")
        yield tag, at, length, position


def _uid(name: str, data: Buffer, start: int, length: int) -> str:
    if length > 65:  # PS3.5 9.1, with its padding
        raise UnreadableObject(f"{name} is longer than 64 characters")
    value = bytes(data[start : start + length]).rstrip(b"\0 ")
    if not _UID.fullmatch(value):
        raise UnreadableObject(f"{name} is no UID")
    return value.decode("ascii")


# Encoding.


def encode_request(request: CommitmentRequest, transfer_syntax_uid: str) -> bytes:
    """Return the data set of an N-ACTION request."""
    writer = _Writer(transfer_syntax_uid)
    items = [writer.reference(reference) for reference in request.references]
    return writer.uid(_TRANSACTION, request.transaction_uid) + writer.sequence(
        _REFERENCED_SEQUENCE, items
    )


def encode_report(report: CommitmentReport, transfer_syntax_uid: str) -> bytes:
    """Return the data set of an N-EVENT-REPORT request."""
    writer = _Writer(transfer_syntax_uid)
    failed = [
        writer.reference(reference) + writer.number(_FAILURE_REASON, reason)
        for reference, reason in report.failed
    ]
    committed = [writer.reference(reference) for reference in report.committed]
    return b"".join(
        (
            writer.uid(_TRANSACTION, report.transaction_uid),
            writer.sequence(_FAILED_SEQUENCE, failed) if failed else b"",
            writer.sequence(_REFERENCED_SEQUENCE, committed) if committed else b"",
        )
    )


class _Writer:
    """Encodes elements in little endian, with explicit or implicit VR (PS3.5 7.1)."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        self._explicit = encoding_of(transfer_syntax_uid).explicit

    def uid(self, tag: int, value: str) -> bytes:
        """Return a UI element."""
        encoded = value.encode("ascii")
        return self._short(tag, b"UI", encoded + b"\0" * (len(encoded) % 2))

    def number(self, tag: int, value: int) -> bytes:
        """Return a US element."""
        return self._short(tag, b"US", value.to_bytes(2, "little"))

    def reference(self, reference: Reference) -> bytes:
        """Return the elements of an item that names a SOP instance."""
        return self.uid(_SOP_CLASS, reference.sop_class_uid) + self.uid(
            _SOP_INSTANCE, reference.sop_instance_uid
        )

    def sequence(self, tag: int, items: Sequence[bytes]) -> bytes:
        """Return a sequence of items, all of defined length."""
        value = b"".join(_in_items(items))
        if self._explicit:
            return _LONG.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value
        return _IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value

    def _short(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if self._explicit:
            return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value
        return _IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value


_SHORT, _LONG, _IMPLICIT = Struct("<HH2sH"), Struct("<HH2sHI"), Struct("<HHI")


def _in_items(items: Iterable[bytes]) -> Iterator[bytes]:
    for item in items:
        yield _IMPLICIT.pack(0xFFFE, 0xE000, len(item))
        yield item
