"""The report of a job: a line of JSON for each file, with which an interrupted job goes on.

A line has names and UIDs, and no values of patients. It is written when the outcome is known, and
flushed; a line that was cut by a crash is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
from array import array
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import IO, Self

    Key = tuple[object, ...]
    """What a file is known by, such as its name and its size."""


class ReportUnusable(EngineError):
    """The file of the report can't be used."""

    title = "The report can't be written"
    exit_code = 2


class Report:
    """Appends to a report, and knows what the one before it has; for one thread."""

    def __init__(
        self,
        path: Path,
        job: str,
        heading: Mapping[str, str],
        key_if_done: Callable[[Mapping[str, object]], Key | None],
        *,
        resume: bool,
        noted: Mapping[str, str] | None = None,
    ) -> None:
        """Open the file; go on behind what it has if `resume` is true.

        Args:
            path: the file.
            job: the name of the command.
            heading: what must be the same when a job goes on, such as the receiver.
            key_if_done: returns the key of the file of a line; None if it is to be done again.
            resume: whether files that were done by then are passed over.
            noted: what a new report has in its heading too, and `heading` returns from then on.

        Raises:
            ReportUnusable: if the file is there and `resume` is false, if it is of another job, if
                another one writes to it, or if it can't be opened.
        """
        self._path, self._job = path, job
        self._done = _Digests()
        self._expected = dict(heading)
        self.heading = {**heading, **(noted or {})}
        """As it stands in the file."""
        self.passed_over = self.passed_bytes = 0
        try:
            self._file = self._opened(resume=resume)
            try:
                if self._read(key_if_done):
                    self._write({job: self.heading})
            except BaseException:
                self._file.close()
                raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ReportUnusable(f"{path}: {reason}", "name another file") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _opened(self, *, resume: bool) -> IO[str]:
        try:
            mode = "a+" if resume else "x+"
            file = open(self._path, mode, encoding="ascii", errors="replace", opener=_private)  # noqa: SIM115
        except FileExistsError:
            remedy = "go on with --resume, or name another file"
            raise ReportUnusable(f"{self._path} is there already", remedy) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            remedy = "wait for it, or name another file"
            raise ReportUnusable(f"another {self._job} writes to {self._path}", remedy) from None
        return file

    def _read(self, key_if_done: Callable[[Mapping[str, object]], Key | None]) -> bool:
        """Read what is there; return whether that is nothing."""
        self._file.seek(0)
        line = "\n"
        is_new = True
        for line in self._file:
            record = _record_in(line)
            if is_new and (record or not line.startswith("{")):
                self._take_heading(record.get(self._job))
                is_new = False
            key = key_if_done(record)
            if key is not None:
                self._done.add(_digest(key))
        if not line.endswith("\n"):  # cut by a crash: the next line must not be part of it
            self._file.write("\n")
        return is_new

    def _take_heading(self, found: object) -> None:
        theirs = found if isinstance(found, dict) else {}
        if theirs and self._expected.items() <= theirs.items():
            self.heading = theirs
            return
        # Not the whole line: an earlier run may have noted a secret.
        words = ", ".join(
            f"{name} {str(theirs[name])[:80]}" for name in self._expected if name in theirs
        )
        raise ReportUnusable(
            f"{self._path} is no report of this {self._job}{': ' if words else ''}{words}",
            "give the same options as for that report, or name another file",
        )

    def add(self, record: Mapping[str, object]) -> None:
        """Append what became of a file.

        Raises:
            ReportUnusable: if that fails.
        """
        with _usable(self._path):
            self._write(record)

    def has(self, key: Key, size_bytes: int) -> bool:
        """Tell whether a file was done by an earlier run; if so, count it as passed over."""
        is_done = _digest(key) in self._done
        if is_done:
            self.passed_over += 1
            self.passed_bytes += size_bytes
        return is_done

    def sync(self) -> None:
        """Let the lines survive a power cut.

        Raises:
            ReportUnusable: if that fails.
        """
        with _usable(self._path):
            os.fdatasync(self._file.fileno())

    def _write(self, record: Mapping[str, object]) -> None:
        # ASCII: a name that is no UTF-8 is written, and read, as escapes.
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "free space, then go on with --resume"
        raise ReportUnusable(f"{path}: {error.strerror}", remedy) from error


def _private(path: str, flags: int) -> int:
    # Names of files may name patients.
    return os.open(path, flags, 0o600)


def _record_in(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _digest(key: Key) -> bytes:
    text = "\0".join(map(str, key))
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=10).digest()


class _Digests:
    """A set of digests of 80 bits: 20 MB for a million, where a set of bytes takes 100 MB."""

    def __init__(self) -> None:
        self._by_beginning: dict[bytes, array[int]] = {}

    def add(self, digest: bytes) -> None:
        """Put a digest into the set."""
        rest = self._by_beginning.setdefault(digest[:2], array("Q"))
        rest.append(int.from_bytes(digest[2:], "big"))

    def __contains__(self, digest: bytes) -> bool:
        return int.from_bytes(digest[2:], "big") in self._by_beginning.get(digest[:2], ())
