"""Carries out a plan on the disk. Every step can be repeated after a crash at any point."""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import replace
from os.path import lexists
from typing import TYPE_CHECKING

from engine.model.session import SessionArea, SessionStatus
from engine.sessions.folders.staging import remove_staging
from engine.storage.areas import document_of
from engine.storage.files import (
    flush_folder,
    is_there,
    make_folder,
    move_file,
    move_folder,
    remove_empty_folder,
    remove_empty_folders,
    remove_file,
    remove_parts,
    replace_file,
    same_file,
)
from engine.storage.scans import SCANS, free_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.index.operations import Plan
    from engine.model.session import Session
    from engine.storage.areas import Areas

CATALOGS = f"{SCANS}/*/*/scan_*_catalog.xml"


def carry_out(areas: Areas, session: Session, plan: Plan) -> None:
    """Make every step of a plan that is not made yet.

    Args:
        areas: where sessions are.
        session: the session's row from before the plan.
        plan: its steps.

    Raises:
        OSError: if the storage fails; to repeat it is safe. `FileExistsError` if a merged object's
            name is another file's: `with_free_names` gives it another one.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    remove_staging(source, roots=areas.roots)
    # A whole session is one rename. A merge moves file by file, and first puts aside what it
    # replaces, so that no step overwrites anything.
    if plan.into is None:
        _move_whole(areas, source, target, plan)
    else:
        _put_aside(areas, target, plan.replaced, plan.trash)
        _put_aside(areas, source, plan.skipped, plan.skipped_trash)
        _merge(areas, source, target, plan)
    remove_time_stamp(areas, session)
    # What was removed must not come back after a power cut: no row would name it.
    flush_folder(next(folder for folder in source.parents if folder.is_dir()))


def with_free_names(areas: Areas, session: Session, plan: Plan) -> Plan:
    """Return a plan that gives no merged object a name that another file has on the disk.

    The index need not know that file. Objects that have moved already keep their names.
    """
    if plan.into is None:
        return plan
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


def undo_move(areas: Areas, session: Session, plan: Plan) -> None:
    """Undo the steps of a merge or separation that are made, flushed; replaced objects come back.

    A link is no error where nothing has to be moved back.

    Raises:
        NotADirectoryError: if a link is in the path of something that has to be moved back.
        OSError: if the storage fails; to repeat it is safe.
    """
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    trash, skipped = (
        areas.path(SessionArea.TRASH, folder) for folder in (plan.trash, plan.skipped_trash)
    )
    # Merged objects first: the names of replaced ones are free only then.
    for before, after in plan.files.items():
        if is_there(source / before, roots=areas.roots):
            continue
        if is_there(target / after, roots=areas.roots):
            make_folder((source / before).parent, roots=areas.roots)
            move_file(target / after, source / before, roots=areas.roots)
    for file in plan.replaced:
        if is_there(trash / file, roots=areas.roots):
            move_file(trash / file, target / file, roots=areas.roots)
    for file in plan.skipped:
        if is_there(skipped / file, roots=areas.roots):
            make_folder((source / file).parent, roots=areas.roots)
            move_file(skipped / file, source / file, roots=areas.roots)
    for folder in _folders((*plan.files, *plan.skipped)):
        flush_folder(source / folder)
    for folder in _folders((*plan.files.values(), *plan.replaced)):
        if (target / folder).is_dir():
            flush_folder(target / folder)
    remove_empty_folders(target / SCANS, roots=areas.roots)
    if plan.leaves_rest:
        remove_empty_folder(target, roots=areas.roots)
        remove_empty_folder(target.parent, roots=areas.roots)
    if plan.trash:
        for aside in (trash, skipped):
            remove_empty_folders(aside, itself=True, roots=areas.roots)
        remove_empty_folder(trash.parent, roots=areas.roots)


def has_moved(areas: Areas, session: Session, plan: Plan) -> bool:
    """Tell whether a session that is moved as a whole is in its new place already."""
    if plan.into is not None:
        return False
    source, target = areas.folder(session), areas.path(plan.area, plan.folder)
    return lexists(target) and not lexists(source)


def remove_time_stamp(areas: Areas, session: Session) -> None:
    """Remove the folder that only one session of the prearchive had, for its time stamp."""
    if session.area is SessionArea.PREARCHIVE:
        remove_empty_folder(areas.folder(session).parent, roots=areas.roots)


def _move_whole(areas: Areas, source: Path, target: Path, plan: Plan) -> None:
    if source == target:  # only names that are in no folder's name change
        return
    if plan.status is SessionStatus.DELETED and not (source.exists() or target.exists()):
        # A session whose first object was never stored has no folder.
        make_folder(source, roots=areas.roots)
    if document_of(target).is_dir():  # found later, it would block a session that has moved
        raise FileExistsError(errno.EEXIST, "a folder has the name of its document")
    remove_empty_folders(source / SCANS, roots=areas.roots)
    move_folder(source, target, roots=areas.roots)
    with suppress(FileNotFoundError):
        replace_file(document_of(source), document_of(target), roots=areas.roots)
    flush_folder(target.parent)


def _put_aside(areas: Areas, session: Path, files: Iterable[str], into: str) -> None:
    """Move files to the trash; where that is done, another one may have the name by now."""
    trash = areas.path(SessionArea.TRASH, into)
    leaving = [f for f in files if _is_to_be_put_aside(session / f, trash / f)]
    for folder in _folders(leaving):
        make_folder(trash / folder, roots=areas.roots)
    for file in leaving:
        move_file(session / file, trash / file, roots=areas.roots)
    for folder in _folders(leaving):
        flush_folder(trash / folder)


def _merge(areas: Areas, source: Path, target: Path, plan: Plan) -> None:
    moving = {before: after for before, after in plan.files.items() if (source / before).exists()}
    for folder in _folders(moving.values()):
        make_folder(target / folder, roots=areas.roots)
    for before, after in moving.items():
        move_file(source / before, target / after, roots=areas.roots)
    # The objects are on the disk under their new names before anything of the old folder is
    # removed.
    for folder in _folders(plan.files.values()):
        flush_folder(target / folder)
    _remove_rest(areas, source)


def _is_to_be_put_aside(file: Path, kept: Path) -> bool:
    return file.exists() and (not kept.exists() or same_file(file, kept))


def _folders(files: Iterable[str]) -> set[str]:
    return {file.rpartition("/")[0] for file in files}


def _files(target: Path, folder: str) -> Iterator[str]:
    """Yield the names in a folder of a session, relative to the session's folder."""
    with suppress(FileNotFoundError):
        for path in (target / folder).iterdir():
            yield f"{folder}/{path.name}"


def _remove_rest(areas: Areas, source: Path) -> None:
    """Remove what a merged session leaves: documents that can be made again, and empty folders."""
    remove_parts(source, roots=areas.roots)
    for path in (*source.glob(CATALOGS), document_of(source)):
        remove_file(path, roots=areas.roots)
    remove_empty_folders(source, itself=True, roots=areas.roots)
