"""Sessions are tested without waiting for the disk; what is flushed when has tests of its own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flush nothing to the disk, and write every row at once."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr("engine.sessions.rows.BATCH_SECONDS", 0)
