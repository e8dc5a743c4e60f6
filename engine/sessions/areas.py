"""The trees that sessions are in, and the folder of each session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.project import FIRST_ARCHIVE_FOLDER
from engine.model.safe_names import safe_part
from engine.model.session import SessionArea

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.session import Session


@dataclass(frozen=True, slots=True)
class Areas:
    """The roots of prearchive, archive and trash, all on one file system."""

    prearchive: Path
    archive: Path
    trash: Path

    def folder(self, session: Session) -> Path:
        """Return where a session is."""
        return self.path(session.area, session.folder)

    def path(self, area: SessionArea, folder: str) -> Path:
        """Return where a folder of an area is."""
        roots = {
            SessionArea.PREARCHIVE: self.prearchive,
            SessionArea.ARCHIVE: self.archive,
            SessionArea.TRASH: self.trash,
        }
        return roots[area].joinpath(*folder.split("/"))

    def is_archived(self, project: str, label: str) -> bool:
        """Tell whether any of a project's archive folders has something of a session's name."""
        folders = self.archive.joinpath(safe_part(project)).glob("arc*")
        return any((folder / safe_part(label)).exists() for folder in folders)


def archive_folder(
    project: str, label: str, current: str = FIRST_ARCHIVE_FOLDER
) -> tuple[str, ...]:
    """Return a session's folder inside the archive (XNAT 9.2)."""
    return safe_part(project), current, safe_part(label)
