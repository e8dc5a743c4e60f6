"""Makes the index anew from the files, for `dicomdock check --rebuild-index`.

No engine starts without its index while there are sessions on disk: it would show none of them, and
give their numbers to others. It does not make it anew by itself, for that may take longer than a
start may.

The new index is made beside the old one, and takes its place in one step at the end. Whatever
interrupts that leaves the old one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.host.data_directory import flush
from engine.index.reader import keep_numbers_free, read_session_numbers, restore_session_numbers
from engine.model.identity import timestamp
from engine.model.session import SessionArea
from engine.sessions.audit import UnknownFolder, unknown_folders
from engine.sessions.folders.documents import FIRST_UNKNOWN, read_session_xml
from engine.sessions.service import areas_of, locked, opened_sessions
from engine.storage.areas import document_of
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.sessions.adoption import Adopted
    from engine.settings import EngineSettings
    from engine.storage.areas import Areas


_LOGS = ("-wal", "-shm")
"""Endings of the files that SQLite makes beside a database."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A new index."""

    adopted: Adopted
    kept_as: str
    """The name of the old index now; empty if there was none."""


def rebuild_index(
    settings: EngineSettings,
    clock: Clock,
    highest_session: Callable[[], int],
    progress: Callable[[int, int], object],
    jobs: int | None = None,
) -> Rebuilt:
    """Make a new index from the files. Sessions keep their numbers, for queues and people use them.

    Args:
        settings: of the data directory.
        clock: the time.
        highest_session: returns the highest number of a session that any queue names.
        progress: called with the number of sessions that are read, and of all.
        jobs: as `adopt_folders` takes it.

    Raises:
        AlreadyRunning: if an engine uses the index.
        StorageUnusable: if the new index can't be written, or take the place of the old one.
    """
    with locked(settings, clock):
        # Beside the file itself: an index may be a link to a faster disk.
        old = settings.index_file.resolve()
        new = old.with_name(f"{old.name}.new")
        _remove(new)
        try:
            # Not flushed with each transaction: it counts only when it is complete.
            with opened_sessions(settings, clock, new, durable=False) as session_service:
                keep_numbers_free(new, FIRST_UNKNOWN - 1)
                found = session_service.audit(lambda _done, _all: None)
                trashed = tuple(_trashed(areas_of(settings)))
                found = replace(found, unknown_folders=(*found.unknown_folders, *trashed))
                adopted = session_service.adopt(found, progress, jobs)
            given = read_session_numbers(old)
            highest = max(given.highest, highest_session())
            restore_session_numbers(new, replace(given, highest=highest), FIRST_UNKNOWN)
            return Rebuilt(adopted, _take_place(new, old, timestamp(clock.now())))
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise StorageUnusable(
                f"the session index can't be made anew: {reason}",
                "check the disk and the directory; the old index is still in use",
            ) from error
        finally:
            _remove(new)


def require_index(settings: EngineSettings) -> None:
    """Check that the index is not lost: without it, sessions on disk would be nowhere.

    Raises:
        StorageUnusable: if there are sessions, and no index.
    """
    if settings.index_file.exists():
        return
    lost = next(unknown_folders((), areas_of(settings)), None)
    if lost is not None:
        raise StorageUnusable(
            f"{settings.index_file} is missing, and {lost.area} has sessions",
            "make it anew with: dicomdock check --rebuild-index; or restore a backup",
        )


def _trashed(areas: Areas) -> Iterator[UnknownFolder]:
    """Yield deleted sessions whose document says enough to restore them.

    Replaced objects and removed scans have no document.
    """
    for scans in sorted(areas.trash.glob(f"*/*/{SCANS}")):
        folder = scans.parent
        if read_session_xml(document_of(folder)).origin is not None:
            yield UnknownFolder(SessionArea.TRASH, folder.relative_to(areas.trash).as_posix())


def _take_place(new: Path, old: Path, time: str) -> str:
    """Give the new index the name of the old one, which is kept; return its name then."""
    flush(new)
    kept_as = f"{old.name}.{time}" if old.exists() else ""
    if kept_as:
        _close_log(old)
        aside = old.with_name(kept_as)
        # A log that stays behind would be taken for that of the new index.
        for ending in _LOGS:
            with suppress(FileNotFoundError):
                old.with_name(old.name + ending).rename(aside.with_name(kept_as + ending))
        # A second name first: there is an index at any moment.
        aside.hardlink_to(old)
    new.replace(old)
    flush(old.parent)
    return kept_as


def _close_log(path: Path) -> None:
    """Let an index take in its log, so that it is one file; a damaged one may keep its log."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _remove(path: Path) -> None:
    for ending in ("", *_LOGS):
        path.with_name(path.name + ending).unlink(missing_ok=True)
