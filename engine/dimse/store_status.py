"""Meaning of C-STORE statuses for a sender (PS3.4 table B.2-1, PS3.7 annex C)."""

from __future__ import annotations

from enum import StrEnum

SUCCESS = 0x0000


class RetryDecision(StrEnum):
    """What becomes of an object that was answered."""

    DONE = "done"
    """The peer has it."""
    RETRY = "retry"
    """The peer may take it later."""
    GIVE_UP = "give up"
    """The peer will not take this object, however often it comes."""


_DONE = frozenset((0x0000, 0x0001, 0x0107, 0x0116))
"""Success, and the warnings of any service: the object is stored."""
_REFUSED = {
    0x0105: "no such attribute",
    0x0106: "an invalid attribute value",
    0x0111: "it has the SOP instance with other content",
    0x0117: "an invalid SOP instance UID",
    0x0118: "no such SOP class",
    0x0119: "a conflict of class and instance",
    0x0120: "a missing attribute",
    0x0121: "a missing attribute value",
    0x0122: "the SOP class is not supported",
    0x0124: "not authorized",
}
"""What the object or our rights are the reason of, so that nothing changes by itself."""
_LATER = {
    0x0110: "processing failure",
    0x0210: "a duplicate invocation",
    0x0211: "an unrecognized operation",
    0x0212: "a mistyped argument",
    0x0213: "out of resources",
    0xFE00: "cancelled",
}


def retry_decision(status: int) -> RetryDecision:
    """Return what is done about a status.

    0xCxxx is tried again although the standard calls it an error of the data set, because XNAT
    answers it for nearly every failure, a full disk included.
    """
    if status in _DONE or status >> 12 == 0xB:
        return RetryDecision.DONE
    if status in _REFUSED or status >> 8 == 0xA9:
        return RetryDecision.GIVE_UP
    return RetryDecision.RETRY


def is_peer_full(status: int) -> bool:
    """Tell whether the reason is the peer's room, so that other objects fare no better now."""
    return status >> 8 == 0xA7 or status == 0x0213


def status_in_words(status: int) -> str:
    """Return a status such as ``0xA700 (out of resources)``."""
    return f"0x{status:04X} ({_words(status)})"


def _words(status: int) -> str:
    if status == SUCCESS:
        return "success"
    if retry_decision(status) is RetryDecision.DONE:
        return "stored with a warning"
    known = _REFUSED | _LATER
    if status in known:
        return known[status]
    by_kind = {0xA7: "out of resources", 0xA9: "data set does not match its SOP class"}
    if status >> 8 in by_kind:
        return by_kind[status >> 8]
    return "cannot understand" if status >> 12 == 0xC else "unknown status"
