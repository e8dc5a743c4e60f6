"""When the last backup was made, so that the health tells when that is long ago."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.host.data_directory import replace_file

if TYPE_CHECKING:
    from engine.settings import EngineSettings

LATE_DAYS = 8
"""A weekly backup may take a day."""
_MOST_BYTES = 4096


def note_backup(settings: EngineSettings, at: datetime, *, objects: bool) -> None:
    """Remember that a backup was made.

    Raises:
        OSError: if the file can't be written.
    """
    record = {"at": at.astimezone(UTC).isoformat(timespec="seconds"), "objects": objects}
    replace_file(settings.last_backup_file, json.dumps(record).encode())


def late_backup(settings: EngineSettings, now: datetime) -> str:
    """Return in words that the last backup is long ago; empty if not, or if there never was one."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with settings.last_backup_file.open("rb") as file:
            at = datetime.fromisoformat(json.loads(file.read(_MOST_BYTES))["at"])
        days = (now - at).days
        if days > LATE_DAYS:
            return f"no backup for {days} days"
    return ""
