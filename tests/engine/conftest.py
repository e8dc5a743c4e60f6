"""Sessions are tested without waiting for the disk; what would be flushed is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.index.depot import Depot, depot_in
from tests.engine.storage.disk_log import DiskLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """Return the sessions of a data directory that has something beside it."""
    (tmp_path / "data").mkdir()
    with depot_in(tmp_path / "data") as depot:
        yield depot


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder that is not the engine's, in which nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def quick(disk_log: DiskLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flush nothing to the disk, and write every row at once."""
    monkeypatch.setattr("engine.index.writer.BATCH_SECONDS", 0)


@pytest.fixture
def disk_log(monkeypatch: pytest.MonkeyPatch) -> DiskLog:
    """Flush nothing to the disk; return what would have been flushed, and when."""
    log = DiskLog()
    log.watch(monkeypatch)
    return log
