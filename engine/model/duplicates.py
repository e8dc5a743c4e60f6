"""What becomes of an object that is there already with other content (reliability-security 2.4)."""

from __future__ import annotations

from enum import StrEnum


class DuplicatePolicy(StrEnum):
    """For an object whose SOP instance is in its session already, but with another data set.

    An identical data set is always answered with success and not written again.
    """

    KEEP = "keep"
    """Both are kept, and the newcomer's row says so."""
    REPLACE = "replace"
    """The newcomer takes the place of the other, as long as the session is being received."""
    REJECT = "reject"
    """The newcomer is refused with 0x0111 (PS3.7 C.5.7)."""
