"""Incoming files: written, flushed, published without overwriting, and flushed again.

A part is the file of an object while it arrives. `IncomingArea` makes parts, `publish` gives them
their final name. No part stays behind, also after errors and crashes.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Self

from engine.dicom.part10 import body_offset as body_offset_of
from engine.errors import DuplicateInstance, OutOfResources, StorageUnusable
from engine.model.site import DuplicatePolicy
from engine.settings import Durability
from engine.storage.folders import FOLDER_MODE, open_folder, require_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.dicom.elements import Buffer
    from engine.storage.folders import OpenFolders


# No link is followed, and a FIFO or device does not block the thread.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BECAME_SOMETHING_ELSE = frozenset((errno.ELOOP, errno.ENOENT, errno.ENXIO))
"""Errors of opening a file that was replaced or removed a moment ago."""
# The group length differs with the transfer syntax and the sender, so it is not compared.
_META = 128 + 4 + 12  # PS3.10 7.1: preamble, DICM, and the group length itself
_LONGEST_BYTES = 2048
_TRANSFER_SYNTAX = Struct("<HH2s").pack(0x0002, 0x0010, b"UI")


def is_same_instance(part_fd: int, folder_fd: int, name: str) -> bool:
    """Tell whether a file has the part's SOP class and instance, by the file metas of both.

    The engine writes all file metas itself, in one order. So for two objects of one SOP instance,
    everything before the element of the transfer syntax is equal.

    Raises:
        OSError: if the storage fails.
    """
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in BECAME_SOMETHING_ELSE:
            return False
        raise
    try:
        mine = _identity(part_fd)
        return bool(mine) and stat.S_ISREG(os.fstat(fd).st_mode) and mine == _identity(fd)
    finally:
        os.close(fd)


def _identity(fd: int) -> bytes:
    """Return the encoded version, SOP class and SOP instance of a file meta; empty if not ours."""
    meta, transfer_syntax, _ = os.pread(fd, _LONGEST_BYTES, _META).partition(_TRANSFER_SYNTAX)
    return meta if transfer_syntax else b""


FILE_MODE = 0o640
INCOMING_MODE = 0o700
"""Mode of the folder of parts; parts have their final mode from the beginning."""
MAX_SUFFIX = 99
"""How many different objects with one name are kept."""

_MAX_BUFFERS = 1024  # IOV_MAX of Linux
# Two pieces of this size are in memory while an object is compared, however large it is.
_COMPARED_BYTES = 256 * 1024
# Exclusive: a part that is there is never written to, `create_part` takes the next number.
_PART_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a device or FIFO must not block: the name may be one since the `stat` before.
_COMPARE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_DENIED = "no permission on the storage; see dicomdock check"
_WORDS = {
    errno.ENOSPC: "no space or no inodes left on the storage",
    errno.EDQUOT: "the storage quota is exhausted",
    errno.EROFS: "the storage is read-only",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EIO: "the storage reports an input/output error",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files on this machine",
    errno.EFBIG: "the object is larger than the storage admits",
    errno.ENOMEM: "out of memory",
    errno.ELOOP: "a link stands where a folder belongs",
    errno.ENOTDIR: "something else stands where a folder belongs",
    errno.ENOENT: "a folder of the storage is gone",
    errno.ENAMETOOLONG: "the storage does not admit names of this length",
    errno.EXDEV: "incoming and final folder are on different file systems",
    errno.ESTALE: "the storage was unmounted",
}


def out_of_resources(error: OSError) -> OutOfResources:
    """Translate an operating system error into a reason for the peer, without any path."""
    code = error.errno or 0
    name = errno.errorcode.get(code, str(code))
    return OutOfResources(_WORDS.get(code, f"the storage failed with {name}"))


_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class PartFile:
    """The file of an arriving object; used by one thread at a time."""

    def __init__(self, folder_fd: int, name: str, fd: int) -> None:
        self.folder_fd = folder_fd
        self.name = name
        """In the folder of parts; empty if the bytes are in memory only, see `create_held_part`."""
        self.fd = fd

    @property
    def is_held(self) -> bool:
        """Whether the bytes are in memory, and on no disk."""
        return not self.name

    @property
    def path(self) -> Path:
        """Return what opens the part anew, in this process, as long as it is open."""
        return Path(f"/proc/self/fd/{self.fd}")

    @property
    def size_bytes(self) -> int:
        """Size of the file, with its file meta."""
        return os.fstat(self.fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def writev(self, buffers: Sequence[Buffer]) -> None:
        """Append all buffers.

        Raises:
            OutOfResources: if that fails; the part is incomplete then, and must be discarded.
        """
        wanted = sum(map(len, buffers))
        try:
            # One system call for all fragments that one receive has brought, without joining them.
            written = os.writev(self.fd, buffers[:_MAX_BUFFERS])
            # More buffers than the system takes at once, or a short write, as on a disk that is
            # nearly full: then writing the rest raises the error.
            if written < wanted:
                self._write_rest(buffers, written)
        except OSError as error:
            raise out_of_resources(error) from error

    def _write_rest(self, buffers: Sequence[Buffer], skip: int) -> None:
        for buffer in buffers:
            rest = memoryview(buffer)[skip:]
            skip = max(0, skip - len(buffer))
            while rest:
                written = os.write(self.fd, rest)
                rest = rest[written:]

    def start_write_back(self) -> None:
        """Let the kernel begin to write to the disk what is in the part; for any thread.

        This promises nothing: only the flush of `publish` does, and it finds all errors.
        """
        # The kernel may do the same by itself at any time, so there is no new way to fail. It is
        # harmless if the part is closed meanwhile, and its number another file's.
        if _sync_file_range is not None:
            _sync_file_range(self.fd, 0, 0, _SYNC_FILE_RANGE_WRITE)

    def discard(self) -> None:
        """Remove the part's name and close it; calling it again has no effect.

        A name that can't be removed is swept at the next start.
        """
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        # `suppress` would take half as long as the calls themselves.
        try:
            # The final name is another link to the same file: it stays.
            if self.name:
                os.unlink(self.name, dir_fd=self.folder_fd)
        except OSError:
            pass
        try:  # noqa: SIM105
            os.close(fd)
        except OSError:
            pass


class IncomingArea:
    """The folder of arriving objects, one per run; for all threads."""

    def __init__(self, root: Path, boot_id: str) -> None:
        try:
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._folder_fd = open_folder(root_fd, (boot_id,))
                os.fchmod(self._folder_fd, INCOMING_MODE)
            finally:
                os.close(root_fd)
        except OSError as error:
            raise StorageUnusable(
                f"objects can't be received into {root}: {error}",
                "make it a folder that this user may write to",
            ) from error
        self._root = root
        self._boot_id = boot_id
        self._numbers = itertools.count(1)
        self._is_masked = _umask() & FILE_MODE != 0
        """Whether the umask takes something from the mode of new files."""

    def create_part(self) -> PartFile:
        """Create an empty part.

        Raises:
            OutOfResources: if the file can't be created.
        """
        while True:
            name = f"{next(self._numbers):08d}.part"
            try:
                fd = os.open(name, _PART_FLAGS, FILE_MODE, dir_fd=self._folder_fd)
            except FileExistsError:
                continue
            except OSError as error:
                raise out_of_resources(error) from error
            part = PartFile(self._folder_fd, name, fd)
            if self._is_masked:
                _unmask(part)
            return part

    def create_held_part(self) -> PartFile:
        """Create an empty part in memory, for what must not reach the disk as it came.

        It can't be published: `engine.storage.held.on_disk` makes a part of it that can.

        Raises:
            OutOfResources: if the system does not admit one.
        """
        try:
            return PartFile(-1, "", os.memfd_create("part", os.MFD_CLOEXEC))
        except OSError as error:
            raise out_of_resources(error) from error

    def sweep(self) -> int:
        """Remove the parts of other runs; return how many files were removed."""
        return sweep(self._root, but=self._boot_id)

    def close(self) -> None:
        """Close the folder, and remove it if it is empty."""
        os.close(self._folder_fd)
        with suppress(OSError):
            (self._root / self._boot_id).rmdir()


def sweep(root: Path, *, but: str = "") -> int:
    """Remove parts that killed engines have left; they are not anonymized yet.

    Args:
        root: the folder of all incoming areas; no other engine may use it now.
        but: the name of the area to keep.

    Returns:
        How many files were removed.
    """
    if not root.is_dir():
        return 0
    return sum(_remove_tree(path) for path in root.iterdir() if path.name != but)


def sweep_area(root: Path, name: str) -> frozenset[int]:
    """Remove the area of a process that has ended.

    Returns:
        The inodes of the parts that have another name too: they were published, and the engine has
        perhaps not been told.
    """
    area = root / name
    if not area.is_dir():
        return frozenset()
    found = [path.lstat() for path in area.iterdir()]
    _remove_tree(area)
    return frozenset(part.st_ino for part in found if part.st_nlink > 1)


def _unmask(part: PartFile) -> None:
    """Set the mode of a part, in spite of the umask."""
    try:
        os.fchmod(part.fd, FILE_MODE)
    except OSError as error:
        part.discard()
        raise out_of_resources(error) from error


def _umask() -> int:
    """Return the umask. It can't be read without setting it, so it is strict for a moment."""
    umask = os.umask(0o777 & ~FOLDER_MODE)
    os.umask(umask)
    return umask


