"""Writes a backup while an engine runs: it waits for nobody, and nobody waits for it.

The order makes the copy one that `check` and the recovery of the engine can repair:

1. The trees, which takes longest. Objects are never changed once they have their name.
2. The index, then the state: a UID or a queued copy of an object in the index is not missing.
   The numbers of sessions that only the state knows are never given again.
3. Configuration, keys and logs.
4. The trees once more: what came or moved since. Rows of the index whose files came after the
   first reading have them now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tarfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

from engine.backup.form import (
    DATA,
    DATABASES,
    HEAD,
    MANIFEST,
    STATE,
    TREES,
    BackupNotMade,
    Head,
    Member,
    Tail,
    is_state,
)
from engine.backup.reading import read_backup
from engine.errors import AlreadyRunning, NotFound, StorageUnusable
from engine.host.data_directory import flush
from engine.index.reader import keep_numbers_free, read_session_numbers
from engine.state.database import rows_of_copy, sound_copy, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.backup.reading import Backup
    from engine.host.clock import Clock
    from engine.settings import EngineSettings


_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REMEDIES = {
    "index.sqlite": "make it anew with: dicomdock check --rebuild-index",
    "state.sqlite": "restart the engine, which takes all rows that can be read into a new one",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A backup that is complete."""

    files: int
    bytes: int
    """Of the files that a restore writes."""
    consistent_at: str
    links: int
    """Links and other things that are no plain files, which are not in it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a backup is made of, and by whom."""

    settings: EngineSettings
    clock: Clock
    version: str
    """Of this dicomdock."""
    objects: bool
    """Whether the trees are in it."""
    progress: Callable[[int], object]
    """Called with the number of files that are written."""


def write_file(sources: Sources, path: Path, read_back: Callable[[int], object]) -> Written:
    """Write a backup to a file, read it back from the disk, and then give it its name.

    Args:
        sources: what it is made of.
        path: must not exist. Whatever interrupts this leaves no file of that name.
        read_back: called with the number of bytes that are read back.

    Raises:
        BackupNotMade: if the file can't be written.
        StorageUnusable: if the data can't be read.
        AlreadyRunning: if another command writes the same file.
        BackupRefused: if what is read back is not what was written.
    """
    _require_new(sources.settings, path)
    part = path.with_name(f".{path.name}.part")
    with ExitStack() as resources:
        with _in_words(path.parent):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = resources.enter_context(os.fdopen(os.open(part, flags, 0o600), "w+b"))
            try:
                # Free when its process ends, however that was.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(
                    f"another backup is being written to {path}", "wait for its end"
                ) from None
        resources.callback(part.unlink, missing_ok=True)
        with _in_words(path.parent):
            os.ftruncate(file.fileno(), 0)
            copies = path.with_name(f".{path.name}.databases")
            written = write_stream(sources, file, copies)
            file.flush()
            os.fsync(file.fileno())
            # So that it is read from the disk, not from memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        _require_same(read_backup(file, read_back), written)
        with _in_words(path.parent):
            _require_new(sources.settings, path)
            # Not a link, which shares of other systems do not have.
            part.rename(path)
            flush(path.parent)
    return written


def write_stream(sources: Sources, file: IO[bytes], copies: Path | None = None) -> Written:
    """Write a backup to a file or pipe.

    Args:
        sources: what it is made of.
        file: is only written, never read.
        copies: a folder for copies of the databases, which is made and removed; a temporary one of
            the system if None.

    Raises:
        StorageUnusable: if the data can't be read.
        OSError: if the file can't be written.
    """
    if not sources.settings.config_file.exists() and not sources.settings.index_file.exists():
        raise NotFound(
            f"{sources.settings.data_dir} is no data directory", "name one with --data DIR"
        )
    with _folder(copies) as folder, tarfile.open(fileobj=file, mode="w|") as tar:
        writer = _Writer(tar, sources)
        at = sources.clock.now()
        writer.add_content(HEAD, Head(stamp(at), sources.version, sources.objects).to_json())
        known: frozenset[str] = frozenset()
        if sources.objects:
            writer.add_trees()
        consistent_at = stamp(sources.clock.now())
        schemas = _copy_databases(sources, folder)
        if sources.objects and "index.sqlite" in schemas:
            rows = rows_of_copy(folder / "index.sqlite", "SELECT area, folder FROM sessions")
            known = frozenset(f"{area}/{inside}" for area, inside in rows)
        for name in schemas:
            writer.add_path(folder / name, name)
        writer.add_state()
        if sources.objects:
            writer.add_trees()
            writer.leave_out_what_moved(known)
        return writer.end(consistent_at, schemas)


