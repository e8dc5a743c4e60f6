"""What is found to be sent: objects, and everything else with the reason."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.errors import UnreadableObject
from engine.model.session import ObjectState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from engine.dicom.part10 import ObjectHead

PIECE_BYTES = 1024 * 1024


class Outcome(StrEnum):
    """What became of one file; the first ones are the states of the engine's own row."""

    STORED = ObjectState.STORED.value
    DUPLICATE = ObjectState.DUPLICATE.value
    FILTERED = ObjectState.FILTERED.value
    REJECTED = ObjectState.REJECTED.value
    QUARANTINED = ObjectState.QUARANTINED.value
    FAILED = ObjectState.FAILED.value
    REFUSED = "refused"
    """Not sent: the peer does not accept this SOP class in this transfer syntax."""
    NOT_COMMITTED = "not committed"
    """The peer answered that it has stored it, and did not commit to it when it was asked."""
    UNREADABLE = "unreadable"
    """Broken, encrypted, changed while it was read, or not permitted to be read."""
    MISSING = "missing"
    """A DICOMDIR refers to it, and it is not there."""
    NOT_DICOM = "not DICOM"
    """Some other file; no failure."""


GOOD = frozenset((Outcome.STORED, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.NOT_DICOM))
"""The outcomes that need nobody's attention."""
BAD = frozenset(Outcome) - GOOD


@dataclass(frozen=True, slots=True)
class Name:
    """The name of one file."""

    source: str
    """A file, by its full path."""
    member: str = ""
    """Within the archive that `source` is; empty for a file itself."""
    size_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.source}: {self.member}" if self.member else self.source


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that is not sent, and why."""

    name: Name
    outcome: Outcome
    reason: str
    read_bytes: int = 0
    """The share of the source's bytes that is done with it."""


class Content(Protocol):
    """The bytes of one object, from where they are."""

    can_repeat: bool
    """Whether they can be read more than once."""

    def pieces(self, offset: int) -> Iterator[memoryview]:
        """Yield the bytes from an offset to the end.

        Raises:
            UnreadableObject: if there are fewer or more bytes than were announced, or if they
                can't be decompressed.
            OSError: if they can't be read.
        """
        ...

    def close(self) -> None:
        """Free what holds the bytes; calling it again has no effect."""
        ...


@dataclass(slots=True)
class FoundObject:
    """An object to send; used by one thread at a time, and the last one calls `close`."""

    name: Name
    head: ObjectHead
    content: Content
    read_bytes: int = 0
    """The share of the source's bytes that is done with it."""
    closed: threading.Event = field(default_factory=threading.Event)
    tries: int = 0
    """How often it was begun to be sent."""

    @property
    def context(self) -> tuple[str, str]:
        """SOP class and transfer syntax."""
        return self.head.sop_class_uid, self.head.transfer_syntax_uid

    @property
    def data_set_bytes(self) -> int:
        """The size of the data set."""
        return self.name.size_bytes - self.head.offset

    def data_set(self) -> Iterator[memoryview]:
        """Yield the bytes of the data set; raises as `Content.pieces` does."""
        return self.content.pieces(self.head.offset)

    def close(self) -> None:
        """Free the content."""
        self.content.close()
        self.closed.set()


Found = FoundObject | Leftover


class FileContent:
    """A file, which may be moved or removed meanwhile."""

    can_repeat = True

    def __init__(self, fd: int, size_bytes: int) -> None:
        """Own the descriptor."""
        self._fd, self._size_bytes = fd, size_bytes

    def pieces(self, offset: int) -> Iterator[memoryview]:
        """Yield the bytes from an offset to the end."""
        while offset < self._size_bytes:
            piece = os.pread(self._fd, min(PIECE_BYTES, self._size_bytes - offset), offset)
            if not piece:
                raise UnreadableObject("became shorter while it was read")
            offset += len(piece)
            yield memoryview(piece)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class HeldContent:
    """A small member of an archive, in memory."""

    can_repeat = True

    def __init__(self, content: bytes) -> None:
        self._content = content

    def pieces(self, offset: int) -> Iterator[memoryview]:
        """Yield the bytes from an offset to the end."""
        view = memoryview(self._content)
        for begin in range(offset, len(view), PIECE_BYTES):
            yield view[begin : begin + PIECE_BYTES]

    def close(self) -> None:
        """Free the bytes."""
        self._content = b""


class StreamedContent:
    """A large member of an archive: sent while it is decompressed, so never in memory as a whole.

    The archive is read on one thread at a time: until this is closed by the thread that sends it,
    the one that reads the archive waits.
    """

    can_repeat = False

    def __init__(self, beginning: bytes, rest: BinaryIO, size_bytes: int) -> None:
        """Own the rest.

        Args:
            beginning: what was read already.
            rest: goes on behind it; its errors are `UnreadableObject` or `OSError`.
            size_bytes: of both.
        """
        self._beginning, self._rest, self._size_bytes = beginning, rest, size_bytes

    def pieces(self, offset: int) -> Iterator[memoryview]:
        """Yield the bytes from an offset to the end."""
        yield memoryview(self._beginning)[offset:]
        left = self._size_bytes - len(self._beginning)
        while left:
            piece = self._rest.read(min(PIECE_BYTES, left))
            if not piece:
                raise UnreadableObject("the archive has fewer bytes of it than it announces")
            left -= len(piece)
            # Before the last piece leaves: the checksum is compared at the end of the member.
            if not left and self._rest.read(1):
                raise UnreadableObject("the archive has more bytes of it than it announces")
            yield memoryview(piece)

    def close(self) -> None:
        """Close the member."""
        self._rest.close()
