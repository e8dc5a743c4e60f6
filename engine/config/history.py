"""Earlier revisions of the configuration: who changed what, when, and the tables themselves."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.config.storage import Tables

REVISIONS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class PastRevision:
    """One revision as it was when it was in force."""

    number: int
    tables: Tables


class History:
    """A folder with one file per revision; a revision is written once and never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, number: int, tables: Tables) -> None:
        """Write a revision, and drop the oldest beyond those that are kept.

        A revision that is kept already stays as it is.
        """
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        target = self._file(number)
        if target.exists():
            return
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                json.dump(tables, file, indent=1)
            os.replace(name, target)  # noqa: PTH105 - one rename(2) and nothing else
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise
        for old in self.numbers()[REVISIONS_KEPT:]:
            self._file(old).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Return the revisions that are kept, newest first."""
        names = (path.stem for path in self._folder.glob("*.json"))
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def revisions(self, older_than: int | None = None) -> Iterator[PastRevision]:
        """Yield the revisions that are kept and readable, newest first."""
        for number in self.numbers():
            if older_than is not None and number >= older_than:
                continue
            with contextlib.suppress(NotFound):
                yield self.revision(number)

    def revision(self, number: int) -> PastRevision:
        """Return one revision.

        Raises:
            NotFound: if it is not kept, or its file can't be read.
        """
        try:
            tables = json.loads(self._file(number).read_text("utf-8"))
            if not isinstance(tables, dict):
                raise ValueError("not an object of tables")  # noqa: TRY004, TRY301 - as unreadable
        except (OSError, ValueError, RecursionError) as error:
            kept = self.numbers()
            span = f"{kept[-1]} to {kept[0]}" if kept else "none"
            raise NotFound(f"revision {number} is not kept", f"kept revisions: {span}") from error
        return PastRevision(number, tables)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}.json"
