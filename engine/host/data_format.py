"""The format number of a data directory, by which an older dicomdock refuses a newer directory."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.host.data_directory import replace_file

if TYPE_CHECKING:
    from engine.settings import EngineSettings

FORMAT = 1
"""Raised when an older dicomdock could not work on the directory any more.

The tables of each database and of the configuration have numbers of their own.
"""
_BEFORE_NUMBERS = 0
_MOST_BYTES = 4096
_MOST_NAME = 40


@dataclass(frozen=True, slots=True)
class DataFormat:
    """What a data directory says of itself."""

    number: int = _BEFORE_NUMBERS
    """0 for a new directory, and for one of a version before 1.0."""
    version: str = ""
    """The dicomdock whose engine was the last to open it; empty if unknown."""


def read_format(settings: EngineSettings) -> DataFormat:
    """Return what a data directory says of itself.

    A file that can't be read says nothing: the databases still refuse an older program.
    """
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        with settings.format_file.open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        return DataFormat(int(said["format"]), str(said["dicomdock"])[:_MOST_NAME])
    return DataFormat()


def require_format(settings: EngineSettings) -> None:
    """Check that this program may use a data directory; changes nothing.

    Raises:
        StorageUnusable: if a later program has made it.
    """
    found = read_format(settings)
    if found.number > FORMAT:
        is_name = found.version and found.version.isprintable()
        newer = f"dicomdock {found.version}" if is_name else "a newer dicomdock"
        raise StorageUnusable(
            f"{settings.data_dir} has format {found.number}, this version opens {FORMAT}",
            f"run {newer}; or go back with the copies from before the upgrade:"
            " docs/how-to/upgrade.md",
        )


def write_format(settings: EngineSettings, version: str) -> None:
    """Note that this program opens the data directory, before it changes anything there.

    The configuration of an earlier format is copied first, as ``config.json.format-<its number>``.

    Args:
        settings: name the data directory.
        version: of this dicomdock.

    Raises:
        StorageUnusable: if a file can't be written.
    """
    found = read_format(settings)
    if found == DataFormat(FORMAT, version):
        return
    try:
        # Without a database no engine has run: there is nothing to go back to.
        has_run = any(file.exists() for file in settings.in_use_files)
        if found.number < FORMAT and has_run and settings.config_file.exists():
            kept = settings.config_file.with_name(f"config.json.format-{found.number}")
            replace_file(kept, settings.config_file.read_bytes())
        record = {"format": FORMAT, "dicomdock": version}
        # Readable for the group, so that its members read why a command refuses the directory.
        replace_file(settings.format_file, json.dumps(record).encode() + b"\n", 0o640)
    except OSError as error:
        raise StorageUnusable(
            f"{settings.format_file}: {error.strerror}",
            "make room on the disk, or correct its mode",
        ) from error
