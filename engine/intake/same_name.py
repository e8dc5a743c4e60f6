"""What has an object's file name already: the same SOP instance, or something else."""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BECAME_SOMETHING_ELSE = frozenset((errno.ELOOP, errno.ENOENT, errno.ENXIO))
"""Why a file can't be opened any more that was there a moment ago."""
_META = 128 + 4 + 12  # PS3.10 7.1: preamble, DICM, and the group length itself
_LONGEST_BYTES = 2048
_TRANSFER_SYNTAX = Struct("<HH2s").pack(0x0002, 0x0010, b"UI")


def is_same_instance(part_fd: int, folder_fd: int, name: str) -> bool:
    """Tell whether a file is of the part's SOP class and instance, by the file metas of both.

    Everything before the element of the transfer syntax is the same for two objects of one SOP
    instance, as the engine writes all file metas itself, in one order.

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
    """Return version, SOP class and SOP instance as a file meta begins; nothing if it has none."""
    meta, transfer_syntax, _ = os.pread(fd, _LONGEST_BYTES, _META).partition(_TRANSFER_SYNTAX)
    return meta if transfer_syntax else b""
