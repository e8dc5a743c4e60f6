"""Finds the files of a job below folders or URLs, one after the other.

No list of all files is made. On this machine not even one of a folder: a folder may have a million.
A listing of an object store is in memory, 1 kB for each object of one folder.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.jobs.file import FileOutcome, FileResult, JobFile
from engine.jobs.places import NoFileSystem, file_system, is_url, joined, store_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Inputs:
    """The named files and folders, and the output that they go to."""

    names: tuple[str, ...]
    """Paths or URLs."""
    output: str
    """A folder; a file, if a single file is named and no such folder is there."""

    @property
    def is_single(self) -> bool:
        """Whether one file goes to one file."""
        return (
            len(self.names) == 1
            and not any(map(_is_folder, self.names))
            and not self.output.endswith("/")
            and not _is_folder(self.output)
        )

    def find(self) -> Iterator[JobFile | FileResult]:
        """Yield every file with its target, and the folders that can't be listed as results.

        Folders keep their structure. Symbolic links to folders are not followed.
        """
        if self.is_single:
            yield _named(self.names[0], self.output)
            return
        for name in self.names:
            if is_url(name) and _is_folder(name):
                yield from self._below_url(name)
            elif _is_folder(name):
                yield from self._below(name)
            else:
                yield _named(name, joined(self.output, name.rstrip("/").rsplit("/", 1)[-1]))

    def sizes(self) -> Iterator[int]:
        """Yield the size of each file; may run on another thread while `find` does."""
        for found in self.find():
            if isinstance(found, JobFile):
                yield found.size_bytes

    def _below(self, top: str) -> Iterator[JobFile | FileResult]:
        # The output may be a folder below an input: its files are no input.
        output = "" if is_url(self.output) else os.path.realpath(self.output)
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if os.path.realpath(entry.path) != output:
                                waiting.append(entry.path)
                        elif entry.is_file():
                            below = os.path.relpath(entry.path, top)
                            yield _local(entry.path, joined(self.output, below), entry.stat())
            except OSError as error:
                why = f"the folder can't be listed: {(error.strerror or 'an error').lower()}"
                yield FileResult(JobFile(folder, ""), FileOutcome.FAILED, why)

    def _below_url(self, top: str) -> Iterator[JobFile]:
        system, root = file_system(top)
        output = file_system(self.output)[1] if is_url(self.output) else ""
        with _listing(top):
            for folder, _, files in system.walk(root, detail=True):
                if output and (folder == output or folder.startswith(f"{output}/")):
                    continue
                for name, details in files.items():
                    # An object whose name ends with a slash stands for its folder.
                    if name:
                        path = f"{folder}/{name}"
                        below = path[len(root) :].lstrip("/")
                        url = str(system.unstrip_protocol(path))
                        yield _remote(url, joined(self.output, below), details)


@contextmanager
def _listing(url: str) -> Iterator[None]:
    try:
        with store_errors(url):
            yield
    except OSError as error:
        remedy = "check the address and the credentials of the store"
        raise NoFileSystem(f"{url} can't be listed: {error}", remedy) from error


def _named(name: str, target: str) -> JobFile:
    if is_url(name):
        system, path = file_system(name)
        try:
            with store_errors(name):
                return _remote(name, target, system.info(path))
        except OSError:
            return JobFile(name, target)
    try:
        return _local(name, target, Path(name).stat())
    # The job meets the same error, and reports it; a name with a null character is a `ValueError`.
    except (OSError, ValueError):
        return JobFile(name, target)


def _local(path: str, target: str, status: os.stat_result) -> JobFile:
    return JobFile(path, target, status.st_size, str(status.st_mtime_ns))


def _remote(url: str, target: str, details: dict[str, Any]) -> JobFile:
    version = details.get("ETag") or details.get("LastModified") or details.get("mtime") or ""
    return JobFile(url, target, int(details.get("size") or 0), str(version))


def _is_folder(name: str) -> bool:
    if is_url(name):
        system, path = file_system(name)
        with _listing(name):
            return bool(system.isdir(path))
    return Path(name).is_dir()
