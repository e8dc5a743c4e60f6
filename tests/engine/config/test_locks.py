"""Nothing of the configuration is read to be changed while another process changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.config import revisions as revisions_module
from engine.config.storage import AtomicJSONStorage
from engine.config.store import ConfigurationStore
from engine.errors import StorageUnusable
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.mark.parametrize(
    "call", [lambda storage: storage.write({}), lambda storage: storage.set_aside()]
)
def test_a_file_is_not_replaced_while_another_process_changes_it(
    path: Path, call: Callable[[AtomicJSONStorage], object]
) -> None:
    path.write_text('{"of": {"another": {}}}')
    with (
        AtomicJSONStorage(path).locked(),
        pytest.raises(StorageUnusable, match="is being changed by another process"),
    ):
        call(AtomicJSONStorage(path, lock_seconds=0))
    assert path.read_text() == '{"of": {"another": {}}}'


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.recover(None, "root"),
        lambda store: store.delete_receiver(1, "root"),
    ],
)
def test_what_is_changed_is_read_once_no_other_process_changes_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[ConfigurationStore], object]
) -> None:
    read: list[str] = []
    monkeypatch.setattr(AtomicJSONStorage, "read", lambda _: read.append("the file"))
    monkeypatch.setattr(revisions_module, "recoverable", lambda _: iter(read))
    monkeypatch.setattr(revisions_module, "newest_number", lambda _: len(read))
    store = ConfigurationStore(path, clock=FixedClock())
    monkeypatch.setattr(store, "_storage", lambda: AtomicJSONStorage(path, lock_seconds=0))
    with (
        AtomicJSONStorage(path).locked(),
        pytest.raises(StorageUnusable, match="is being changed by another process"),
    ):
        call(store)
    assert read == []
