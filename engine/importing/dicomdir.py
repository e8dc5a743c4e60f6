"""The files that a DICOMDIR refers to (PS3.10 8, PS3.3 F)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "DICOMDIR"
"""PS3.10 8.6: it always has this name, and is at the top of its medium."""
LARGEST_BYTES = 256 * 1024**2
_DIRECTORY_RECORDS, _REFERENCED_FILE_ID = 0x00041220, 0x00041500
_MOST_COMPONENTS = 64
"""PS3.10 8.2 has at most 8, but some writers use more."""


def is_dicomdir(name: str) -> bool:
    """Tell whether a file is a DICOMDIR by its name."""
    return name.upper() == FILE_NAME


def references(dicomdir: Path) -> Iterator[tuple[str, ...]]:
    """Yield the references of a DICOMDIR, each as its components, in the order of its records.

    Raises:
        UnreadableObject: if it can't be read, or has a reference that leaves the medium.
    """
    # pydicom, which takes a while; a DICOMDIR is small, and read once.
    from pydicom import dcmread

    if dicomdir.stat().st_size > LARGEST_BYTES:
        raise UnreadableObject(f"is larger than {LARGEST_BYTES:,} bytes")
    try:
        ds = dcmread(dicomdir, specific_tags=[_DIRECTORY_RECORDS])
        records = ds[_DIRECTORY_RECORDS].value if _DIRECTORY_RECORDS in ds else []
        for record in records or ():
            if _REFERENCED_FILE_ID in record and record[_REFERENCED_FILE_ID].value:
                yield _components(record[_REFERENCED_FILE_ID].value)
    except UnreadableObject:
        raise
    # The border to pydicom: what it raises for a broken data set is not said anywhere.
    except Exception as error:
        raise UnreadableObject(f"the DICOMDIR is broken: {str(error)[:200]}") from error


def _components(value: object) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(map(str, value))  # type: ignore[call-overload]
    # PS3.10 8.2: the separator is the value's own backslash; a slash is never part of a component.
    if len(found) > _MOST_COMPONENTS or any(
        not name.strip(". ") or "/" in name or "\0" in name for name in found
    ):
        raise UnreadableObject("the DICOMDIR refers to files outside of its medium")
    return found


def locate(medium: Path, reference: tuple[str, ...]) -> Path | None:
    """Return the file of a reference below the medium's folder; None if it is not there.

    Copies of media may have names in small letters.
    """
    for names in (reference, tuple(map(str.lower, reference))):
        path = medium.joinpath(*names)
        with suppress(OSError):  # such as for a component that is too long for a file name
            # Not by a link out of the medium.
            if path.is_file() and path.resolve().is_relative_to(medium.resolve()):
                return path
    return None
