"""Writes down what is flushed, renamed and removed, in its order, instead of waiting for a disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.storage.folders import rename_new

if TYPE_CHECKING:
    import pytest


class Step(NamedTuple):
    """One step on the disk, or something that a test noted."""

    kind: str
    path: Path
    """What was flushed or removed; where it was moved to."""


class DiskLog:
    """Every flush of a file or folder by its path, between the changes of names."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._lock = threading.Lock()

    def note(self, kind: str, path: Path) -> None:
        with self._lock:
            self.steps.append(Step(kind, path))

    def clear(self) -> None:
        self.steps.clear()

    def flushed(self) -> list[Path]:
        return [step.path for step in self.steps if step.kind == "flush"]

    def index(self, kind: str, path: Path) -> int:
        """Return when a step was made for the first time; fails if it never was."""
        return self.steps.index(Step(kind, path))

    def last(self, kind: str, path: Path) -> int:
        """Return when a step was made for the last time; fails if it never was."""
        return max(n for n, step in enumerate(self.steps) if step == Step(kind, path))

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Flush nothing from now on, and write everything down."""
        monkeypatch.setattr(os, "fsync", self._flush)
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, self._moving(getattr(os, name)))
        monkeypatch.setattr("engine.storage.files.rename_new", self._moving(rename_new))
        for name in ("unlink", "mkdir"):
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name)))

    def _flush(self, fd: int) -> None:
        self.note("flush", _folder(fd))

    def _moving(self, real: Any) -> Any:
        def move(source: Any, target: Any, **options: Any) -> None:
            real(source, target, **options)
            self.note("move", _place(target, options.get("dst_dir_fd")))

        return move

    def _noting(self, name: str, real: Any) -> Any:
        def change(path: Any, *arguments: Any, **options: Any) -> None:
            real(path, *arguments, **options)
            self.note(name, _place(path, options.get("dir_fd")))

        return change


def _place(path: Any, dir_fd: int | None) -> Path:
    return Path(path) if dir_fd is None else _folder(dir_fd) / path


def _folder(fd: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
