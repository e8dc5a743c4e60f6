"""Keeps the output of failed programs in files, not in events: it may name patients."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from engine.processing.command.queue import QueuedRun

KEPT_FILES: Final = 100
"""The newest; there is one for each failed run that wrote anything."""

_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_logger = logging.getLogger(__name__)


class Outputs:
    """A folder with the ends of outputs, readable by the engine's user only; for all threads."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made when it is needed."""
        self._folder = folder
        self._lock = threading.Lock()

    def keep(self, run: QueuedRun, output: str) -> str:
        """Keep what a run wrote; return the file's place in the data directory, empty without one.

        A storage that fails costs the output only: the failure itself is told all the same.
        """
        if not output:
            return ""
        name = f"{run.processor:06d}-{run.id:012d}-{run.begun}.txt"
        try:
            with self._lock:
                self._write(name, _harmless(output))
        except OSError as error:
            _logger.warning("the output of a program is not kept: %s", error.strerror)
            return ""
        return f"{self._folder.parent.name}/{self._folder.name}/{name}"

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        path.unlink(missing_ok=True)
        fd = os.open(path, _NEW_FLAGS, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        self._forget_old()

    def _forget_old(self) -> None:
        files = [(path.stat().st_mtime_ns, path) for path in self._folder.glob("*.txt")]
        for _, path in sorted(files)[:-KEPT_FILES]:
            with suppress(OSError):
                path.unlink()


def _harmless(output: str) -> str:
    """Return an output without what steers a terminal."""
    lines = ("".join(c if c.isprintable() else "�" for c in ln) for ln in output.splitlines())
    return "\n".join(lines) + "\n"
