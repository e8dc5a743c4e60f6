"""Carrying out a plan on the disk, so that it can be repeated after a crash at any point."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
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
from engine.sessions.scans import SCANS, free_name
from engine.sessions.staging import remove_staging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
        OSError: if the storage fails; to repeat it is safe. `FileExistsError` if a merged object's
            name is another file's: `with_free_names` gives it another one.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    remove_staging(source)
    if plan.into is None:
        _move_whole(source, target, plan)
    else:
        _merge(source, target, areas.path(SessionArea.TRASH, plan.trash), plan)
    remove_time_stamp(session, source)


def with_free_names(areas: Areas, session: Session, plan: Plan) -> Plan:
    """Return a plan that gives no merged object a name that another file has on the disk.

    The index need not know that file. Objects that have moved already keep their names.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    trash = areas.path(SessionArea.TRASH, plan.trash)
    leaving = {f for f in plan.replaced if _is_to_be_put_aside(target / f, trash / f)}
    used = {
        file
        for folder in _folders(plan.files.values())
        for file in _files(target, folder)
        if file not in leaving
    }
    taken = [
        before
        for before, after in plan.files.items()
        if after in used
        and (source / before).exists()
        and not same_file(source / before, target / after)
    ]
    if not taken:
        return plan
    used.update(plan.files.values())
    files = dict(plan.files)
    for before in taken:
        folder, _, name = files[before].rpartition("/")
        beside = {file.rpartition("/")[2] for file in used if file.startswith(f"{folder}/")}
        files[before] = f"{folder}/{free_name(name, beside)}"
        used.add(files[before])
    return replace(plan, files=files)


def put_back(areas: Areas, session: Session, plan: Plan) -> None:
    """Undo the steps of a merge that are made, flushed; what it replaced comes back too.

    Raises:
        OSError: if the storage fails; to repeat it is safe.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    for before, after in plan.files.items():
        if not (source / before).exists() and (target / after).exists():
            make_folder((source / before).parent)
            move_file(target / after, source / before)
    for file in plan.replaced:
        kept = areas.path(SessionArea.TRASH, plan.trash) / file
        if kept.exists():
            move_file(kept, target / file)
    for folder in _folders(plan.files):
        flush_folder(source / folder)
    for folder in _folders((*plan.files.values(), *plan.replaced)):
        if (target / folder).is_dir():
            flush_folder(target / folder)
    remove_empty_folders(target / SCANS)
    if plan.trash:
        trash = areas.path(SessionArea.TRASH, plan.trash)
        remove_empty_folders(trash, itself=True)
        with suppress(OSError):
            trash.parent.rmdir()


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
    for folder in _folders(plan.files.values()):
        flush_folder(target / folder)
    _remove_rest(source)


def _put_aside(file: Path, kept: Path) -> None:
    """Move a file to the trash, unless that is done and another one has its name by now."""
    if not _is_to_be_put_aside(file, kept):
        return
    make_folder(kept.parent)
    move_file(file, kept)
    flush_folder(kept.parent)


def _is_to_be_put_aside(file: Path, kept: Path) -> bool:
    return file.exists() and (not kept.exists() or same_file(file, kept))


def _folders(files: Iterable[str]) -> set[str]:
    return {file.rpartition("/")[0] for file in files}


def _files(target: Path, folder: str) -> Iterator[str]:
    """Yield what is in a folder of a session, relative to the session's."""
    with suppress(FileNotFoundError):
        for path in (target / folder).iterdir():
            yield f"{folder}/{path.name}"


def _remove_rest(source: Path) -> None:
    """Remove what a merged session leaves: documents that can be made again, and empty folders."""
    remove_parts(source)
    for path in source.glob(CATALOGS):
        path.unlink()
    document_of(source).unlink(missing_ok=True)
    remove_empty_folders(source, itself=True)
