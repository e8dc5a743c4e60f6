"""A start that fails after a crash: the next one still looks for the objects without a row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

import pytest

from engine.errors import StorageUnusable
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.dicom import image
from tests.peers.peer import Peer
from tests.running import configure, free_port, make_receiver, object_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OBJECTS = 2


@pytest.fixture
def crashed(tmp_path: Path) -> EngineSettings:
    """A data directory as a kill within the batch time leaves it: two files without a row."""
    settings, port = EngineSettings(tmp_path / "data", durability=Durability.NONE), free_port()
    configure(settings.data_dir, make_receiver("XNAT", port))
    engine = Engine(settings)
    engine.start()
    peer = Peer(port).request("XNAT").expect_accept()
    for number in range(OBJECTS):
        uid = f"1.2.3.{number}"
        peer.store(image(SOPInstanceUID=uid), uid).expect_status(0x0000)
    peer.release()
    peer.close()
    engine.stop(drain_seconds=5)
    with closing(sqlite3.connect(settings.index_file)) as index, index:
        index.execute("DELETE FROM objects")
        index.execute("UPDATE engine SET clean_stop = 0")
    return settings


def fail(*_: object, **__: object) -> NoReturn:
    raise OSError(5, "Input/output error")


def spoil_trace_key(settings: EngineSettings, _: pytest.MonkeyPatch) -> None:
    settings.trace_key_file.write_bytes(b"x")


def spoil_recovery(_: EngineSettings, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("engine.sessions.worker.Lifecycle.begin", fail)


@pytest.mark.parametrize("spoil", [spoil_trace_key, spoil_recovery])
def test_a_start_that_fails_leaves_the_objects_without_a_row_to_the_next_one(
    crashed: EngineSettings,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[EngineSettings, pytest.MonkeyPatch], None],
) -> None:
    key = crashed.trace_key_file.read_bytes()
    with monkeypatch.context() as patch:
        spoil(crashed, patch)
        with pytest.raises((OSError, StorageUnusable)):
            Engine(crashed).start()
    crashed.trace_key_file.write_bytes(key)
    engine = Engine(crashed)
    engine.start()
    engine._session_service.recover()
    engine.stop(drain_seconds=0)
    assert len(object_rows(crashed.data_dir)) == OBJECTS


def test_a_recovery_that_fails_closes_no_port_and_is_left_to_the_next_start(
    crashed: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("engine.sessions.reconcile.repair", fail)
        engine = Engine(crashed)
        engine.start()
        assert [receiver.state for receiver in engine.snapshot().receivers] == ["listening"]
        assert str(engine.snapshot().recovery) == "recovering 0 of 1 sessions"
        engine.stop(drain_seconds=0)
    assert not stopped_cleanly(crashed)
    engine = Engine(crashed)
    engine.start()
    engine._session_service.recover()
    engine.stop(drain_seconds=0)
    assert len(object_rows(crashed.data_dir)) == OBJECTS
    assert stopped_cleanly(crashed)


def stopped_cleanly(settings: EngineSettings) -> bool:
    with closing(sqlite3.connect(settings.index_file)) as index:
        (row,) = index.execute("SELECT clean_stop FROM engine").fetchall()
    return bool(row[0])


def test_a_start_that_fails_after_its_recovery_leaves_the_note_of_a_crash(
    crashed: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("engine.config.watcher.ConfigurationWatcher.start", fail)
        with pytest.raises(OSError, match="Input/output"):
            Engine(crashed).start()
    assert not stopped_cleanly(crashed)
