"""Earlier revisions of the configuration, and the files that restore a lost or broken one."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shlex
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import merge
from os.path import exists
from typing import TYPE_CHECKING, Any, Self

from engine.config.reading import (
    Content,
    Unreadable,
    is_same_record,
    parse_tables,
    read_bytes,
    read_tables,
    require_scripts_in_force,
    separate,
    share,
)
from engine.errors import ConfigurationError, NotFound
from engine.model.configuration import parse_configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.config.reading import Tables
    from engine.model.configuration import Configuration


REVISIONS_KEPT = 1000
CHANGES_FROM_BYTES = 64 * 1024
"""Revisions of smaller configurations are kept whole: 1,000 of them take at most 64 MB."""
REVISIONS_OF_ONE_WHOLE = 50
"""After so many numbers a revision is kept whole again, so that a damaged file takes few others."""

_NUMBER = r"[0-9]{8}|[1-9][0-9]{8,}"
_NAME = re.compile(rf"(?P<number>{_NUMBER})(?:-changes-of-(?P<whole>{_NUMBER}))?\.json")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PastRevision:
    """The tables of one revision, as they were in force."""

    number: int
    tables: Tables


@dataclass(frozen=True, slots=True)
class _KeptFile:
    """The name of a revision's file says how the revision is kept."""

    path: Path
    whole: int | None = None
    """The revision that the file has the changes of; None if the file has all tables."""


@dataclass(frozen=True, slots=True)
class _Whole:
    """The tables of a revision that is kept whole."""

    number: int
    identity: tuple[int, ...]
    sha256: str
    tables: Tables


