"""The beginning of a DICOM file that rules or a script are tried on: whoever asks has read it.

The engine is given bytes and no path: nobody can make it read a file that only it may read.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_BYTES = 1024 * 1024
"""So much of a file is sent to the engine: its header, mostly."""


@dataclass(frozen=True, slots=True)
class FileSample:
    """The beginning of one file."""

    content: bytes
    """All of it, if it is short."""
    size_bytes: int
    """Of the whole file."""
