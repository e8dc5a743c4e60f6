"""Makes a data directory from a backup, or puts its state beside trees that are there.

All files are written into a folder of their own first; that takes longest, and may be interrupted.
Then each file or folder gets its place by a rename. An engine does not start in between.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from engine.backup.form import (
    DATA,
    DATABASES,
    STATE,
    TREES,
    BackupRefused,
    is_state,
    shown,
)
from engine.backup.reading import chunks_of, files_of
from engine.errors import StorageUnusable
from engine.host.data_directory import UNFINISHED_RESTORE, flush
from engine.host.lock import EngineLock
from engine.index import schema as index_schema
from engine.model.identity import timestamp
from engine.state import schema as state_schema
from engine.state.database import MAKE_ROOM, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from engine.backup.form import Member
    from engine.backup.reading import Backup
    from engine.host.clock import Clock
    from engine.settings import EngineSettings

_SCHEMAS = {
    "index.sqlite": index_schema.SCHEMA_VERSION,
    "state.sqlite": state_schema.SCHEMA_VERSION,
}
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN_MODE, _TREE_MODE = 0o600, 0o640
_OWN_FOLDER_MODE, _FOLDER_MODE = 0o700, 0o750
# As the engine makes them: the modes in the backup are not trusted.
_PRIVATE_TREES = ("quarantine/", "logs/commands/")


@dataclass(frozen=True, slots=True)
class Restore:
    """What a restore would do, or did."""

    files: int
    bytes: int
    kept_as: str
    """The folder of the files that were there before; empty if there were none."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What is restored, and whether in the place of files that are there."""

    state_only: bool = False
    """Without the trees."""
    replace: bool = False
    """Whether files that are there are put aside."""

    def chosen(self, backup: Backup) -> tuple[Member, ...]:
        """Return the files to restore."""
        return tuple(m for m in backup.kept if not self.state_only or is_state(m.name))


def check_restore(settings: EngineSettings, backup: Backup, plan: RestorePlan) -> Restore:
    """Return what a restore would do; changes nothing.

    Args:
        settings: of the data directory, which may not exist.
        backup: what is to be restored.
        plan: how.

    Raises:
        BackupRefused: if a later version made the databases, or there is nothing to restore.
        StorageUnusable: if files are in the way, or there is too little room.
    """
    for name, version in backup.tail.schemas.items():
        if version > _SCHEMAS[name]:
            raise BackupRefused(
                f"{name} of the backup has schema {version}, this version uses {_SCHEMAS[name]}",
                f"use dicomdock {backup.head.version[:40]}, which made it, or a newer one",
            )
    chosen = plan.chosen(backup)
    if not chosen:
        raise BackupRefused("the backup has no files", "use another backup")
    in_the_way = _in_the_way(settings.data_dir, chosen, plan)
    if in_the_way and not plan.replace:
        some = ", ".join(sorted(in_the_way)[:5])
        raise StorageUnusable(
            f"{settings.data_dir} is in use: it has {some}",
            "put aside what is there with --replace, or name an empty directory"
            if plan.state_only
            else "name an empty directory; or restore only the state with --state-only; or put"
            " aside what is there with --replace",
        )
    size = sum(member.size for member in chosen)
    free = _free_bytes(settings.data_dir)
    if size > free:
        raise StorageUnusable(f"{size:,} bytes are needed, {free:,} are free", MAKE_ROOM)
    return Restore(len(chosen), size, "before-restore-TIME" if in_the_way else "")


def restore(
    settings: EngineSettings,
    file: IO[bytes],
    backup: Backup,
    plan: RestorePlan,
    clock: Clock,
    progress: Callable[[int, int], object],
) -> Restore:
    """Restore a backup; raises as `check_restore` does.

    Args:
        settings: of the data directory, which is made if it does not exist.
        file: of the backup.
        backup: what was read from it; read once more, it must be the same.
        plan: what is restored.
        clock: the time.
        progress: called with the number of files that are written, and of all.

    Raises:
        AlreadyRunning: if an engine runs in the directory.
        StorageUnusable: if files can't be written.
    """
    top = settings.data_dir
    check_restore(settings, backup, plan)
    try:
        top.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Until all is in its place: an engine would take half of it for the whole.
        lock = EngineLock.acquire(settings.lock_file, clock)
        try:
            checked = check_restore(settings, backup, plan)
            kept_as = f"before-restore-{timestamp(clock.now())}" if checked.kept_as else ""
            staging = top / UNFINISHED_RESTORE
            if staging.exists():
                shutil.rmtree(staging)
            staging.mkdir(mode=0o700)
            flush(top)
            _unpack(staging, file, backup, plan, progress)
            _put_in_place(top, staging, plan.chosen(backup), top / kept_as if kept_as else None)
        finally:
            lock.release()
    except OSError as error:
        raise StorageUnusable(
            f"the backup can't be restored: {error.strerror or error}",
            f"solve that, and run the same restore again; if {top} is in use then, with --replace",
        ) from error
    return Restore(checked.files, checked.bytes, kept_as)


