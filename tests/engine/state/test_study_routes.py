"""The table of study routes: shared by commands and engine, changed as a whole or not at all."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.errors import (
    ChangedMeanwhile,
    InvalidStudyRoute,
    NotFound,
    OutOfResources,
    StorageUnusable,
)
from engine.model.study_route import StudyRoute
from engine.state.routes import StudyRoutes, read_study_routes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
ROUTE = StudyRoute("1.2.3", "NEURO-01", "S1", "S1_v00")
OTHER = StudyRoute("1.2.4", "NEURO-01")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def routes(file: Path) -> Iterator[StudyRoutes]:
    with StudyRoutes(file) as routes:
        yield routes


def test_a_route_is_found_by_its_study_and_says_who_added_it(routes: StudyRoutes) -> None:
    assert routes.add([ROUTE], "anna", NOW) == 1
    assert routes.find("1.2.3") == replace(ROUTE, added_by="anna", added_at=NOW)
    assert routes.find("1.2") is None
    assert routes.find("") is None


def test_a_running_engine_sees_what_a_command_adds_and_removes(
    file: Path, routes: StudyRoutes
) -> None:
    with StudyRoutes(file) as command:
        command.add([ROUTE], "anna", NOW)
        assert routes.find("1.2.3") is not None
        assert command.delete("1.2.3").project == "NEURO-01"
        assert routes.find("1.2.3") is None


def test_adding_the_same_again_changes_nothing(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    assert routes.add([ROUTE, OTHER], "berta", NOW) == 1
    found = routes.find("1.2.3")
    assert found is not None
    assert found.added_by == "anna"


def test_another_route_for_a_study_is_refused_and_with_it_all_others(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    with pytest.raises(InvalidStudyRoute, match="has a route to NEURO-01 / S1 / S1_v00 already"):
        routes.add([OTHER, replace(ROUTE, subject="S2")], "berta", NOW)
    assert [route.study_instance_uid for route in routes.all()] == ["1.2.3"]


def test_a_route_is_replaced_on_demand(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    assert routes.add([replace(ROUTE, subject="S2")], "berta", NOW, replace=True) == 1
    (found,) = routes.all()
    assert (found.subject, found.added_by) == ("S2", "berta")


def test_what_is_not_there_can_not_be_removed(routes: StudyRoutes) -> None:
    with pytest.raises(NotFound, match=r"study '1\.2\.9' has no route"):
        routes.delete("1.2.9")


def test_the_file_is_private_and_read_only_if_it_is_there(file: Path) -> None:
    assert read_study_routes(file) == ()
    assert not file.exists()
    with StudyRoutes(file) as routes:
        routes.add([ROUTE], "anna", NOW)
    assert len(read_study_routes(file)) == 1
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_can_not_be_used_is_said_to_be(file: Path, tmp_path: Path) -> None:
    file.write_text("no database, though it is long enough to be taken for one" * 20)
    with pytest.raises(StorageUnusable, match="the state database can't be used"):
        StudyRoutes(file)
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnusable):
        StudyRoutes(link)
    with pytest.raises(StorageUnusable):
        StudyRoutes(tmp_path / "nowhere" / "file")


def test_a_newer_schema_is_left_alone(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(StorageUnusable, match="has schema 3, this version uses 2"):
        StudyRoutes(file)


def test_a_table_that_breaks_while_objects_arrive_lets_them_be_sent_again(
    file: Path, routes: StudyRoutes
) -> None:
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE study_routes")
    connection.close()
    with pytest.raises(OutOfResources, match="study routes: no such table"):
        routes.find("1.2.3")


def test_the_newest_routes_come_with_how_many_there_are(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    routes.add([OTHER], "anna", NOW.replace(hour=15))
    found, total = routes.newest(1)
    assert [route.study_instance_uid for route in found] == ["1.2.4"]
    assert total == 2


def test_a_route_takes_the_place_of_the_one_that_its_editor_saw(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    routes.exchange(ROUTE, replace(ROUTE, session="S1_v01"), "berta", NOW)
    routes.exchange(replace(ROUTE, session="S1_v01"), replace(ROUTE, session=""), "carl", NOW)
    assert routes.find("1.2.3") == replace(ROUTE, session="", added_by="carl", added_at=NOW)


def test_a_mistyped_study_is_mended_without_leaving_the_wrong_route(routes: StudyRoutes) -> None:
    routes.add([ROUTE], "anna", NOW)
    routes.exchange(ROUTE, replace(ROUTE, study_instance_uid="1.2.5"), "anna", NOW)
    assert [route.study_instance_uid for route in routes.all()] == ["1.2.5"]


def test_what_somebody_else_did_meanwhile_to_a_route_is_not_overwritten(
    routes: StudyRoutes,
) -> None:
    routes.add([replace(ROUTE, project="CARDIO"), OTHER], "berta", NOW)
    with pytest.raises(ChangedMeanwhile, match=r"by berta.*project: NEURO-01 → CARDIO"):
        routes.exchange(ROUTE, replace(ROUTE, session="S2"), "anna", NOW)
    with pytest.raises(InvalidStudyRoute, match="has a route to CARDIO / S1 / S1_v00 already"):
        routes.exchange(OTHER, replace(OTHER, study_instance_uid="1.2.3"), "anna", NOW)
    with pytest.raises(NotFound, match=r"'1\.2\.9' has no route"):
        routes.exchange(replace(ROUTE, study_instance_uid="1.2.9"), ROUTE, "anna", NOW)
    assert len(routes.all()) == 2
