"""Sessions are tested without waiting for the disk; what would be flushed is written down."""

from __future__ import annotations

import pytest

from tests.engine.sessions.disk_log import DiskLog


@pytest.fixture
def quick(disk_log: DiskLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flush nothing to the disk, and write every row at once."""
    monkeypatch.setattr("engine.sessions.rows.BATCH_SECONDS", 0)


@pytest.fixture
def disk_log(monkeypatch: pytest.MonkeyPatch) -> DiskLog:
    """Flush nothing to the disk; return what would have been flushed, and when."""
    log = DiskLog()
    log.watch(monkeypatch)
    return log
