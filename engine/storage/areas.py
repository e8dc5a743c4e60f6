"""The trees of sessions (prearchive, archive, trash), and the folder of each session."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import LinkInTheWay
from engine.model.identity import safe_part
from engine.model.project import FIRST_ARCHIVE_FOLDER
from engine.model.session import SessionArea
from engine.storage.folders import open_folder
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.session import Session


_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Areas:
    """The roots of prearchive, archive and trash, all on one file system."""

    prearchive: Path
    archive: Path
    trash: Path

    @property
    def roots(self) -> tuple[Path, Path, Path]:
        """The roots of the trees. Each may be reached through a link; below, none is followed."""
        return self.prearchive, self.archive, self.trash

    def folder(self, session: Session) -> Path:
        """Return the path of a session's folder."""
        return self.path(session.area, session.folder)

    def path(self, area: SessionArea, folder: str) -> Path:
        """Return the path of a folder of an area."""
        return self._root(area).joinpath(*folder.split("/"))

    def require_no_link(self, area: SessionArea, folder: str) -> None:
        """Check that no link is in a session's folder, or on the way to it; missing is fine.

        The later steps follow no link below `roots` anyway, also none that is made meanwhile.
        This check gives a clear error before the first step.

        Raises:
            LinkInTheWay: if a link stands where a folder belongs.
            OSError: if the storage fails.
        """
        try:
            root_fd = os.open(self._root(area), _FOLDER_FLAGS)
        except FileNotFoundError:
            return
        try:
            link = _find_link(root_fd, (*folder.split("/"), SCANS))
        finally:
            os.close(root_fd)
        if link is not None:
            kind = "link" if self._root(area).joinpath(*link).is_symlink() else "file"
            raise LinkInTheWay(area, "/".join((self._root(area).name, *link)), kind)

    def _root(self, area: SessionArea) -> Path:
        roots = {
            SessionArea.PREARCHIVE: self.prearchive,
            SessionArea.ARCHIVE: self.archive,
            SessionArea.TRASH: self.trash,
        }
        return roots[area]

    def is_archived(self, project: str, label: str) -> bool:
        """Tell whether any archive folder of a project has an entry with a session's label."""
        folders = self.archive.joinpath(safe_part(project)).glob("arc*")
        return any((folder / safe_part(label)).exists() for folder in folders)


def document_of(folder: Path) -> Path:
    """Return where a session's document is: beside its folder (XNAT 9.1)."""
    return folder.with_name(f"{folder.name}.xml")


def _find_link(root_fd: int, parts: tuple[str, ...], depth: int = 2) -> tuple[str, ...] | None:
    """Return the first link or file in place of a folder, on a path or below its end.

    Args:
        root_fd: the folder where the path begins.
        parts: the names of the path.
        depth: the number of folder levels to check below its end.
    """
    fd = os.dup(root_fd)
    try:
        for number, name in enumerate(parts, start=1):
            try:
                inner = open_folder(fd, (name,), make=False)
            except FileNotFoundError:
                return None
            except OSError as error:
                # What O_NOFOLLOW and O_DIRECTORY report for a link and for a file (open(2)).
                if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                    return parts[:number]
                raise
            os.close(fd)
            fd = inner
        for name in _folders_and_links(fd) if depth else ():
            link = _find_link(fd, (name,), depth - 1)
            if link is not None:
                return (*parts, *link)
        return None
    finally:
        os.close(fd)


def _folders_and_links(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries if entry.is_symlink() or entry.is_dir()]


def archive_folder(
    project: str, label: str, current: str = FIRST_ARCHIVE_FOLDER
) -> tuple[str, ...]:
    """Return a session's folder inside the archive (XNAT 9.2)."""
    return safe_part(project), current, safe_part(label)
