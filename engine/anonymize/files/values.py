"""Long values, such as pixel data, that stay in their file and are copied without being read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self, cast

from engine.anonymize.errors import StatementFailure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_TEXT_BYTES: Final = 1024 * 1024


class FilePart(bytes):
    """Stands for an element's value; as bytes it is empty, so that nothing uses it unaware."""

    file: BinaryIO
    """Held open as long as parts of it are used; a closed one can't be mixed up with another."""
    element_start: int
    """Where the element with its tag begins in the file."""
    start: int
    """Where its value begins."""
    end: int
    """Where the element ends, with the delimiter of an encapsulated one."""
    undefined_length: bool

    def __new__(
        cls, file: BinaryIO, element_start: int, start: int, end: int, *, undefined_length: bool
    ) -> Self:
        """Name a part of an open file, in bytes."""
        part = super().__new__(cls)
        part.file = file
        part.element_start, part.start, part.end = element_start, start, end
        part.undefined_length = undefined_length
        return part

    def __deepcopy__(self, memo: object) -> Self:
        """A copy stands for the same part."""
        return self

    @property
    def size_bytes(self) -> int:
        """The length of the value."""
        return self.end - self.start - (8 if self.undefined_length else 0)

    def load(self) -> bytes:
        """Read the value."""
        return os.pread(self.file.fileno(), self.size_bytes, self.start)

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the value in pieces."""
        end = self.start + self.size_bytes
        for at in range(self.start, end, size_bytes):
            yield os.pread(self.file.fileno(), min(size_bytes, end - at), at)

    def text_bytes(self) -> bytes:
        """Read the value if it may be text.

        Raises:
            Failure: if it is too long to be compared or hashed.
        """
        if self.size_bytes > MAX_TEXT_BYTES:
            raise StatementFailure(
                f"a value of {self.size_bytes:,} bytes is too long to be read as text"
            )
        return self.load()


def kept_element(ds: Dataset, tag: BaseTag) -> DataElement | RawDataElement | None:
    """Return an element as it is kept, decoded or not; pydicom's types hide the latter."""
    return cast("DataElement | RawDataElement | None", ds.get_item(tag, keep_deferred=True))


def part_of(element: DataElement | RawDataElement | None) -> FilePart | None:
    """Return what stayed in the file of an element's value."""
    value = element.value if element is not None else None
    return value if isinstance(value, FilePart) else None
