"""What is committed: objects whose files are there, whole and flushed, wherever that is now."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from engine.dimse.commitment import (
    CLASS_INSTANCE_CONFLICT,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
)
from engine.errors import SessionError
from engine.model.session import UNFINISHED, ObjectState, SessionArea, SessionStatus
from engine.storage.files import flush_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.index.arrivals import Arrivals, FiledRow
    from engine.state.commitments import References
    from engine.storage.areas import Areas

_GOING = frozenset((SessionStatus.QUEUED_DELETING, SessionStatus.DELETING, SessionStatus.DELETED))
_PREAMBLE_BYTES, _PREFIX = 128, b"DICM"  # PS3.10 7.1

_logger = logging.getLogger(__name__)


class SessionBusy(Exception):
    """It can't be known at this moment what is committed; the message says why."""


class CommitmentLookup:
    """Looks objects up by the UIDs that they came with; for one request at a time."""

    def __init__(self, arrivals: Arrivals, areas: Areas, *, flushes: bool) -> None:
        """Take the index and the folders.

        Args:
            arrivals: the index.
            areas: prearchive, archive and trash.
            flushes: whether files must be flushed here, because their receipt does not do that.
        """
        self._arrivals = arrivals
        self._areas = areas
        self._flushes = flushes

    def failures(self, references: References) -> dict[int, int]:
        """Return the Failure Reasons of what is not committed, by the position of the reference.

        Raises:
            SessionBusy: if that can't be known at this moment.
            StorageUnusable: if the index can't be read.
        """
        folders = set[Path]()
        problems: set[str] = set()
        found = enumerate(self._failure(*reference, folders, problems) for reference in references)
        failures = {place: reason for place, reason in found if reason}
        for problem in sorted(problems):
            _logger.warning("objects can't be committed: %s", problem)
        for folder in folders:
            flush_folder(folder)
        return failures

    def _failure(
        self, sop_class_uid: str, sop_instance_uid: str, folders: set[Path], problems: set[str]
    ) -> int:
        """Return the Failure Reason of one reference; 0 if it is committed."""
        try:
            rows = self._kept(sop_instance_uid)
        except SessionError as error:
            # Not "no such instance": its files may be there.
            problems.add(error.detail)
            return PROCESSING_FAILURE
        if not rows:
            return NO_SUCH_INSTANCE
        if not any(row.sop_class_uid == sop_class_uid for row in rows):
            return CLASS_INSTANCE_CONFLICT
        if self._any_there(rows, sop_class_uid, folders):
            return 0
        # Asked again: its session may have been moved between the two looks.
        again = self._kept(sop_instance_uid)
        if self._any_there(again, sop_class_uid, folders):
            return 0
        if any(row.status in UNFINISHED for row in again) or again != rows:
            raise SessionBusy("a session is being worked on")
        return PROCESSING_FAILURE

    def _kept(self, sop_instance_uid: str) -> Sequence[FiledRow]:
        """Return the rows that stand for a file which nobody has deleted or wants to delete."""
        return [
            row
            for row in self._arrivals.filed(sop_instance_uid)
            if row.state is ObjectState.STORED
            and row.file
            and row.area not in {None, SessionArea.TRASH}
            and row.status not in _GOING
        ]

    def _any_there(self, rows: Sequence[FiledRow], sop_class_uid: str, folders: set[Path]) -> bool:
        return any(
            self._is_there(row, folders) for row in rows if row.sop_class_uid == sop_class_uid
        )

    def _is_there(self, row: FiledRow, folders: set[Path]) -> bool:
        assert row.area is not None
        path = self._areas.path(row.area, row.folder) / row.file
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            # A file gets its name only when it is whole: its end needs no look.
            is_file = stat.S_ISREG(os.fstat(fd).st_mode)
            if not is_file or os.pread(fd, len(_PREFIX), _PREAMBLE_BYTES) != _PREFIX:
                return False
            if self._flushes:
                os.fsync(fd)
                folders.add(path.parent)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True
