"""What becomes of a complete session by itself: XNAT's prearchive codes (XNAT 9.5)."""

from __future__ import annotations

from enum import IntEnum


class AutoArchive(IntEnum):
    """Whether a project's complete sessions go into the archive, and over what is there."""

    MANUAL = 0
    ARCHIVE = 4
    """Into the archive, but never over files that are there already."""
    OVERWRITE = 5


_WORDS = {"t": True, "true": True, "f": False, "false": False}


def requested(text: str) -> bool | None:
    """Return what a header asks for, None if it is no clear word (XNAT 5.2)."""
    return _WORDS.get(text.lower())