def _remove_tree(top: Path) -> int:
    """Remove a file, or a folder with its content; links are removed, never followed."""
    files = 0
    for _, folders, names, fd in os.fwalk(top, topdown=False):
        files += sum(_remove(name, fd) for name in (*names, *folders))
    return files + _remove(str(top))


def _remove(name: str, folder_fd: int | None = None) -> bool:
    """Remove one entry if possible; return whether it was removed and was not a folder."""
    try:
        os.unlink(name, dir_fd=folder_fd)
    except IsADirectoryError:
        with suppress(OSError):
            os.rmdir(name, dir_fd=folder_fd)
        return False
    except OSError:
        return False
    return True


class Published(NamedTuple):
    """The place of a published object, and how it got there."""

    path_parts: tuple[str, ...]
    """Folders and file name, relative to the root."""
    duplicate: bool = False
    """The same data set was there already; nothing was written."""
    renamed: bool = False
    """Another object has the name, so this one has a suffix."""
    same_instance: bool = False
    """The other object is of the same SOP instance."""
    replaced: bool = False
    """It replaced another object of the same SOP instance."""


def publish(
    part: PartFile,
    folders: OpenFolders,
    parts: tuple[str, ...],
    name: str,
    durability: Durability,
    *,
    body_offset: int,
    duplicates: DuplicatePolicy = DuplicatePolicy.KEEP,
    otherwise: str = "",
) -> Published:
    """Flush a part and give it its final name, without overwriting.

    The part keeps its own name as well until it is discarded, unless it replaced another file.

    Args:
        part: the complete object.
        folders: the open folders of the area.
        parts: the names of the folders below the root; missing ones are created.
        name: the file name, with an extension.
        durability: what is flushed before this returns.
        body_offset: where the part's data set begins; the file meta is not compared.
        duplicates: what to do if the SOP instance is there with another data set; only
            `DuplicatePolicy.REPLACE` overwrites anything.
        otherwise: the file name if another SOP instance has `name`; without it, or if that is
            taken too, the name gets a number.

    Raises:
        DuplicateInstance: if the policy rejects the object.
        OutOfResources: if the storage fails, or something else has the name of a folder. If only
            the last flush fails, the complete file stays, because another sender may have got
            success for it.
    """
    try:
        require_name(name)
        if otherwise:
            require_name(otherwise)
        # Contents before the name, so that no crash leaves a name of an incomplete file. If it
        # fails it is never retried: the kernel may have dropped the pages, and the second call
        # would return success (fsync(2)). The peer sends the object again.
        if durability is not Durability.NONE:
            os.fdatasync(part.fd)
        folder_fd = folders.open(parts, durability)
        names = (name, otherwise) if otherwise else (name,)
        published = _link(part, folder_fd, parts, names, durability, body_offset, duplicates)
        # The name after the contents: success is answered when both are on the disk.
        if durability is Durability.FULL:
            os.fsync(folder_fd)
    except OSError as error:
        raise out_of_resources(error) from error
    return published


