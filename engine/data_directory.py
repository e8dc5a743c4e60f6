"""The data directory before an engine uses it: mounted, made, writable, and of one piece."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.settings import Durability

if TYPE_CHECKING:
    from pathlib import Path

    from engine.settings import EngineSettings


def prepare(settings: EngineSettings) -> None:
    """Make every directory that is not there yet.

    Raises:
        StorageUnusable: if its storage is not mounted, or a directory can't be made or written.
    """
    if settings.marker and not (settings.data_dir / settings.marker).exists():
        raise StorageUnusable(
            f"{settings.data_dir} has no file {settings.marker}, so its storage is not mounted",
            "mount it; if this is the right storage, make that file once",
        )
    for directory in (settings.data_dir, *_areas(settings), settings.log_dir):
        _make(directory)
    if settings.durability is Durability.FULL:
        _flush(settings.data_dir.absolute().parent)
        _flush(settings.data_dir)


def require_one_file_system(settings: EngineSettings) -> None:
    """Check that what arrives can be moved to where it belongs in one step.

    Raises:
        StorageUnusable: if it can't.
    """
    for area in _areas(settings):
        if settings.incoming_dir.stat().st_dev != area.stat().st_dev:
            raise StorageUnusable(
                f"incoming and {area.name} are on different file systems",
                "keep both on one, so that objects and sessions can be moved in one step",
            )


def _areas(settings: EngineSettings) -> tuple[Path, ...]:
    return settings.prearchive_dir, settings.archive_dir, settings.trash_dir


def _flush(directory: Path) -> None:
    """Return when the names in a directory are on the disk, whoever made them.

    Raises:
        StorageUnusable: if it can't be flushed.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # a directory above ours that we may not list is not ours to flush
    try:
        os.fsync(fd)
    except OSError as error:
        raise StorageUnusable(
            f"{directory} can't be flushed: {error.strerror}", "check the disk"
        ) from error
    finally:
        os.close(fd)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnusable(
            f"{path} can't be created: {error.strerror}", "choose another --data directory"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageUnusable(f"{path} is not writable", "change its owner or mode")
