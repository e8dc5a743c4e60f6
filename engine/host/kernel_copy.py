"""Copies bytes from file to file inside the kernel, so that pixel data never come into memory."""

from __future__ import annotations

import errno
import os
from typing import Final

# Where `copy_file_range` is not for these two files; `sendfile` is for any.
_NOT_BETWEEN_THESE_FILES: Final = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
)


def copy_bytes(source: int, target: int, start: int, end: int) -> bool:
    """Append bytes of one file to where another stands; False if the source has become shorter.

    Args:
        source: the descriptor of a file, which stays where it stands.
        target: the descriptor of another, also of one in memory.
        start: of the bytes, in the source.
        end: behind the last one.

    Raises:
        OSError: if a file can't be read or written.
    """
    # First this: some file systems share the blocks instead of copying them.
    offset, move = start, _by_range
    while offset < end:
        try:
            done = move(source, target, offset, end - offset)
        except OSError as error:
            if move is _by_sending or error.errno not in _NOT_BETWEEN_THESE_FILES:
                raise
            move = _by_sending
            continue
        if done == 0:
            return False
        offset += done
    return True


def _by_range(source: int, target: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset)


def _by_sending(source: int, target: int, offset: int, count: int) -> int:
    return os.sendfile(target, source, offset, count)
