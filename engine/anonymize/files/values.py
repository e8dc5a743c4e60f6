"""Long values, such as pixel data, that stay in their file and are copied from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.dicom.elements import DELIMITER_BYTES, UNDEFINED_LENGTH, head_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from pydicom.tag import BaseTag

    Kept = DataElement | RawDataElement


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
        return self  # bytes are copied by their content, which is empty

    @property
    def size_bytes(self) -> int:
        """The length of the value."""
        return self.end - self.start - (DELIMITER_BYTES if self.undefined_length else 0)

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
            StatementFailure: if it is too long to be compared or hashed.
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


class SourceFile(NamedTuple):
    """An open file, its beginning, and where its elements are."""

    file: BinaryIO
    beginning: bytes
    meta: Mapping[BaseTag, Kept]
    """The elements of the file meta information as they were read, in the order of their tags."""
    data_set: Mapping[BaseTag, Kept]
    """Those of the data set."""

    def __deepcopy__(self, memo: object) -> Self:
        """A copy of an object has the same file, from which it copies nothing."""
        return self

    def read(self, start: int, end: int) -> bytes:
        """Return bytes of the file.

        Raises:
            UneditableFile: if they are not there any more.
        """
        if end <= len(self.beginning):
            return self.beginning[start:end]
        content = os.pread(self.file.fileno(), end - start, start)
        if len(content) < end - start:
            raise UneditableFile("the file became shorter while it was read", "try it again")
        return content


class ReadObject(Dataset):
    """An object that knows its file; a data set of any other origin is encoded anew."""

    source: SourceFile | None = None


class ReadSequence(Sequence):
    """Items that were decoded from an element, which stays what it was as long as they do."""

    def __init__(self, items: Iterable[Dataset], source: RawDataElement) -> None:
        """Note what is in the items now.

        Args:
            items: as they were decoded, with all that is in them still undecoded.
            source: the element that says the same undecoded.
        """
        super().__init__(items)
        self.source = source
        # Shallow: raw elements can't change, only be replaced by what was decoded from them.
        self._items = tuple((item, dict(item.items())) for item in self)

    def is_untouched(self) -> bool:
        """Tell whether nothing has changed in the items and below."""
        return len(self) == len(self._items) and all(
            now is item and len(now) == len(kept) and _is_same(now, kept)
            for now, (item, kept) in zip(self, self._items, strict=True)
        )


def _is_same(item: Dataset, kept: Mapping[BaseTag, Kept]) -> bool:
    return all(is_unchanged(element, kept.get(tag)) for tag, element in item.items())


def is_unchanged(element: Kept, read: Kept | None) -> bool:
    """Tell whether an element is as it was read, decoded to look at or not."""
    value = element.value
    if isinstance(element, RawDataElement) or isinstance(value, FilePart):
        return element is read
    if not isinstance(value, ReadSequence) or read is None:
        return False
    return (element is read or value.source is read) and value.is_untouched()


def extent(element: Kept, *, implicit: bool) -> tuple[int, int]:
    """Return where an element begins and ends in its file."""
    value = element.value
    if isinstance(value, FilePart):
        return value.element_start, value.end
    assert isinstance(element, RawDataElement)
    start = element.value_tell
    end = start + len(value or b"")
    if element.length == UNDEFINED_LENGTH:
        end += DELIMITER_BYTES
    return start - head_bytes(None if implicit else element.VR), end