def _copy_databases(sources: Sources, folder: Path) -> dict[str, int]:
    """Copy the databases into a folder; return the versions of their tables."""
    schemas = {}
    for name in DATABASES:
        path = sources.settings.data_dir / name
        if path.exists():
            schemas[name] = sound_copy(path, folder / name, name, _REMEDIES[name])
    # Sessions that came between the copies may be in the state: their numbers are used.
    highest = _highest_session(sources.settings)
    if highest:
        keep_numbers_free(folder / "index.sqlite", highest)
    return schemas


def _highest_session(settings: EngineSettings) -> int:
    return read_session_numbers(settings.index_file).highest


@contextmanager
def _folder(path: Path | None) -> Iterator[Path]:
    if path is None:
        with TemporaryDirectory(prefix="dicomdock-backup-") as made:
            yield Path(made)
        return
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise BackupNotMade(f"{path} is in the way", "remove it")
    try:
        _empty(path)
        yield path
    finally:
        _empty(path)
        path.rmdir()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


class _Writer:
    """The tar file of one backup."""

    def __init__(self, tar: tarfile.TarFile, sources: Sources) -> None:
        self._tar = tar
        self._sources = sources
        self._members: list[Member] = []
        self._latest: dict[str, tuple[int, tuple[int, ...]]] = {}
        """By name: the place in the list, and what tells one version of a file from another."""
        self._seen: set[str] = set()
        """Files of the trees, when they were read last."""
        self._links: set[str] = set()

    def add_content(self, name: str, content: bytes) -> None:
        """Add a file of the backup itself."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o600
        info.mtime = int(self._sources.clock.now().timestamp())
        self._tar.addfile(info, BytesIO(content))

    def add_state(self) -> None:
        """Add configuration, keys and logs, the configuration after its history."""
        top = self._sources.settings.data_dir
        for name in sorted(STATE, key=lambda name: name == "config.json"):
            if name in DATABASES:
                continue
            if (top / name).is_dir():
                self._add_folder(name, lambda file: is_state(file))
            else:
                self.add_path(top / name, name)

    def add_trees(self) -> None:
        """Add all files of the trees that are new, or another version, since the last time."""
        self._seen = set()
        for tree in TREES:
            self._add_folder(tree, lambda _: True)

    def _add_folder(self, folder: str, wanted: Callable[[str], bool]) -> None:
        top = self._sources.settings.data_dir
        if not (top / folder).is_dir():
            return
        # By descriptors: whatever is put in the place of a folder meanwhile, no link is followed.
        for path, _, files, fd in os.fwalk(top / folder, onerror=_unless_gone):
            inside = Path(path).relative_to(top).as_posix()
            for file in sorted(files):
                name = f"{inside}/{file}"
                if wanted(name):
                    self._seen.add(name)
                    self.add_path(Path(file), name, fd)

    def add_path(self, path: Path, name: str, folder_fd: int | None = None) -> None:
        """Add a file, unless it is gone, no plain file, or already there as it is."""
        try:
            fd = os.open(path, _OPEN_FLAGS, dir_fd=folder_fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if _is_special(path, folder_fd):
                self._links.add(name)
                return
            raise _unreadable(name, error) from error
        with os.fdopen(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                self._links.add(name)
                return
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            before = self._latest.get(name)
            if before is not None and before[1] == version:
                return
            self._add_open(file, name, found)
            if before is not None:
                self._leave_out(before[0])
            self._latest[name] = (len(self._members) - 1, version)

    def _add_open(self, file: IO[bytes], name: str, found: os.stat_result) -> None:
        info = tarfile.TarInfo(f"{DATA}{name}")
        info.size, info.mode, info.mtime = (
            found.st_size,
            stat.S_IMODE(found.st_mode),
            found.st_mtime,
        )
        hashing = _Hashing(file, name)
        try:
            self._tar.addfile(info, hashing)  # type: ignore[arg-type]
        except OSError as error:
            # tarfile's own words, without a number: the file became shorter.
            if error.errno is not None:
                raise
            raise StorageUnusable(
                f"{name} became shorter while it was read", "make the backup again"
            ) from error
        # Else it keeps them all: there may be a million.
        self._tar.members = []  # type: ignore[attr-defined]
        self._members.append(Member(name, found.st_size, hashing.digest()))
        self._sources.progress(len(self._members))

    def leave_out_what_moved(self, known: frozenset[str]) -> None:
        """Mark files that had gone at the second reading, but for those that the index names.

        Args:
            known: the folders of sessions by the index.
        """
        for name, (place, _) in self._latest.items():
            is_tree = name.partition("/")[0] in TREES
            if is_tree and name not in self._seen and not _is_in(name, known):
                self._leave_out(place)

    def _leave_out(self, place: int) -> None:
        self._members[place] = replace(self._members[place], left_out=True)

    def end(self, consistent_at: str, schemas: dict[str, int]) -> Written:
        """Add the manifest."""
        tail = Tail(len(self._members), consistent_at, schemas)
        lines = [member.to_json() for member in self._members]
        self.add_content(MANIFEST, b"".join((*lines, tail.to_json())))
        kept = [member for member in self._members if not member.left_out]
        size = sum(member.size for member in kept)
        return Written(len(kept), size, consistent_at, len(self._links))


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        try:
            content = self._file.read(size)
        except OSError as error:
            raise _unreadable(self._name, error) from error
        self._digest.update(content)
        return content

    def digest(self) -> str:
        return self._digest.hexdigest()


def _unless_gone(error: OSError) -> None:
    """Raise the error of a folder that can't be read, unless it has been moved meanwhile."""
    if not isinstance(error, FileNotFoundError):
        raise _unreadable(error.filename, error) from error


