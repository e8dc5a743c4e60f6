"""One object on its way in: its association, its request, and its file."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.dataset import ElementIndexCache, read_complete, read_in_parts
from engine.dicom.part10 import FileMeta, body_offset
from engine.dicom.repeated_edit import EditMemory
from engine.errors import IntakeError
from engine.model.session import ProjectScript
from engine.storage.held import HeldPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.dicom.elements import Buffer
    from engine.dicom.header import HeaderView
    from engine.identification.caches import SeriesCache
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.model.receiver import Receiver
    from engine.model.session import SessionArea
    from engine.storage.folders import OpenFolders
    from engine.storage.incoming import PartFile

KEPT_BYTES = 16_000
"""This much of a data set is kept in memory at least, because most headers are shorter.

It is a little less than a PDU of 16 KiB holds, the length that most senders use.
"""
WRITE_BACK_BYTES = 4 * 1024 * 1024
"""After so many bytes more of an object the kernel may begin to write them to the disk.

Of 100 MB that arrive in 0.1 s the flush at the end takes 11 ms then, else 61 ms (2026, virtual disk
that writes 1.6 GB/s). A CT image gains nothing: its flush waits for the disk, not for its bytes.
"""
_KEPT_METAS = 256
"""An association has at most 128 presentation contexts (PS3.8 9.3.2.2)."""


class AssociationContext:
    """One association, and what its objects have in common.

    Used by one thread at a time; the association closes it at its end.
    """

    def __init__(
        self,
        receiver: Receiver,
        calling_ae_title: str,
        address: str,
        association: str,
        folders: Mapping[SessionArea, OpenFolders],
    ) -> None:
        self.receiver = receiver
        """As configured when its objects begin to arrive; it applies to them to the end."""
        self.receiver_label = receiver.label
        self.calling_ae_title = calling_ae_title
        self.address = address
        self.association = association
        self.folders = folders
        """The open folders that files go to, by area."""
        self._metas: dict[tuple[str, str], FileMeta] = {}
        self.layouts = ElementIndexCache()
        self.edits = EditMemory()
        """What scripts have done to its last objects."""
        self.pixel_shift: int | None = None
        """By how many bytes the last edit has moved the pixel data, as it may the next ones."""
        self.may_not_wait = False
        """Whether the present object is stored by a thread that must not wait for a script."""
        self.receiver_policy: ReceiverPolicy | None = None
        """The policy that decided about the last object."""
        self.traced: tuple[int, tuple[tuple[int, str | None], ...]] | None = None
        """The session last written to the traces, and the values that it can be found by."""
        self.series: SeriesCache | None = None
        """The last series, for as long as `receiver_policy` stays the same."""

    def file_meta(self, sop_class_uid: str, transfer_syntax_uid: str) -> FileMeta:
        """Return the file meta of objects of a SOP class in a transfer syntax.

        Raises:
            UnreadableObject: if the UID is longer than an element can hold.
        """
        key = (sop_class_uid, transfer_syntax_uid)
        meta = self._metas.get(key)
        if meta is None:
            called = str(self.receiver.ae_title)
            meta = FileMeta(
                *(sop_class_uid, transfer_syntax_uid, self.calling_ae_title, called),
                anonymization=self.receiver.anonymization,
            )
            # Classes and syntaxes come from the peer, which may name another class in each request:
            # the cache stays small.
            if len(self._metas) >= _KEPT_METAS:
                self._metas.clear()
            self._metas[key] = meta
        return meta

    def close(self) -> None:
        """Close the folders."""
        for folders in self.folders.values():
            folders.close()


class ObjectArrival(NamedTuple):
    """What is known of an object before its data set is read."""

    source: AssociationContext
    sop_class_uid: str
    """From the C-STORE request, as are the next two."""
    sop_instance_uid: str
    transfer_syntax_uid: str


class IncomingObject:
    """An object that is arriving; used by one thread."""

    def __init__(self, arrival: ObjectArrival, begun_at: float) -> None:
        self.arrival = arrival
        self.size_bytes = 0
        """Of the data set so far."""
        self.body_offset = 0
        """Where the data set begins in the part."""
        self.complete_at = begun_at
        """Monotonic time at which the last byte had arrived."""
        self.hold: int | None = None
        """Holds the session that it joins, which is not moved until this object's row is queued."""
        self.project_script = ProjectScript.DUE
        """Whether its project's anonymization is yet to come."""
        self._write_back_at_bytes = WRITE_BACK_BYTES
        self._preamble = b""
        """What is yet to be written before the data set."""
        self._kept = bytearray()
        self._part: PartFile | None = None
        self._failure: IntakeError | None = None

    def open(self, part: PartFile) -> None:
        """Begin the file; its preamble is written together with the first bytes.

        Raises:
            UnreadableObject: if the UIDs are too long for a file meta.
        """
        self._part = part
        _, sop_class_uid, sop_instance_uid, transfer_syntax_uid = self.arrival
        meta = self.arrival.source.file_meta(sop_class_uid, transfer_syntax_uid)
        self._preamble = meta.preamble(sop_instance_uid)
        self.body_offset = len(self._preamble)
        if isinstance(part, HeldPart):
            part.expect(self.body_offset, transfer_syntax_uid, self.arrival.source.layouts)

    def write(self, segments: Sequence[Buffer], size_bytes: int) -> None:
        """Append to the data set; after a failure the bytes are counted and discarded."""
        if self.size_bytes < KEPT_BYTES:
            self._keep(segments)
        self.size_bytes += size_bytes
        # The peer sends the rest of the data set in any case; the answer comes at its end.
        if self._part is None or self._failure is not None:
            return
        # One system call for both.
        if self._preamble:
            segments, self._preamble = (self._preamble, *segments), b""
        try:
            self._part.writev(segments)
        except IntakeError as error:
            self.fail(error)

    def write_back_due(self) -> bool:
        """Tell whether to start writing back; once for every `WRITE_BACK_BYTES`."""
        if self.size_bytes < self._write_back_at_bytes:
            return False
        self._write_back_at_bytes = self.size_bytes + WRITE_BACK_BYTES
        # What is in memory is still to be edited, and another file is flushed then.
        return self._failure is None and not isinstance(self._part, HeldPart)

    def _keep(self, segments: Sequence[Buffer]) -> None:
        for segment in segments:
            # A copy: the segments are views of the receive buffer, which is used again.
            self._kept += segment
            if len(self._kept) >= KEPT_BYTES:
                return

    def fail(self, error: IntakeError) -> None:
        """Discard the object; the answer at its end gives this error as the reason."""
        self._failure = error
        self.discard()

    def complete(self, now: float) -> PartFile:
        """Return the part, with all bytes in it.

        Raises:
            IntakeError: if something failed on the way.
        """
        self.complete_at = now
        # A data set without a byte: the preamble was not written with anything.
        if self._failure is None and self._preamble:
            self.write((), 0)
        if self._failure is not None:
            raise self._failure
        assert self._part is not None
        return self._part

    def read(self, last_tag: int) -> HeaderView:
        """Check the data set to its end and return its header.

        Raises:
            UnreadableObject: if it is not a complete data set.
        """
        kept, syntax = self._kept, self.arrival.transfer_syntax_uid
        layouts = self.arrival.source.layouts
        if isinstance(self._part, HeldPart) and self._part.is_split:
            source = self._part.without_pixels()
            assert source is not None
            data_set = memoryview(source.content)[self.body_offset :]
            return read_complete(data_set, syntax, last_tag=last_tag, layouts=layouts)
        # The whole data set is in memory: nothing is read back from the file.
        if len(kept) == self.size_bytes:
            return read_complete(kept, syntax, last_tag=last_tag, layouts=layouts)
        header = read_in_parts(
            *(kept, self._rest_from, syntax, self.size_bytes), last_tag=last_tag, layouts=layouts
        )
        return header or self._read_from_file(last_tag)

    def _rest_from(self, position: int) -> bytes:
        assert self._part is not None
        return os.pread(self._part.fd, self.size_bytes - position, self.body_offset + position)

    def _read_from_file(self, last_tag: int) -> HeaderView:
        assert self._part is not None
        with (
            mmap.mmap(self._part.fd, 0, access=mmap.ACCESS_READ) as pages,
            memoryview(pages) as file,
            file[self.body_offset :] as data_set,
        ):
            return read_complete(data_set, self.arrival.transfer_syntax_uid, last_tag=last_tag)

    @property
    def part(self) -> PartFile:
        """The file of the object; call it once the object is complete."""
        assert self._part is not None
        return self._part

    def replace_file(self, part: PartFile) -> PartFile:
        """Continue with another part, a complete file; the present one is removed."""
        self.discard()
        self._part, self.body_offset = part, body_offset(part.fd) or 0
        return part

    def discard(self) -> None:
        """Remove the part's name; a published file stays. Calling it again has no effect."""
        if self._part is not None:
            self._part.discard()
