"""Prepares the data directory: mount, permissions, owner, one file system."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.host.owner import ROOT, Owner, owner_of, user
from engine.settings import Durability

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.settings import EngineSettings


_BESIDE = re.compile(r"(-wal|-shm|-journal|\.lock|\.bak\.\d+|\.\d+)\Z")
"""Endings of the files that SQLite, the configuration store and the logs make beside theirs."""


UNFINISHED_RESTORE = "restore.part"
"""The folder that a restore of a backup writes to, until it is complete."""


@dataclass(frozen=True, slots=True)
class AccessFault:
    """A file or folder of the data directory that other users can change, or a link."""

    path: Path
    what: str
    remedy: str


def prepare(settings: EngineSettings) -> None:
    """Create missing directories, and check that no other user may write to them.

    Raises:
        StorageUnusable: if its storage is not mounted, a directory can't be made or written, or
            another user may change what is in it.
    """
    # Before anything is created: without its mount, this would fill the disk below.
    if settings.marker and not (settings.data_dir / settings.marker).exists():
        raise StorageUnusable(
            f"{settings.data_dir} has no file {settings.marker}, so its storage is not mounted",
            "mount it; if this is the right storage, make that file once",
        )
    if os.path.lexists(settings.data_dir / UNFINISHED_RESTORE):
        raise StorageUnusable(
            f"a restore of {settings.data_dir} was interrupted",
            "run the same dicomdock restore again, with --replace if it asks for it",
        )
    if not os.path.exists(settings.data_dir):  # noqa: PTH110 - does not raise
        _make(settings.data_dir)
    # Before the folders are made: nothing is created in a directory that others control.
    for fault in (*_faults_of_process(settings.data_dir), *access_faults(settings)):
        raise StorageUnusable(f"{fault.path} {fault.what}", fault.remedy)
    for directory in (settings.data_dir, *_areas(settings), settings.log_dir):
        _make(directory)
    # A power loss must not take a new data directory with the objects in it.
    if settings.durability is Durability.FULL:
        _flush(settings.data_dir.absolute().parent)
        _flush(settings.data_dir)


def access_faults(settings: EngineSettings) -> Iterator[AccessFault]:
    """Yield what another user may change in a data directory, and links in it.

    Looks at the directory itself, and at the files and folders that an engine opens by name.
    """
    top = settings.data_dir
    with suppress(OSError):
        if top.stat().st_mode & stat.S_IWOTH:
            yield _writable(top)
    owner = owner_of(top)
    for path in _entries(settings):
        # A file that another process has just removed is no fault.
        with suppress(OSError):
            found = path.lstat()
            is_configuration = path == settings.config_file and found.st_uid == ROOT
            yield from _faults(path, found, found.st_uid if is_configuration else owner.uid, owner)


def deep_faults(settings: EngineSettings) -> Iterator[AccessFault]:
    """Yield the same for every file below the folders, which may take long."""
    owner = owner_of(settings.data_dir)
    tops = [path for path in _named(settings).values() if path.parent == settings.data_dir]
    folders = [str(top) for top in tops if not top.is_symlink()]
    while folders:
        # A file that is no folder, or has just gone.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.path)
                    yield from _faults(entry.path, found, owner.uid, owner)


def require_one_file_system(settings: EngineSettings) -> None:
    """Check that the areas are on one file system: objects get there by a link or rename.

    Raises:
        StorageUnusable: if they are not.
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
    """Flush a directory, so that the names in it are on the disk.

    Raises:
        StorageUnusable: if it can't be flushed.
    """
    try:
        flush(directory)
    except PermissionError:
        # The directory above belongs to somebody else, who made the entry of ours.
        return
    except OSError as error:
        raise StorageUnusable(
            f"{directory} can't be flushed: {error.strerror}", "check the disk"
        ) from error


def _named(settings: EngineSettings) -> dict[str, Path]:
    """Return all paths of the settings, by the name of their property."""
    members = vars(type(settings)).items()
    values = {name: getattr(settings, name) for name, of in members if isinstance(of, property)}
    return {name: value for name, value in values.items() if isinstance(value, Path)}


def _entries(settings: EngineSettings) -> Iterator[Path]:
    """Yield all paths of the settings, and the existing files beside them that belong to those."""
    named = _named(settings)
    yield from named.values()
    yield from settings.earlier_state_files
    files = {path for name, path in named.items() if not name.endswith("_dir")}
    for folder in {path.parent for path in files}:
        with suppress(OSError):
            for path in folder.iterdir():
                ending = _BESIDE.search(path.name)
                if ending and path.with_name(path.name[: ending.start()]) in files:
                    yield path


def _faults_of_process(top: Path) -> Iterator[AccessFault]:
    """Yield a fault if this process does not run as the directory's owner."""
    owner = owner_of(top)
    if owner.uid != os.geteuid():
        remedy = f"run the engine as that user: runuser -u {owner} -- dicomdock ..."
        yield AccessFault(top, f"belongs to {owner}, not to the user of this engine", remedy)


def _faults(
    path: Path | str, found: os.stat_result, uid: int, owner: Owner
) -> Iterable[AccessFault]:
    """Return the fault of one file or folder, which should belong to `uid`."""
    mode = found.st_mode
    # Nearly all files, of which there may be millions.
    if found.st_uid == uid and not mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
        return ()
    return (_fault(Path(path), found, uid, owner),)


def _fault(path: Path, found: os.stat_result, uid: int, owner: Owner) -> AccessFault:
    if stat.S_ISLNK(found.st_mode):
        return AccessFault(path, "is a symbolic link", "put what it leads to in its place")
    if found.st_uid != uid:
        remedy = f"chown -hR {owner.uid}:{owner.gid} {path}"
        return AccessFault(path, f"belongs to {user(found.st_uid)}, not to {owner}", remedy)
    return _writable(path)


def _writable(path: Path) -> AccessFault:
    return AccessFault(path, "may be written by every user", f"chmod o-w {path}")


def _make(path: Path) -> None:
    try:
        # Other users may not list it: names of folders contain labels.
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnusable(
            f"{path} can't be created: {error.strerror}", "choose another --data directory"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageUnusable(f"{path} is not writable", "change its owner or mode")


def flush(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk.

    Raises:
        OSError: if that can't be done.
    """
    # Without waiting: somebody may have put a pipe in its place.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step, so that readers see the old or the new one; not flushed.

    Raises:
        OSError: if that can't be done.
    """
    # In the same directory, for a rename works within one file system only.
    beside = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, mode), "wb") as file:
        file.write(content)
    beside.replace(path)
