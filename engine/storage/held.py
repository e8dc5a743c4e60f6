"""Objects that are held in memory until they are edited, so that no disk sees whose they are.

The header of an object, and what comes behind its pixel data, stay in memory. The pixel data of a
large one, and of a later one of a series, are on the disk. What edits the object is given it
without them, and they are put back afterwards. They mostly need not move for that: they are written
where they will be if the edit makes the header as much shorter as that of the object before.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.dicom.dataset import ElementIndexCache, IndexKey
from engine.dicom.elements import encoding_of, index
from engine.dicom.part10 import body_offset_in
from engine.errors import UnreadableObject
from engine.host.kernel_copy import copy_bytes
from engine.storage.incoming import PartFile, out_of_resources
from engine.storage.pixel_data import ANY_SIZE, LAST_TAG, Fragments, PixelData, pixels_in, place_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dicom.elements import Buffer, Encoding
    from engine.storage.incoming import IncomingArea

IN_MEMORY_BYTES: Final = 1024 * 1024
"""Up to this size a whole object is in memory: 500 associations take half a gigabyte at most."""
MOST_HEADER_BYTES: Final = 8 * 1024 * 1024
"""A longer header is written to the disk as it comes."""
_LEAST_PIXEL_BYTES: Final = 64 * 1024
"""Shorter pixel data go with the header: to leave them out would cost more than it saves."""
_BEGINNING_BYTES: Final = 16_000
"""Most headers are shorter."""


class WithoutPixels(NamedTuple):
    """An object that is to be edited, with an empty value where its pixel data are."""

    content: bytes
    """The DICOM file."""
    head: bytes
    """The head of the pixel data element as it came."""
    empty: bytes
    """The element as it is in `content`."""
    behind: bytes
    """What comes behind it."""


class HeldPart(PartFile):
    """An object that is arriving into memory; used by one thread, gone after `discard`."""

    def __init__(
        self,
        area: IncomingArea,
        *,
        needs_whole: str = "",
        keeps_unreadable: bool = False,
        shift: int | None = None,
        report: Callable[[str], None] = lambda _: None,
        most_header_bytes: int = MOST_HEADER_BYTES,
    ) -> None:
        """Begin an empty object.

        Args:
            area: where what must be on the disk goes.
            needs_whole: why a large object can't be edited without its pixel data; empty if it can.
            keeps_unreadable: whether an object that can't be read may be on the disk as it came.
            shift: by how many bytes the edit has moved the pixel data of the object before; None if
                there was none, so that a small object stays in memory.
            report: told why an object is on the disk before it is edited, if it is.
            most_header_bytes: of a header that is held.

        Raises:
            OutOfResources: if the system does not admit it.
        """
        memory = area.create_held_part()
        super().__init__(memory.folder_fd, memory.name, memory.fd)
        self._area = area
        self._needs_whole = needs_whole
        self._keeps_unreadable = keeps_unreadable
        self._report = report
        self.shift = shift
        """By how many bytes the edit has moved the pixel data; None if they are gone."""
        self._most_header_bytes = most_header_bytes
        self._most = most_header_bytes // 1024**2
        self.body_offset = 0
        self._encoding: Encoding | None = None
        self._length = 0
        """Of what has come, the file meta included."""
        self._next_look = min(IN_MEMORY_BYTES, most_header_bytes)
        """At which length the pixel data are looked for."""
        self._pixels: PixelData | None = None
        """Known as soon as they are on the disk."""
        self.transfer_syntax_uid = ""
        self._layouts = ElementIndexCache()
        self._found: tuple[int, PixelData | None] = (0, None)
        """Where the pixel data are in memory, and how much had come when they were looked for."""
        self._fragments: Fragments | None = None
        self._fault: UnreadableObject | None = None
        """Why the pixel data have no end; all that comes then goes with them."""
        self._without_pixels: WithoutPixels | None = None
        self._disk: PartFile | None = None
        """Holds the pixel data, if they are not in memory with the rest."""
        self._disk_start = 0
        """Where the value of the pixel data begins there."""

    def expect(
        self, body_offset: int, transfer_syntax_uid: str, layouts: ElementIndexCache
    ) -> None:
        """Note what comes.

        Args:
            body_offset: where the data set begins.
            transfer_syntax_uid: how it is encoded.
            layouts: the layouts of objects that came before, if some may be the same.

        Raises:
            UnreadableObject: if the whole data set is deflated and must not be kept.
        """
        self.body_offset = body_offset
        self.transfer_syntax_uid, self._layouts = transfer_syntax_uid, layouts
        try:
            self._encoding = encoding_of(transfer_syntax_uid)
        except UnreadableObject:
            # Nothing is looked for in it. It is refused when it is complete, and then it is kept.
            if not self._keeps_unreadable:
                raise

    @property
    def is_split(self) -> bool:
        """Whether the pixel data are on the disk, and not in memory with the rest."""
        return self._pixels is not None

    @property
    def size_bytes(self) -> int:
        """What has come, the file meta included."""
        return self._length

    def writev(self, buffers: Sequence[Buffer]) -> None:
        """Append buffers of bytes, all of them.

        Raises:
            OutOfResources: if memory or storage do not take them; the part is worthless then.
        """
        try:
            if self._pixels is None and self._length == 0 and self.shift is not None:
                buffers = self._split_at_once(buffers)
            if self._pixels is not None:
                self._write_split(buffers)
                return
        except OSError as error:
            raise out_of_resources(error) from error
        super().writev(buffers)
        self._length += sum(map(len, buffers))
        if self._length > self._next_look and self.is_held:
            self._look()

    def whole(self) -> PartFile:
        """Return the object as one part on the disk, which is the caller's from now on.

        Raises:
            OutOfResources: if the storage does not take it.
        """
        if self._disk is None or self._pixels is None:
            return copy_to_disk(self._area, self)
        disk, pixels, self._disk, self._pixels = self._disk, self._pixels, None, None
        try:
            return self._complete(disk, pixels)
        except OSError as error:
            disk.discard()
            raise out_of_resources(error) from error

    def discard(self) -> None:
        """Let go of memory and disk; again has no effect."""
        super().discard()
        if self._disk is not None:
            self._disk.discard()
            self._disk = None

    def without_pixels(self) -> WithoutPixels | None:
        """Return the object without its pixel data; None if it must be edited as a whole.

        Raises:
            UnreadableObject: if the pixel data are cut short or have no end.
        """
        # Asked for twice if the object is split: to read the header, and to edit it.
        if self._without_pixels is None:
            self._without_pixels = self._taken_out()
        return self._without_pixels

    def _taken_out(self) -> WithoutPixels | None:
        pixels = self._pixels or (None if self._needs_whole else self._found_in_memory())
        if pixels is None:
            return None
        end = self._end_of(pixels)
        if not self.is_split and end - pixels.start < _LEAST_PIXEL_BYTES:
            return None
        before = os.pread(self.fd, pixels.start, 0)
        behind = os.pread(self.fd, self._length - end, end)
        head = before[pixels.element :]
        undefined = head.endswith(b"\xff\xff\xff\xff")
        empty = head + self._sequence_end() if undefined else head[:-4] + bytes(4)
        content = b"".join((before[: pixels.element], empty, behind))
        return WithoutPixels(content, head, empty, behind)

    def with_pixels(self, edited: bytes, source: WithoutPixels) -> PartFile:
        """Return the edited object with its pixel data, on the disk; without them if they went.

        It may be the part in which the pixel data are already, so that this can be done once only.

        Args:
            edited: what `source` has become.
            source: as `without_pixels` gave it.

        Raises:
            UnreadableObject: if the edited object can't be read.
            OutOfResources: if the storage does not take it.
        """
        pixels = self._pixels or self._found_in_memory()
        assert pixels is not None
        place = self._place_of_empty(edited, body_offset_in(edited) or 0, source)
        if place is None:
            self.shift = None
            return _written(self._area, lambda target: target.writev((edited,)))
        before, behind = edited[:place] + source.head, edited[place + len(source.empty) :]
        self.shift = len(before) - pixels.start
        size_bytes = self._end_of(pixels) - pixels.start
        if self._disk is not None and self._disk_start == len(before):
            return self._filled(before, size_bytes, behind)

        def write(target: PartFile) -> None:
            target.writev((before,))
            self._append_pixels(target, pixels, size_bytes)
            target.writev((behind,))

        return _written(self._area, write)

    def _filled(self, before: bytes, size_bytes: int, behind: bytes) -> PartFile:
        """Return the part in which the pixel data are, with what belongs around them."""
        assert self._disk is not None
        disk, self._disk, self._pixels = self._disk, None, None
        try:
            os.lseek(disk.fd, 0, os.SEEK_SET)
            disk.writev((before,))
            if behind:
                os.lseek(disk.fd, self._disk_start + size_bytes, os.SEEK_SET)
                disk.writev((behind,))
        except BaseException:
            disk.discard()
            raise
        return disk

    def _append_pixels(self, target: PartFile, pixels: PixelData, size_bytes: int) -> None:
        disk = self._disk
        start = pixels.start if disk is None else self._disk_start
        _append(target.fd, (disk or self).fd, start, start + size_bytes)

    def _place_of_empty(self, content: bytes, body: int, source: WithoutPixels) -> int | None:
        """Return where the empty element is in the edited object; None if it is there no more."""
        tail = source.empty + source.behind
        if content.endswith(tail):  # as most scripts leave it
            return len(content) - len(tail)
        # All of it is looked at, for "not there" would lose the pixel data.
        encoding = self._required_encoding
        key, _ = encoding.key_and_length(source.head, 0)
        place = index(content[body:], encoding, LAST_TAG, to_end=True).starts.get(key)
        if place is not None and not content.startswith(source.empty, body + place):
            raise UnreadableObject("the head of its pixel data is another one")
        return None if place is None else body + place

    def _look(self) -> None:
        """Let the pixel data go to the disk, now that there is much of them."""
        if self._encoding is None:
            self._move_to_disk()
            return
        found = None if self._needs_whole else self._found_in_memory()
        if found is not None:
            try:
                self._split(found)
            except OSError as error:
                raise out_of_resources(error) from error
        elif self._needs_whole or self._length > self._most_header_bytes:
            self._give_up(self._needs_whole or f"its header is longer than {self._most} MiB")
        else:
            self._next_look = min(2 * self._length, self._most_header_bytes)

    def _found_in_memory(self) -> PixelData | None:
        if self._found[0] != self._length:
            self._found = self._length, self._found_by_layout() or self._found_by_walk()
        return self._found[1]

    def _found_by_layout(self) -> PixelData | None:
        place = self._found_in(os.pread(self.fd, _BEGINNING_BYTES, self.body_offset))
        return None if place is None or place.end is None else place

    def _found_in(self, beginning: bytes) -> PixelData | None:
        """Look at the beginning only, which has the layout of the object before most often."""
        form = IndexKey(self.transfer_syntax_uid, LAST_TAG, len(beginning), ANY_SIZE)
        try:
            found = self._layouts.index(beginning, form)
        except UnreadableObject:
            return None
        return place_in(found, beginning, self.body_offset, self._required_encoding)

    def _found_by_walk(self) -> PixelData | None:
        with (
            mmap.mmap(self.fd, self._length, access=mmap.ACCESS_READ) as pages,
            memoryview(pages) as content,
        ):
            try:
                return pixels_in(content, self.body_offset, self._required_encoding, ANY_SIZE)
            except UnreadableObject:
                # A sequence may go on beyond what has come; what is really wrong with the object
                # is said when it is complete.
                return None

    def _split(self, pixels: PixelData) -> None:
        arrived = self._length
        content = os.pread(self.fd, arrived - pixels.start, pixels.start)
        os.ftruncate(self.fd, pixels.start)
        self._begin_split(pixels)
        self._write_split((content,))

    def _split_at_once(self, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """Keep the header of the first bytes if all of it is there; return what comes behind it."""
        if self._needs_whole or self._encoding is None:
            return buffers
        first = _beginning(buffers, self.body_offset + _BEGINNING_BYTES)
        pixels = self._found_in(first[self.body_offset :])
        if pixels is None or (pixels.end or ANY_SIZE) - pixels.start < _LEAST_PIXEL_BYTES:
            return buffers
        super().writev((first[: pixels.start],))
        self._begin_split(pixels)
        return _behind(buffers, pixels.start)

    def _begin_split(self, pixels: PixelData) -> None:
        """Let the pixel data go to the disk from now on."""
        disk = self._area.create_part()
        self._disk, self._pixels, self._length = disk, pixels, pixels.start
        self._disk_start = max(pixels.start + (self.shift or 0), 0)
        os.lseek(disk.fd, self._disk_start, os.SEEK_SET)
        if pixels.end is None:
            self._fragments = Fragments(self._required_encoding)

    def _write_split(self, buffers: Sequence[Buffer]) -> None:
        assert self._disk is not None
        assert self._pixels is not None
        size_bytes = sum(map(len, buffers))
        # Nearly always: no object of Python for each fragment.
        if self._length + size_bytes <= (self._pixels.end or 0):
            self._disk.writev(buffers)
            self._length += size_bytes
            return
        inside: list[Buffer] = []
        for buffer in buffers:
            view = memoryview(buffer)
            taken = self._inside(view)
            if taken:
                inside.append(view[:taken])
            self._length += taken
            if taken < len(view):
                self._write_behind(view[taken:])
        if inside:
            self._disk.writev(inside)
        behind = 0 if self._pixels.end is None else self._length - self._pixels.end
        if behind > self._most_header_bytes:
            self._give_up(f"more than {self._most} MiB come behind its pixel data")

    def _inside(self, view: memoryview) -> int:
        """Return how many of some bytes belong to the pixel data."""
        assert self._pixels is not None
        if self._pixels.end is not None:
            return max(0, min(len(view), self._pixels.end - self._length))
        if self._fault is not None:
            return len(view)
        assert self._fragments is not None
        try:
            taken, ended = self._fragments.take(view)
        except UnreadableObject as fault:
            if not self._keeps_unreadable:
                raise
            self._fault = fault
            return len(view)
        if ended:
            self._pixels = self._pixels._replace(end=self._length + taken)
        return taken

    def _write_behind(self, view: memoryview) -> None:
        while view:
            written = os.pwrite(self.fd, view, self._length)
            self._length += written
            view = view[written:]

    def _give_up(self, why: str) -> None:
        """Go on on the disk alone, with all that has come."""
        self._report(why)
        self._move_to_disk()

    def _move_to_disk(self) -> None:
        disk = self.whole()
        os.lseek(disk.fd, self._length, os.SEEK_SET)
        os.close(self.fd)
        self.folder_fd, self.name, self.fd = disk.folder_fd, disk.name, disk.fd

    def _complete(self, disk: PartFile, pixels: PixelData) -> PartFile:
        """Add to the pixel data on the disk what is in memory; return the part with all of it."""
        end = self._length if pixels.end is None else min(pixels.end, self._length)
        whole = disk if self._disk_start == pixels.start else self._area.create_part()
        os.lseek(whole.fd, 0, os.SEEK_SET)
        _append(whole.fd, self.fd, 0, pixels.start)
        if whole is not disk:
            start = self._disk_start
            _append(whole.fd, disk.fd, start, start + end - pixels.start)
            disk.discard()
        if end < self._length:
            os.lseek(whole.fd, end, os.SEEK_SET)
            _append(whole.fd, self.fd, end, self._length)
        return whole

    def _end_of(self, pixels: PixelData) -> int:
        name = "(7FE0,0010)"
        if self._fault is not None:
            raise self._fault
        if pixels.end is None:
            raise UnreadableObject(f"{name} of undefined length has no end")
        if pixels.end > self._length:
            missing = pixels.end - self._length
            raise UnreadableObject(f"{name} runs {missing} bytes past the end")
        return pixels.end

    def _sequence_end(self) -> bytes:
        encoding = self._required_encoding
        key = encoding.sequence_end
        return key.to_bytes(4, "big" if encoding.big_endian else "little") + bytes(4)

    @property
    def _required_encoding(self) -> Encoding:
        assert self._encoding is not None
        return self._encoding


def on_disk(area: IncomingArea, part: PartFile) -> PartFile:
    """Return a part that can be published: this one, or what was held in memory.

    Raises:
        OutOfResources: if the storage does not take it.
    """
    if isinstance(part, HeldPart) and part.is_held:
        return part.whole()
    return copy_to_disk(area, part) if part.is_held else part


def copy_to_disk(area: IncomingArea, part: PartFile) -> PartFile:
    """Return a copy on the disk of what is in memory.

    Raises:
        OutOfResources: if the storage does not take it.
    """
    return _written(area, lambda copy: _append(copy.fd, part.fd, 0, part.size_bytes))


def _written(area: IncomingArea, write: Callable[[PartFile], object]) -> PartFile:
    """Return a new part with what a function writes to it."""
    part = area.create_part()
    try:
        write(part)
    except BaseException as error:
        part.discard()
        if isinstance(error, OSError):
            raise out_of_resources(error) from error
        raise
    return part


def _beginning(buffers: Sequence[Buffer], size_bytes: int) -> bytes:
    """Return the first bytes of some buffers."""
    beginning = bytearray()
    for buffer in buffers:
        beginning += buffer[: size_bytes - len(beginning)]
        if len(beginning) == size_bytes:
            break
    return bytes(beginning)


def _behind(buffers: Sequence[Buffer], size_bytes: int) -> list[Buffer]:
    """Return some buffers without their first bytes."""
    left: list[Buffer] = []
    for buffer in buffers:
        skipped = min(size_bytes, len(buffer))
        size_bytes -= skipped
        left.append(memoryview(buffer)[skipped:])
    return left


def _append(target: int, source: int, start: int, end: int) -> None:
    if not copy_bytes(source, target, start, end):
        raise OSError(errno.EIO, "a part became shorter")
