"""AE titles: what is one, and why a text is not (PS3.5 6.2 AE; XNAT: full match)."""

from __future__ import annotations

import re
from typing import Self

from engine.errors import InvalidAETitle, Problem

MAX_LENGTH = 16
_VALID = re.compile(r"(?=[^\\]*[^\s\\]+$)(?=^[^\s\\]+[^\\]*)[ -~]{1,16}")
_REMEDY = "use 1 to 16 printable ASCII characters without a backslash"


class AETitle(str):
    """A valid AE title; compares case-sensitively, as the network does."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, field: str = "ae_title") -> Self:
        """Trim surrounding spaces and return the AE title.

        Raises:
            InvalidAETitle: naming `field`, the text and what is wrong with it.
        """
        trimmed = text.strip(" ")
        if _VALID.fullmatch(trimmed):
            return cls(trimmed)
        raise InvalidAETitle(Problem(field, text, _fault(trimmed), _REMEDY))


def _fault(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters ({len(text)})"
    if "\\" in text:
        return "contains a backslash, which separates values in DICOM"
    strange = next(c for c in text if not " " <= c <= "~")
    return f"contains U+{ord(strange):04X}, which is not printable ASCII"
