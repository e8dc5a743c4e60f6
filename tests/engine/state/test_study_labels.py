"""Running labels: the same for all objects of a study, never the same for two studies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.errors import OutOfResources
from engine.index.store import SessionIndex, SessionKey, SessionOrigin
from engine.state.studies import LabelKey, StudyLabels, read_label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = SessionOrigin("S1", None, "XNAT:8104", "CT1", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(file: Path) -> Iterator[SessionIndex]:
    index = SessionIndex(file, durable=False)
    yield index
    index.close()


@pytest.fixture
def labels(file: Path, index: SessionIndex) -> Iterator[StudyLabels]:
    labels = StudyLabels(file.with_name("state.sqlite"), file)
    yield labels
    labels.close()


def key(study: str, project: str | None = "P", subject: str = "S1") -> LabelKey:
    return LabelKey(project, subject, study)


def test_studies_are_numbered_in_the_order_in_which_they_come(labels: StudyLabels) -> None:
    found = [labels.label(key(study), "MR") for study in ("1.1", "1.2", "1.1", "1.3", "1.2")]
    assert found == ["S1_MR1", "S1_MR2", "S1_MR1", "S1_MR3", "S1_MR2"]


def test_every_project_subject_and_modality_has_its_own_numbers(labels: StudyLabels) -> None:
    assert labels.label(key("1.1"), "MR") == "S1_MR1"
    assert labels.label(key("1.1", subject="S2"), "MR") == "S2_MR1"
    assert labels.label(key("1.1", project="Q"), "MR") == "S1_MR1"
    assert labels.label(key("1.2"), "CT") == "S1_CT1"
    assert labels.label(key("1.1", project=None), "MR") == "S1_MR1"


def test_a_study_keeps_the_label_of_its_first_modality(labels: StudyLabels) -> None:
    assert labels.label(key("1.1"), "CT") == "S1_CT1"
    assert labels.label(key("1.1"), "SR") == "S1_CT1"


def test_labels_of_other_sessions_in_the_project_are_not_free(
    index: SessionIndex, labels: StudyLabels
) -> None:
    for project, label in (("P", "S1_MR1"), ("P", "S1_MR2"), ("Q", "S1_MR3"), ("P", "S1_MR5")):
        session = SessionKey(project, "9.9", label)
        index.session_for(session, ORIGIN, lambda at: (f"{at:%f}", "E"))
    assert labels.label(key("1.1"), "MR") == "S1_MR3"
    assert labels.label(key("1.2"), "MR") == "S1_MR4"
    assert labels.label(key("1.3"), "MR") == "S1_MR6"


def test_labels_outlive_the_engine(file: Path, index: SessionIndex) -> None:
    for _ in range(2):
        labels = StudyLabels(file.with_name("state.sqlite"), file)
        assert labels.label(key("1.1"), "MR") == "S1_MR1"
        labels.close()


def test_a_preview_takes_no_label(file: Path, labels: StudyLabels) -> None:
    assert labels.label(key("1.1"), "MR", take=False) == "S1_MR1"
    assert read_label(file.with_name("state.sqlite"), file, key("1.2"), "MR") == "S1_MR1"
    assert labels.label(key("1.3"), "MR") == "S1_MR1"
    assert labels.label(key("1.1"), "MR", take=False) == "S1_MR2"
    assert read_label(file.with_name("state.sqlite"), file, key("1.3"), "MR") == "S1_MR1"


def test_without_an_index_every_study_would_be_the_first(tmp_path: Path) -> None:
    assert read_label(tmp_path / "no-state", tmp_path / "none", key("1.1"), "MR") == "S1_MR1"
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_is_none_is_said_to_be(file: Path) -> None:
    file.write_text("no database, though it is long enough to be taken for one" * 20)
    with pytest.raises(OutOfResources, match="labels of studies"):
        read_label(file.with_name("state.sqlite"), file, key("1.1"), "MR")


def test_studies_that_arrive_at_once_get_one_label_each(file: Path, index: SessionIndex) -> None:
    connections = [StudyLabels(file.with_name("state.sqlite"), file) for _ in range(2)]
    together = threading.Barrier(8)

    def ask(number: int) -> tuple[str, str]:
        study = f"1.{number % 4}"
        together.wait(10)
        return study, connections[number % 2].label(key(study), "MR")

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(ask, range(8)))
    for connection in connections:
        connection.close()
    assert len(found) == 4
    assert {label for _, label in found} == {f"S1_MR{n}" for n in range(1, 5)}
