"""One object while it arrives: its bytes go to a part on the disk, behind our own file meta."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import OutOfResources
from engine.intake.write import file_preamble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.errors import IntakeError
    from engine.intake.elements import Buffer
    from engine.intake.write import Part
    from engine.model.receiver import Receiver

KEPT_BYTES = 32 * 1024
"""A data set up to this size is read from memory, a longer one from the file's own pages."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of an object before its data set is read."""

    receiver: Receiver
    """As configured when the object began to arrive; it applies to this object to the end."""
    calling_ae_title: str
    address: str
    association: str
    sop_class_uid: str
    """From the C-STORE request, as are the next two."""
    sop_instance_uid: str
    transfer_syntax_uid: str


class IncomingObject:
    """An object that is arriving; used by one thread."""

    def __init__(self, arrival: Arrival, begun_at: float) -> None:
        self.arrival = arrival
        self.size_bytes = 0
        """Of the data set so far."""
        self.body_offset = 0
        """Where the data set begins in the part."""
        self.complete_at = begun_at
        """Monotonic time at which the last byte had arrived."""
        self._kept = bytearray()
        self._part: Part | None = None
        self._failure: IntakeError | None = None

    def open(self, part: Part) -> None:
        """Begin the file.

        Raises:
            OutOfResources: if the storage does not take it.
        """
        self._part = part
        preamble = file_preamble(
            sop_class_uid=self.arrival.sop_class_uid,
            sop_instance_uid=self.arrival.sop_instance_uid,
            transfer_syntax_uid=self.arrival.transfer_syntax_uid,
            calling_ae_title=self.arrival.calling_ae_title,
            called_ae_title=str(self.arrival.receiver.ae_title),
        )
        self.body_offset = len(preamble)
        part.writev([preamble])

    def write(self, segments: Sequence[Buffer]) -> None:
        """Append to the data set; after a failure the bytes are counted and dropped."""
        for segment in segments:
            self.size_bytes += len(segment)
            if len(self._kept) <= KEPT_BYTES:
                self._kept += segment
        if self._part is None or self._failure is not None:
            return
        try:
            self._part.writev(segments)
        except OutOfResources as error:
            self.fail(error)

    def fail(self, error: IntakeError) -> None:
        """Give up on this object; its end is still waited for, and answered with the reason."""
        self._failure = error
        self.discard()

    def complete(self, now: float) -> Part:
        """Return the part, with all bytes in it.

        Raises:
            IntakeError: if something failed on the way.
        """
        self.complete_at = now
        if self._failure is not None:
            raise self._failure
        assert self._part is not None
        return self._part

    @contextmanager
    def data_set(self) -> Iterator[Buffer]:
        """Give the encoded data set to read from."""
        if self.size_bytes <= KEPT_BYTES:
            yield bytes(self._kept)
            return
        assert self._part is not None
        with (
            mmap.mmap(self._part.fd, 0, access=mmap.ACCESS_READ) as pages,
            memoryview(pages) as file,
            file[self.body_offset :] as data_set,
        ):
            yield data_set

    def discard(self) -> None:
        """Remove the part, if it has not become a file; again has no effect."""
        if self._part is not None:
            self._part.discard()
