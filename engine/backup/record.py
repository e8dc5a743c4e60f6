"""When the last backup was made, so that the health tells when that is long ago."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.host.data_directory import replace_file

if TYPE_CHECKING:
    from engine.settings import EngineSettings

_MOST_BYTES = 4096


def note_backup(settings: EngineSettings, at: datetime, *, objects: bool) -> None:
    """Remember that a backup was made.

    Raises:
        OSError: if the file can't be written.
    """
    record = {"at": at.astimezone(UTC).isoformat(timespec="seconds"), "objects": objects}
    replace_file(settings.last_backup_file, json.dumps(record).encode())


def last_backup(settings: EngineSettings) -> datetime | None:
    """Return when the last backup was made; None if there never was one, or that is not known."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with settings.last_backup_file.open("rb") as file:
            at = datetime.fromisoformat(json.loads(file.read(_MOST_BYTES))["at"])
        return at.astimezone(UTC)
    return None