def _unpack(
    staging: Path,
    file: IO[bytes],
    backup: Backup,
    plan: RestorePlan,
    progress: Callable[[int, int], object],
) -> None:
    """Write the chosen files into a folder that nobody else uses, durably."""
    members = iter(backup.members)
    folders = {staging}
    total, done = len(plan.chosen(backup)), 0
    for name, modified_ns, content in files_of(file):
        if not name.startswith(DATA):
            continue
        member = next(members, None)
        if member is None or name != f"{DATA}{member.name}":
            raise _changed(name)
        if member.left_out or (plan.state_only and not is_state(member.name)):
            continue
        path = staging / member.name
        _make_folders(path.parent, folders)
        _write(path, content, member, modified_ns)
        done += 1
        progress(done, total)
    if next(members, None) is not None:
        raise _changed("its end")
    for folder in folders:
        flush(folder)


def _changed(name: str) -> BackupRefused:
    return BackupRefused(f"the file changed while it was read: {shown(name)}", "try again")


def _make_folders(folder: Path, made: set[Path]) -> None:
    if folder not in made:
        _make_folders(folder.parent, made)
        is_own = folder.name in {"config.history", "quarantine"} or folder.parent.name == "logs"
        folder.mkdir(mode=_OWN_FOLDER_MODE if is_own else _FOLDER_MODE)
        made.add(folder)


def _write(path: Path, content: IO[bytes], member: Member, modified_ns: int) -> None:
    is_shared = member.name.startswith(TREES) and not member.name.startswith(_PRIVATE_TREES)
    digest = hashlib.sha256()
    fd = os.open(path, _WRITE_FLAGS, _TREE_MODE if is_shared else _OWN_MODE)
    with os.fdopen(fd, "wb") as out:
        for chunk in chunks_of(content):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        # The order of arrival: a rebuilt index has no other.
        os.utime(fd, ns=(modified_ns, modified_ns))
        os.fsync(fd)
    if digest.hexdigest() != member.sha256:
        raise _changed(member.name)


def _put_in_place(top: Path, staging: Path, chosen: Iterable[Member], aside: Path | None) -> None:
    """Give all files their places, the configuration last."""
    names = sorted(_tops(chosen), key=lambda name: (name not in TREES, name == "config.json"))
    if aside is not None:
        aside.mkdir(mode=0o700)
        for name in _places(names):
            if os.path.lexists(top / name):
                (top / name).rename(aside / name)
        flush(aside)
    for name in names:
        place = top / name
        if place.is_dir() and not place.is_symlink():
            place.rmdir()  # empty: else it was in the way
        (staging / name).rename(place)
    flush(top)
    staging.rmdir()
    flush(top)


def _tops(members: Iterable[Member]) -> set[str]:
    """Return the files and folders of the data directory that members are, or are in."""
    return {member.name.partition("/")[0] for member in members}


def _places(names: Iterable[str]) -> list[str]:
    """Return names with those of what belongs to them: a log without its database is harm."""
    return [
        name + suffix for name in names for suffix in (SUFFIXES if name in DATABASES else ("",))
    ]


def _in_the_way(top: Path, chosen: Iterable[Member], plan: RestorePlan) -> list[str]:
    """Return the names in the data directory that a restore would replace, or not fit to."""
    names = _tops(chosen)
    if not plan.state_only and not plan.replace:
        # Whatever else is there belongs to another index.
        names |= {*STATE, *TREES}
    return [name for name in _places(names) if _is_used(top / name)]


def _is_used(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return any(path.iterdir())
    return os.path.lexists(path)


def _free_bytes(path: Path) -> int:
    """Return the free bytes of the file system that a path is on, or will be on."""
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return shutil.disk_usage(folder).free
    return 0