class History:
    """A folder with one file per revision; a revision is written once and never changed.

    A file has all tables, or the records in which they differ from an earlier revision that is kept
    whole. Such a file names that revision, with the SHA-256 of its file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: _Whole | None = None
        """Not locked: a thread that comes between reads a file once more."""

    def keep(self, number: int, content: Content) -> None:
        """Write a revision so that it survives power loss, and drop the oldest beyond the limit.

        A revision that is kept already stays as it is, unless it can't be read.
        """
        self._make_folder()
        files = self._files()
        if number not in files or not self._is_readable(number, files):
            kept = self._write(number, content, files)
            if number in files and files[number] != kept:
                files[number].path.unlink(missing_ok=True)
            files[number] = kept
        numbers = sorted(files, reverse=True)
        needed = {files[one].whole for one in numbers[:REVISIONS_KEPT]}
        for old in numbers[REVISIONS_KEPT:]:
            if old not in needed:
                files[old].path.unlink(missing_ok=True)

    def holds(self, number: int, raw: bytes) -> bool:
        """Tell whether a revision is kept, can be read, and was a file of exactly these bytes."""
        files = self._files()
        kept = files.get(number)
        with suppress(Unreadable):
            if kept is not None and kept.whole is None:
                return read_bytes(kept.path) == raw
            if kept is not None:
                changes = _Changes.read(kept.path)
                whole = self._whole(files, kept)
                return changes.file == _sha256(raw) and changes.whole == whole.sha256
        return False

    def numbers(self) -> list[int]:
        """Return the revisions that are kept, newest first; the file of one may be damaged."""
        return sorted(self._files(), reverse=True)[:REVISIONS_KEPT]

    def revisions(self, older_than: int | None = None) -> Iterator[PastRevision]:
        """Yield the revisions that are kept and readable, newest first."""
        files = self._files()
        for number in sorted(files, reverse=True)[:REVISIONS_KEPT]:
            if older_than is not None and number >= older_than:
                continue
            with suppress(NotFound):
                yield self._revision(number, files)

    def revision(self, number: int) -> PastRevision:
        """Return one revision.

        Raises:
            NotFound: if it is not kept, or its file can't be read.
        """
        return self._revision(number, self._files())

    def file(self, number: int) -> Path:
        """Return the path of a revision's file, which need not exist."""
        kept = self._files().get(number)
        return kept.path if kept else self.folder / f"{number:08d}.json"

    def _files(self) -> dict[int, _KeptFile]:
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - 1,000 names at each save
        except (FileNotFoundError, NotADirectoryError):
            return {}
        files: dict[int, _KeptFile] = {}
        for name in names:
            parts = _NAME.fullmatch(name)
            if parts is None:
                continue
            number, whole = int(parts["number"]), parts["whole"]
            # Of two files of one revision, which a crash may leave, the whole one counts.
            if whole is None or number not in files:
                files[number] = _KeptFile(self.folder / name, int(whole) if whole else None)
        return files

    def _revision(self, number: int, files: Mapping[int, _KeptFile]) -> PastRevision:
        kept = files.get(number)
        if kept is None:
            raise NotFound(f"revision {number} is not kept", self._span())
        try:
            return PastRevision(number, self._tables(files, kept))
        except Unreadable as error:
            why = f"the file of revision {number} is damaged: {kept.path} {error.message}"
            raise NotFound(why, f"choose another revision; {self._span()}") from error

    def _tables(self, files: Mapping[int, _KeptFile], kept: _KeptFile) -> Tables:
        if kept.whole is None:
            tables = read_tables(kept.path)
            if tables is None:
                raise Unreadable("is gone")
            return tables
        changes = _Changes.read(kept.path)
        whole = self._whole(files, kept)
        if whole.sha256 != changes.whole:
            raise _of_the_whole(kept, "was changed")
        return changes.applied_to(whole.tables)

    def _whole(self, files: Mapping[int, _KeptFile], kept: _KeptFile) -> _Whole:
        """Return the revision that a file has the changes of; `Unreadable` if that is damaged."""
        number = kept.whole or 0
        base = files.get(number)
        if base is None or base.whole is not None:
            raise _of_the_whole(kept, "is gone")
        try:
            return self._read_whole(number, base.path)
        except Unreadable as error:
            raise _of_the_whole(kept, error.message) from error

    def _read_whole(self, number: int, path: Path) -> _Whole:
        identity = _identity(path)
        last = self._last
        if last is not None and (last.number, last.identity) == (number, identity):
            return last
        raw = read_bytes(path)
        if raw is None:
            raise Unreadable("is gone")
        sha256 = _sha256(raw)
        same = last is not None and last.sha256 == sha256
        tables = last.tables if last is not None and same else parse_tables(raw)
        self._last = _Whole(number, identity, sha256, tables)
        return self._last

    def _span(self) -> str:
        kept = self.numbers()
        return f"kept revisions: {kept[-1]} to {kept[0]}" if kept else "no revision is kept"

    def _make_folder(self) -> None:
        # A command of root would write where the link leads.
        if self.folder.is_symlink():
            raise OSError(errno.ELOOP, "config.history is a symbolic link")
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o750)
            # The folder's own name must survive power loss, or its files do not.
            flush_directory(self.folder.parent)

    def _is_readable(self, number: int, files: Mapping[int, _KeptFile]) -> bool:
        try:
            self._tables(files, files[number])
        except Unreadable:
            return False
        return True

    def _write(self, number: int, content: Content, files: Mapping[int, _KeptFile]) -> _KeptFile:
        whole = self._whole_for(number, content, files)
        if whole is not None:
            whole = self._last = replace(whole, tables=share(whole.tables, content.tables))
            changes = _Changes.between(whole, content)
            if changes is not None:
                path = self.folder / f"{number:08d}-changes-of-{whole.number:08d}.json"
                self._publish(path, changes.to_bytes())
                return _KeptFile(path, whole.number)
        path = self.folder / f"{number:08d}.json"
        self._publish(path, content.raw)
        if len(content.raw) >= CHANGES_FROM_BYTES:
            self._last = _Whole(number, _identity(path), _sha256(content.raw), content.tables)
        return _KeptFile(path)

    def _whole_for(
        self, number: int, content: Content, files: Mapping[int, _KeptFile]
    ) -> _Whole | None:
        """Return the revision of which to keep the changes; None to keep this one whole."""
        is_needed = any(kept.whole == number for kept in files.values())
        # One that is written anew stays whole: then the changes of it can be read again.
        if len(content.raw) < CHANGES_FROM_BYTES or is_needed:
            return None
        earlier = range(number - REVISIONS_OF_ONE_WHOLE + 1, number)
        wholes = [one for one in earlier if one in files and files[one].whole is None]
        if not wholes:
            return None
        path = files[wholes[-1]].path
        try:
            return self._read_whole(wholes[-1], path)
        except Unreadable:
            lost = sorted(n for n, kept in files.items() if kept.whole == wholes[-1] and n < number)
            # Numbers only: an event about it has no texts.
            _logger.warning(
                "revision %d of the configuration is damaged, and with it %d that are kept as "
                "changes of it: %d to %d",
                *(wholes[-1], len(lost), *((lost[0], lost[-1]) if lost else (0, 0))),
            )
        return None

    def _publish(self, path: Path, raw: bytes) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                # Before the rename: after power loss the name must not stand for an empty file.
                os.fsync(descriptor)
            os.replace(name, path)  # noqa: PTH105 - one rename(2) and nothing else
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise
        flush_directory(self.folder)