def _unreadable(name: str, error: OSError) -> StorageUnusable:
    return StorageUnusable(
        f"{name} can't be read: {error.strerror}", "check its owner and the disk"
    )


def _is_special(path: Path, folder_fd: int | None) -> bool:
    """Tell whether a name is a link, a socket or the like."""
    with suppress(OSError):
        found = os.stat(path, dir_fd=folder_fd, follow_symlinks=False)
        return not stat.S_ISREG(found.st_mode)
    return False


def _is_in(name: str, folders: frozenset[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:count]) in folders for count in range(2, len(parts)))


def _require_new(settings: EngineSettings, path: Path) -> None:
    # A backup beside the data is lost with it, and would be in the next one.
    if path.resolve().is_relative_to(settings.data_dir.resolve()):
        raise BackupNotMade(
            f"{path} is in the data directory", "name a file on another disk with -o"
        )
    if os.path.lexists(path):
        raise BackupNotMade(f"{path} exists", "name a new file with -o, or remove this one")


def _require_same(backup: Backup, written: Written) -> None:
    if (len(backup.kept), backup.bytes) != (written.files, written.bytes):
        raise BackupNotMade("what was read back is not what was written", "check the disk")


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupNotMade(
            f"it can't be written to {folder}: {error.strerror or error}",
            "name a file with -o in a folder with enough room, which this user may write",
        ) from error
