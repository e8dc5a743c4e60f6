"""The report of an import: a line of JSON for each file, with which an interrupted one goes on.

A line has names and UIDs, and no values of patients. It is written when the outcome is known, and
flushed; a line that was cut by a crash is passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from engine.dimse.commands import RetryDecision, retry_decision
from engine.errors import EngineError
from engine.importing.found import FoundObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import IO, Self

    from engine.importing.found import Found, Name
    from engine.importing.outcomes import Result


class ReportUnusable(EngineError):
    """The file of the report can't be used."""

    title = "The report can't be written"
    exit_code = 2


class Report:
    """Appends to a report, and knows what the one before it has; for one thread."""

    def __init__(self, path: Path, heading: Mapping[str, str], *, resume: bool) -> None:
        """Open the file; go on behind what it has if `resume` is true.

        Args:
            path: the file.
            heading: what must be the same when an import goes on, such as the receiver.
            resume: whether files that were stored by then are passed over.

        Raises:
            ReportUnusable: if the file is there and `resume` is false, if it is of another
                receiver, if another import writes to it, or if it can't be opened.
        """
        self._path = path
        self._stored: set[bytes] = set()
        """Digests of the names: those of a million files take 100 MB otherwise."""
        self.passed_over = self.passed_bytes = 0
        try:
            self._file = self._opened(resume=resume)
            try:
                is_new = self._read(heading)
                if is_new:
                    self._write({"import": dict(heading)})
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
            raise ReportUnusable(f"another import writes to {self._path}", remedy) from None
        return file

    def _read(self, heading: Mapping[str, str]) -> bool:
        """Read what is there; return whether that is nothing."""
        self._file.seek(0)
        line = "\n"
        is_new = True
        for line in self._file:
            record = _record_in(line)
            if is_new and record.get("import", heading) != dict(heading):
                raise ReportUnusable(
                    f"{self._path} is the report of another import: {line.strip()[:200]}",
                    "give the receiver and --as of that import, or name another file",
                )
            is_new = False
            status = record.get("status")
            if isinstance(status, int) and retry_decision(status) is RetryDecision.DONE:
                key = record.get("source"), record.get("member"), record.get("bytes")
                self._stored.add(_digest(*key))
        if not line.endswith("\n"):  # cut by a crash: the next line must not be part of it
            self._file.write("\n")
        return is_new

    def add(self, result: Result) -> None:
        """Append what became of a file.

        Raises:
            ReportUnusable: if that fails.
        """
        name = result.name
        try:
            self._write(
                {
                    "source": name.source,
                    "member": name.member,
                    "bytes": name.size_bytes,
                    "sop_instance_uid": result.sop_instance_uid,
                    "outcome": str(result.outcome),
                    "reason": result.reason,
                    "status": result.status,
                    "session": result.session,
                }
            )
        except OSError as error:
            remedy = "free space, then go on with --resume"
            raise ReportUnusable(f"{self._path}: {error.strerror}", remedy) from error

    def left(self, found: Iterable[Found]) -> Iterator[Found]:
        """Yield what was not stored by an earlier import."""
        for one in found:
            if isinstance(one, FoundObject) and self._has(one.name):
                self.passed_over += 1
                self.passed_bytes += one.read_bytes
                one.close()
            else:
                yield one

    def _has(self, name: Name) -> bool:
        return _digest(name.source, name.member, name.size_bytes) in self._stored

    def _write(self, record: Mapping[str, object]) -> None:
        # ASCII: a name that is no UTF-8 is written, and read, as escapes.
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def _private(path: str, flags: int) -> int:
    # Names of files may name patients.
    return os.open(path, flags, 0o600)


def _record_in(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _digest(source: object, member: object, size_bytes: object) -> bytes:
    text = f"{source}\0{member}\0{size_bytes}"
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).digest()
