"""Scripts and tables that workers keep between jobs, and the limited file that a job writes."""

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
    from engine.dicom.repeated_edit import Dependence
    from engine.model.anonymization import Anonymization
    from engine.state.uid_maps import SqliteUidMaps

TARGET_FLAGS: Final = os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC
"""For the file that a job leaves, which its engine has made."""
DESCRIPTORS: Final = "/proc/self/fd/"
"""Where the files are that a process was given open."""
MOST_GROWTH_BYTES: Final = 1024**3
"""How much larger than its object a result may be: the largest image that is decompressed."""
VARIABLES: Final = ("project", "subject", "session")
"""The variables that scripts get."""


@contextmanager
def target_of(target: str, source: str, uid_maps: str = "") -> Iterator[int]:
    """Open the result file of a job; writing beyond the limit fails with `EFBIG`.

    Args:
        target: the result file.
        source: the object.
        uid_maps: another file that the job writes; the limit holds for it too.
    """
    # A limit of the kernel, so that no script or library can fill the disk. Python ignores SIGXFSZ,
    # so a write beyond it raises an error.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = (Path(path).stat().st_size for path in (source, uid_maps) if path)
    most = max(sizes) + MOST_GROWTH_BYTES
    if limits[1] != resource.RLIM_INFINITY:
        most = min(most, limits[1])
    # A descriptor's path is a link by its nature, and one that nobody else can change.
    no_link = 0 if target.startswith(DESCRIPTORS) else os.O_NOFOLLOW
    descriptor = os.open(target, TARGET_FLAGS | no_link)
    try:
        # The soft limit only: it is taken back after the job.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        yield descriptor
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        os.close(descriptor)


def is_too_large(error: OSError) -> bool:
    """Tell whether the error says that a result was larger than allowed."""
    return error.errno == errno.EFBIG


# Scripts of the site and of a few projects; the process keeps them from one object to the next.
@lru_cache(16)
def parsed_script(text: str, name: str) -> Script:
    """Return a parsed script, from the cache of this process."""
    from engine.anonymize import Script

    return Script.parse(text, name)


@lru_cache(16)
def dependence_in(steps: tuple[Anonymization, ...]) -> Dependence | None:
    """Return which elements decide what anonymizations make of an object; None if that is open."""
    from engine.anonymize.dependence import dependence_of

    if any(step.profile is not None for step in steps):
        return None
    return dependence_of([parsed_script(step.text, step.script_name) for step in steps])


@lru_cache(1)
def uid_maps_in(path: str) -> SqliteUidMaps:
    """Return the UID map of a file, opened once per process."""
    from engine.state.uid_maps import SqliteUidMaps

    return SqliteUidMaps(Path(path))