@dataclass(frozen=True, slots=True)
class _Changes:
    """The records in which a revision differs from one that is kept whole."""

    whole: str
    """SHA-256 of the file of the other revision."""
    file: str
    """SHA-256 of the configuration file of this revision."""
    tables: Mapping[str, Mapping[str, Any] | None]
    """By table and id: the record, or None for one that is gone; None for a table that is gone."""

    @classmethod
    def between(cls, whole: _Whole, content: Content) -> Self | None:
        """Return the changes, or None if they are many, or can't be said record by record.

        Records that are the same are one object: see `share`.
        """
        changed: dict[str, dict[str, Any] | None] = {}
        before: Mapping[str, Any] = whole.tables
        after: Mapping[str, Any] = content.tables
        for name in dict.fromkeys((*before, *after)):
            if name not in after:
                changed[name] = None
                continue
            old, new = before.get(name, {}), after[name]
            if not isinstance(old, dict) or not isinstance(new, dict):
                if not is_same_record(old, new):
                    return None
                continue
            records = {key: None for key in old if key not in new}
            records |= {
                key: record
                for key, record in new.items()
                if key not in old or old[key] is not record
            }
            if records or name not in before:
                changed[name] = records
        made = cls(whole.sha256, _sha256(content.raw), changed)
        is_exact = _are_same(made.applied_to(whole.tables), content.tables)
        is_short = 4 * len(made.to_bytes()) < len(content.raw)
        return made if is_exact and is_short else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the changes of a file; `Unreadable` if it has none."""
        content: Mapping[str, Any] | None = read_tables(path)
        if content is None:
            raise Unreadable("is gone")
        whole, file, tables = (content.get(name) for name in ("whole", "file", "changes"))
        if not isinstance(whole, str) or not isinstance(file, str) or not isinstance(tables, dict):
            raise Unreadable("does not have the changes of a revision")
        if not all(table is None or isinstance(table, dict) for table in tables.values()):
            raise Unreadable("has changes that are not records")
        return cls(whole, file, tables)

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        record = {"whole": self.whole, "file": self.file, "changes": self.tables}
        return Content.of(record).raw

    def applied_to(self, tables: Tables) -> Tables:
        """Return the tables with the changes; the others stay as they are."""
        changed = separate(tables)
        for name, records in self.tables.items():
            if records is None:
                changed.pop(name, None)
                continue
            # The SHA-256 has shown that these are the tables of which the changes are.
            table = changed.setdefault(name, {})
            table |= records
            for key in [key for key, record in records.items() if record is None]:
                del table[key]
        return changed


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether tables are equal, and have their records in the same order."""
    return one == other and all(map(_in_one_order, (one, *one.values()), (other, *other.values())))


