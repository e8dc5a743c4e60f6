"""An association with a destination is made and hung up under one lock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engine.processing.forward import connection as line_module
from engine.processing.forward.connection import DestinationConnection
from tests.guarded import guarded

if TYPE_CHECKING:
    import pytest


def test_the_association_with_a_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    destination: Any = SimpleNamespace(peer=None, deadlines=None)
    made = SimpleNamespace(hang_up=lambda: None, release=lambda: None, close=lambda: None)
    monkeypatch.setattr(line_module, "call", lambda *_: made)
    line = DestinationConnection(destination)
    with guarded(line, "_hung_up", by=line._lock):
        line.require(())
    with guarded(line, "_hung_up", "_association", by=line._lock):
        line.hang_up()
    with guarded(line, "_association", by=line._lock):
        line.close()