def is_stored(
    part: PartFile,
    folders: OpenFolders,
    parts: tuple[str, ...],
    name: str,
    durability: Durability,
    *,
    body_offset: int,
) -> bool:
    """Tell whether a file has the data set of a part; if so, flush it as `publish` does.

    Raises:
        OutOfResources: if the storage fails.
    """
    try:
        folder_fd = folders.open(parts, durability, make=False)
        if not _is_same(part, folder_fd, name, durability, body_offset):
            return False
        if durability is Durability.FULL:
            os.fsync(folder_fd)
    except (FileNotFoundError, NotADirectoryError):
        # Its session is being moved, or the file was removed.
        return False
    except OSError as error:
        raise out_of_resources(error) from error
    return True


def _link(
    part: PartFile,
    folder_fd: int,
    parts: tuple[str, ...],
    names: tuple[str, ...],
    durability: Durability,
    body_offset: int,
    duplicates: DuplicatePolicy,
) -> Published:
    """Give the part the first free name, or find a name with the same data set."""
    same_instance = False
    for final in _candidates(names):
        try:
            # A link never overwrites, and is atomic: of two threads with one name exactly one gets
            # it. A look before it would be a race.
            os.link(part.name, final, src_dir_fd=part.folder_fd, dst_dir_fd=folder_fd)
        except FileExistsError:
            # First whether it is the same data set: a sender that repeats an object after a lost
            # answer gets success, whatever the policy for duplicates is.
            if _is_same(part, folder_fd, final, durability, body_offset):
                return Published((*parts, final), duplicate=True, renamed=final != names[0])
            if is_same_instance(part.fd, folder_fd, final):
                same_instance = True
                if duplicates is not DuplicatePolicy.KEEP:
                    _replace(part, folder_fd, final, duplicates)
                    return Published((*parts, final), same_instance=True, replaced=True)
        else:
            renamed = final != names[0]
            return Published((*parts, final), renamed=renamed, same_instance=same_instance)
    raise OutOfResources(f"more than {MAX_SUFFIX} different objects of one name")


