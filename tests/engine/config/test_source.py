"""What an engine is configured by: the file, or a document that declares all of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from engine.config import watcher
from engine.config.source import ConfigurationSource
from engine.config.store import ConfigurationStore
from engine.errors import ConfigurationError, InvalidDeclaration
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = '[[receivers]]\nae_title = { file = "ae" }\nport = 8105\n'


@pytest.fixture
def store(tmp_path: Path) -> ConfigurationStore:
    (tmp_path / "data").mkdir()
    return ConfigurationStore(tmp_path / "data" / "config.json", clock=SystemClock())


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "ae").write_text("CT1\n")
    path = tmp_path / "dicomdock.toml"
    path.write_text(DECLARED)
    return path


def source_of(store: ConfigurationStore, document: Path | None) -> ConfigurationSource:
    return ConfigurationSource(store, store.history.folder.with_name("config.json"), document)


def test_a_document_makes_the_first_configuration_and_no_usual_receiver(
    store: ConfigurationStore, document: Path
) -> None:
    first = source_of(store, document).first()
    assert (first.revision, [r.label for r in first.receivers]) == (1, ["CT1:8105"])
    # Without the document everybody may change it again.
    assert source_of(store, None).first().source == ""
    assert store.set_enabled(1, False, "anna")[0].revision == 3


def test_a_broken_document_leaves_the_last_good_configuration_in_force(
    store: ConfigurationStore, document: Path
) -> None:
    document.write_text("x y")
    source = source_of(store, document)
    with pytest.raises(InvalidDeclaration) as caught:
        source.first()
    # What goes into logs names the place, and how to see more.
    assert caught.value.without_values() == "not acceptable: dicomdock.toml line 1 column 3"
    assert f"config apply {document} --dry-run" in caught.value.remedy_without_values
    document.write_text(DECLARED)
    good = source.first()
    (document.parent / "ae").unlink()
    assert source_of(store, document).first() == good
    with pytest.raises(ConfigurationError, match="the file does not exist"):
        source.read()


def test_a_change_of_the_configuration_file_by_hand_is_taken_back(
    store: ConfigurationStore, document: Path
) -> None:
    source, file = source_of(store, document), document.with_name("data") / "config.json"
    source.first()
    file.write_text(file.read_text().replace("8105", "8106"))
    assert [r.label for r in source.read().receivers] == ["CT1:8105"]
    # The change by hand is revision 2, and can be seen.
    assert store.revision(2).receivers[0].label == "CT1:8106"


def test_changes_of_a_file_that_the_document_names_are_noticed(
    store: ConfigurationStore, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLL_SECONDS", 0.05)
    source, noticed = source_of(store, document), threading.Event()
    source.first()
    source.watch(noticed.set)
    try:
        (document.parent / "ae").write_text("CT22\n")
        assert noticed.wait(20)
        assert source.is_watching()
    finally:
        source.stop()
    assert source.read().receivers[0].label == "CT22:8105"
