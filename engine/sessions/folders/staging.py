"""Anonymizes a session for the archive: first copies beside it, then all copies in their places.

Nothing of a session is touched until every object of it is anonymized and the plan is kept. Then
each copy takes the place of its object, before anything moves into the archive: whenever a crash
comes, either the session is as it was, or the rest is done at the next start.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from engine.storage.files import FILE_MODE, flush_folder, make_folder, remove_file, replace_file
from engine.storage.folders import opened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.index.operations import Plan
    from engine.model.anonymization import Anonymization
    from engine.model.session import Session

REJECTED: Final = "rejected by the project script"
AT_ONCE: Final = 2
"""Objects anonymized in parallel. Objects that are just arriving need worker processes too."""

# The copy must be a new file: no link, and nothing that is there already, is written to.
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Interrupted(Exception):
    """The engine stops; the next one carries out the request."""


class ArchiveScripts(Protocol):
    """The anonymization of projects on the way into the archive."""

    def of(self, project: str) -> Anonymization | None:
        """Return the anonymization of a project; None if it has none."""
        ...

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        """Anonymize a file into one that exists; return whether the object is to be kept.

        Raises:
            EngineError: if that can't be done; the target is of no use then.
            Interrupted: if the engine stops.
        """
        ...


class NoScripts:
    """No project does anything."""

    def of(self, project: str) -> None:
        """Return nothing."""

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        """Is never asked."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Staged:
    """The copies of a session's objects; every file relative to the session's folder."""

    folder: Path
    """The folder of the copies."""
    edited: Mapping[str, int]
    """The inode of each copy, by which it is known again."""
    rejected: Mapping[str, int]
    """The inode of each object that must not be archived."""


def staging_of(session_folder: Path) -> Path:
    """Return the folder of a session's copies; it is on the same file system."""
    return session_folder.with_name(f".{session_folder.name}.anonymized")


def remove_staging(session_folder: Path, *, roots: Collection[Path]) -> None:
    """Remove whatever copies there are; no link is followed below the roots."""
    copies = staging_of(session_folder)
    with suppress(OSError), opened(copies.parent, roots) as parent_fd:
        shutil.rmtree(copies.name, ignore_errors=True, dir_fd=parent_fd)


def stage(
    scripts: ArchiveScripts, step: Anonymization, session: Session, folder: Path,
    files: Sequence[str], *, roots: Collection[Path],
) -> Staged:  # fmt: skip
    """Anonymize copies of some objects of a session, flushed; its folder stays as it is.

    No copy is made through a link below the roots.

    Raises:
        EngineError: if one can't be anonymized.
        OSError: if the storage fails.
        Interrupted: if the engine stops.
    """
    # What a crash left of an earlier attempt.
    remove_staging(folder, roots=roots)
    copies = staging_of(folder) / "objects"  # an audit does not take this for a session
    parents = sorted({(copies / file).parent for file in files})
    for parent in parents:
        make_folder(parent, roots=roots)
    labels = (session.project or "", session.subject or "", session.label)
    copy = partial(_copy, scripts, step, labels, folder, copies, roots)
    with ThreadPoolExecutor(AT_ONCE, "archive-script") as pool:
        inodes = list(pool.map(copy, files))  # after an exception no further copy is begun
    for parent in parents:
        flush_folder(parent)
    made = dict(zip(files, inodes, strict=True))
    return Staged(
        copies,
        edited={file: inode for file, inode in made.items() if inode is not None},
        rejected={f: (folder / f).lstat().st_ino for f, inode in made.items() if inode is None},
    )


def lost_copies(folder: Path, plan: Plan) -> tuple[str, ...]:
    """Return the objects whose copies are neither in their places nor where they were made."""
    copies, inodes = staging_of(folder) / "objects", set(plan.edited.values())
    return tuple(
        file
        for file, inode in plan.edited.items()
        if _inode(copies / file) != inode and _inode(folder / file) not in {None, *inodes}
    )


def part_in_place(folder: Path, plan: Plan) -> Plan:
    """Return what of a plan's anonymization is done already."""
    edited = {f: inode for f, inode in plan.edited.items() if _inode(folder / f) == inode}
    rejected = {f: inode for f, inode in plan.rejected.items() if _inode(folder / f) is None}
    return replace(plan, edited=edited, rejected=rejected)


def put_in_place(folder: Path, plan: Plan, *, roots: Collection[Path]) -> None:
    """Move each copy to the place of its object, and remove rejected objects.

    No link is followed below the roots.

    Raises:
        OSError: if the storage fails; to repeat it is safe.
    """
    copies = staging_of(folder) / "objects"
    for file, inode in plan.edited.items():
        # By inode, not by name: after a crash this tells a copy that is still to be moved from one
        # that is in its place.
        if _inode(copies / file) == inode:
            replace_file(copies / file, folder / file, roots=roots)
    for file, inode in plan.rejected.items():
        if _inode(folder / file) == inode:
            remove_file(folder / file, roots=roots)
    for parent in {(folder / file).parent for file in (*plan.edited, *plan.rejected)}:
        if parent.is_dir():
            flush_folder(parent)
    remove_staging(folder, roots=roots)


def _copy(
    scripts: ArchiveScripts, step: Anonymization, labels: tuple[str, str, str],
    folder: Path, copies: Path, roots: Collection[Path], file: str,
) -> int | None:  # fmt: skip
    """Make one copy and return its inode, flushed; None if its object is rejected."""
    target = copies / file
    with opened(target.parent, roots) as parent_fd:
        descriptor = os.open(target.name, _NEW_FLAGS, FILE_MODE, dir_fd=parent_fd)
    try:
        if not scripts.run(folder / file, target, step, labels):
            remove_file(target, roots=roots)
            return None
        os.fchmod(descriptor, FILE_MODE)
        # A copy takes the place of the only original, so it must be on the disk before.
        os.fsync(descriptor)
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
