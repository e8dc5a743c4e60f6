"""What identifiers are told of studies: by a running engine, and in a dry run."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.errors import OutOfResources, StorageUnusable
from engine.index.store import SessionIndex
from engine.model.study_route import StudyRoute
from engine.state import studies as study_labels
from engine.state.routes import StudyRoutes
from engine.state.studies import KnownStudies, LabelKey, ReadOnlyStudies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    index = SessionIndex(tmp_path / "index.sqlite", durable=False)
    index.close()
    with StudyRoutes(tmp_path / "state.sqlite") as routes:
        routes.add([StudyRoute("1.2.3", "P", "S1")], "anna", NOW)
    return tmp_path / "state.sqlite", tmp_path / "index.sqlite"


@pytest.fixture
def known(files: tuple[Path, Path]) -> Iterator[KnownStudies]:
    studies = KnownStudies(*files)
    yield studies
    studies.close()


def key(study: str) -> LabelKey:
    return LabelKey("P", "S1", study)


def test_a_dry_run_is_told_the_same_and_leaves_nothing_behind(
    files: tuple[Path, Path], known: KnownStudies
) -> None:
    assert known.label(key("1.2.3"), "MR", take=True) == "S1_MR1"
    dry = ReadOnlyStudies(*files)
    assert dry.route("1.2.3") == known.route("1.2.3") is not None
    assert dry.route("1.2.4") is None
    assert dry.label(key("1.2.3"), "MR", take=True) == "S1_MR1"
    assert dry.label(key("1.2.4"), "MR", take=True) == "S1_MR2"
    assert known.label(key("1.2.5"), "MR", take=True) == "S1_MR2"


def test_a_dry_run_makes_no_files(tmp_path: Path) -> None:
    dry = ReadOnlyStudies(tmp_path / "state.sqlite", tmp_path / "index.sqlite")
    assert dry.route("1.2.3") is None
    assert dry.label(key("1.2.3"), "MR", take=True) == "S1_MR1"
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_can_not_be_used_is_said_to_be(tmp_path: Path) -> None:
    broken = tmp_path / "index.sqlite"
    broken.write_text("no database, though it is long enough to be taken for one" * 20)
    with pytest.raises(StorageUnusable, match=r"the session index index\.sqlite can't be used"):
        KnownStudies(tmp_path / "state.sqlite", broken)


def test_an_index_that_breaks_while_objects_arrive_lets_them_be_sent_again(
    files: tuple[Path, Path], known: KnownStudies
) -> None:
    for file, table in ((files[1], "sessions"), (files[0], "study_labels")):
        connection = sqlite3.connect(file)
        connection.execute(f"DROP TABLE {table}")
        connection.close()
        with pytest.raises(OutOfResources, match=f"labels of studies: no such table: {table}"):
            known.label(key("1.2.3"), "MR", take=True)


def test_labels_that_are_not_in_memory_any_more_are_looked_up(
    known: KnownStudies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_labels, "MAX_KNOWN", 2)
    studies = [f"1.2.{number}" for number in range(5)]
    first = [known.label(key(study), "MR", take=True) for study in studies]
    assert first == [f"S1_MR{number}" for number in range(1, 6)]
    assert [known.label(key(study), "MR", take=True) for study in studies] == first
