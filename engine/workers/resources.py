"""What the jobs of worker processes keep from one object to the next, and how they write."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize import Script
    from engine.index.uid_maps import SqliteUidMaps

TARGET_FLAGS: Final = os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC
"""For the file that a job leaves, which its engine has made."""
DESCRIPTORS: Final = "/proc/self/fd/"
"""Where the files are that a process was given open."""
MOST_GROWTH_BYTES: Final = 1024**3
"""By so much may a result be larger than its object: as the largest image that is unpacked."""
VARIABLES: Final = ("project", "subject", "session")
"""What scripts are given."""


@contextmanager
def target_of(target: str, source: str, uid_maps: str = "") -> Iterator[int]:
    """Open the file that a job leaves; past its largest size, writing there fails with `EFBIG`.

    Args:
        target: the file.
        source: the object.
        uid_maps: another file that the job writes; it may grow by as much.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = (Path(path).stat().st_size for path in (source, uid_maps) if path)
    most = max(sizes) + MOST_GROWTH_BYTES
    if limits[1] != resource.RLIM_INFINITY:
        most = min(most, limits[1])
    # A descriptor's path is a link by its nature, and one that nobody else can change.
    no_link = 0 if target.startswith(DESCRIPTORS) else os.O_NOFOLLOW
    descriptor = os.open(target, TARGET_FLAGS | no_link)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        yield descriptor
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        os.close(descriptor)


def is_too_large(error: OSError) -> bool:
    """Return whether the result of a job was larger than it may be."""
    return error.errno == errno.EFBIG


@lru_cache(16)
def parsed_script(text: str, name: str) -> Script:
    """Return a script, parsed once for all objects that this process sees."""
    from engine.anonymize import Script

    return Script.parse(text, name)


@lru_cache(1)
def uid_maps_in(path: str) -> SqliteUidMaps:
    """Return the table of UIDs, opened once."""
    from engine.index.uid_maps import SqliteUidMaps

    return SqliteUidMaps(Path(path))
