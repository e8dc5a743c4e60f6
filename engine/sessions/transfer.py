"""Carrying out a plan on the disk, so that it can be repeated after a crash at any point."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.model.session import SessionArea, SessionStatus
from engine.sessions.building import document_of
from engine.sessions.files import (
    flush_folder,
    make_folder,
    move_file,
    move_folder,
    remove_empty_folders,
    remove_parts,
    same_file,
)
from engine.sessions.scans import SCANS
from engine.sessions.staging import remove_staging

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.session import Session
    from engine.sessions.areas import Areas
    from engine.sessions.operations import Plan

CATALOGS = f"{SCANS}/*/*/scan_*_catalog.xml"


def carry_out(areas: Areas, session: Session, plan: Plan) -> None:
    """Make every step of a plan that is not made yet.

    Args:
        areas: where sessions are.
        session: the session's row from before the plan.
        plan: what is to be done.

    Raises:
        OSError: if the storage fails; to repeat it is safe.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    remove_staging(source)
    if plan.into is None:
        _move_whole(source, target, plan)
    else:
        _merge(source, target, areas.path(SessionArea.TRASH, plan.trash), plan)
    remove_time_stamp(session, source)


def remove_time_stamp(session: Session, folder: Path) -> None:
    """Remove the folder that only one session of the prearchive had, for its time stamp."""
    if session.area is SessionArea.PREARCHIVE:
        with suppress(OSError):
            folder.parent.rmdir()


def _move_whole(source: Path, target: Path, plan: Plan) -> None:
    if plan.status is SessionStatus.DELETED and not target.exists():
        make_folder(source)  # a session whose first object never came to be has none
    remove_empty_folders(source / SCANS)
    move_folder(source, target)
    with suppress(FileNotFoundError):
        document_of(source).rename(document_of(target))
    flush_folder(target.parent)


def _merge(source: Path, target: Path, trash: Path, plan: Plan) -> None:
    for file in plan.replaced:
        _put_aside(target / file, trash / file)
    for before, after in plan.files.items():
        if (source / before).exists():
            make_folder((target / after).parent)
            move_file(source / before, target / after)
    for folder in {(target / after).parent for after in plan.files.values()}:
        flush_folder(folder)
    _remove_rest(source)


def _put_aside(file: Path, kept: Path) -> None:
    """Move a file to the trash, unless that is done and another one has its name by now."""
    if not file.exists() or (kept.exists() and not same_file(file, kept)):
        return
    make_folder(kept.parent)
    move_file(file, kept)
    flush_folder(kept.parent)


def _remove_rest(source: Path) -> None:
    """Remove what a merged session leaves: documents that can be made again, and empty folders."""
    remove_parts(source)
    for path in source.glob(CATALOGS):
        path.unlink()
    document_of(source).unlink(missing_ok=True)
    remove_empty_folders(source, itself=True)