def _in_one_order(one: object, other: object) -> bool:
    return not isinstance(one, dict) or not isinstance(other, dict) or list(one) == list(other)


def _of_the_whole(kept: _KeptFile, why: str) -> Unreadable:
    what = f"has the changes of revision {kept.whole}, and the file of that revision {why}"
    return Unreadable(what)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        status = path.lstat()
    except OSError as error:
        raise Unreadable(f"can't be opened: {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def history_of(path: Path) -> History:
    """Return the history of a configuration file, which is in a folder beside it."""
    return History(path.with_name(f"{path.stem}.history"))


def flush_directory(directory: Path) -> None:
    """Make new and renamed names in a directory survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


BACKUPS_KEPT = 5


@dataclass(frozen=True, slots=True)
class RecoveryCandidate:
    """An acceptable earlier configuration, and the file that holds it."""

    configuration: Configuration
    tables: Tables
    file: Path

    @property
    def words(self) -> str:
        """Name revision, time and file."""
        at = self.configuration.changed_at
        when = f" of {at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""
        name = f"{self.file.parent.name}/{self.file.name}"
        return f"revision {self.configuration.revision}{when} ({name})"


def backups_of(path: Path) -> list[Path]:
    """Return the names that the backups of a configuration file have, newest first."""
    return [path.with_name(f"{path.name}.bak.{i}") for i in range(1, BACKUPS_KEPT + 1)]


def recoverable(path: Path) -> Iterator[RecoveryCandidate]:
    """Yield what a configuration file can be restored from, newest revision first.

    Files that can't be read, and configurations that are not acceptable, are left out; so is a
    backup of a revision that the history has.
    """
    history = history_of(path)
    kept = _acceptable((past.tables, history.file(past.number)) for past in history.revisions())
    backups = sorted(_acceptable(_backups(path)), key=_age)
    seen = set()
    # merge is lazy: the newest candidate is found without a look at all revisions.
    for found in merge(kept, backups, key=_age):
        if found.configuration not in seen:
            seen.add(found.configuration)
            yield found


def newest_number(path: Path) -> int:
    """Return the highest revision that the history or a backup names, also in a damaged file."""
    backups = [found.configuration.revision for found in _acceptable(_backups(path))]
    return max([0, *history_of(path).numbers(), *backups])


def backup_of_revision(path: Path, number: int) -> Tables | None:
    """Return the tables of a revision if a backup has them."""
    found = (b.tables for b in _acceptable(_backups(path)) if b.configuration.revision == number)
    return next(found, None)


def was_configured(path: Path, in_use: Iterable[Path]) -> str:
    """Return the signs that a missing configuration file existed once; empty if there are none.

    Args:
        path: the configuration file.
        in_use: further files that exist only where an engine has run.
    """
    backups = [backup for backup in backups_of(path) if backup.exists()][:1]
    history = history_of(path)
    kept = [history.folder] if history.numbers() else []
    return ", ".join(sign.name for sign in (*backups, *kept, *filter(exists, in_use)))


def remedy(path: Path) -> str:
    """Return a sentence on how to restore a configuration file."""
    command = shlex.join(["dicomdock", "--data", str(path.parent), "config", "recover"])
    newest = next(recoverable(path), None)
    if newest is None:
        return (
            "no revision and no backup is readable: restore the file from a backup of your own, "
            f"or begin with the defaults: {command} --defaults"
        )
    return f"restore {newest.words} with: {command}"


def _age(found: RecoveryCandidate) -> int:
    return -found.configuration.revision


def _backups(path: Path) -> Iterator[tuple[Tables, Path]]:
    for backup in backups_of(path):
        with suppress(Unreadable):
            tables = read_tables(backup)
            if tables is not None:
                yield tables, backup


def _acceptable(files: Iterable[tuple[Tables, Path]]) -> Iterator[RecoveryCandidate]:
    for tables, file in files:
        with suppress(ConfigurationError):
            configuration = parse_configuration(tables)
            require_scripts_in_force(configuration)
            yield RecoveryCandidate(configuration, tables, file)