def _candidates(names: tuple[str, ...]) -> Iterator[str]:
    yield from names
    stem, dot, extension = names[-1].rpartition(".")
    for number in range(1, MAX_SUFFIX + 1):
        yield f"{stem}_{number}{dot}{extension}"


def _replace(part: PartFile, folder_fd: int, name: str, duplicates: DuplicatePolicy) -> None:
    """Replace another data set of the same SOP instance, or reject the part, by the policy."""
    if duplicates is DuplicatePolicy.REJECT:
        raise DuplicateInstance("the SOP instance is here already with other content")
    os.replace(part.name, name, src_dir_fd=part.folder_fd, dst_dir_fd=folder_fd)


def _is_same(
    part: PartFile, folder_fd: int, name: str, durability: Durability, body_offset: int
) -> bool:
    """Compare the data sets; the file metas differ by sender."""
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            return False
        fd = os.open(name, _COMPARE_FLAGS, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in BECAME_SOMETHING_ELSE:
            return False
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not _same_body(part, fd, body_offset):
            return False
        if durability is not Durability.NONE:
            # Success for a duplicate promises the same as for the first: that the bytes are on the
            # disk.
            # The file may have been stored while flushing was off.
            os.fdatasync(fd)
    finally:
        os.close(fd)
    return True


def _same_body(part: PartFile, fd: int, body_offset: int) -> bool:
    start = body_offset_of(fd)
    if start is None or os.fstat(fd).st_size - start != part.size_bytes - body_offset:
        return False
    for offset in range(0, part.size_bytes - body_offset, _COMPARED_BYTES):
        mine = os.pread(part.fd, _COMPARED_BYTES, body_offset + offset)
        if mine != os.pread(fd, _COMPARED_BYTES, start + offset):
            return False
    return True
