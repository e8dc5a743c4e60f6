"""What the jobs of worker processes keep from one object to the next, and how they write."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.anonymize import Script
    from engine.sessions.uid_maps import SqliteUidMaps

TARGET_FLAGS: Final = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
"""For the file that a job leaves, which its engine has made."""
VARIABLES: Final = ("project", "subject", "session")
"""What scripts are given."""


@lru_cache(16)
def parsed_script(text: str, name: str) -> Script:
    """Return a script, parsed once for all objects that this process sees."""
    from engine.anonymize import Script

    return Script.parse(text, name)


@lru_cache(1)
def uid_maps_in(path: str) -> SqliteUidMaps:
    """Return the table of UIDs, opened once."""
    from engine.sessions.uid_maps import SqliteUidMaps

    return SqliteUidMaps(Path(path))
