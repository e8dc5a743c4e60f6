"""What a self-test says when the engine does not do with the object what it should."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.app.selftest.filed import FiledObject, StepResult, find_filed, on_disk, remove, route
from engine.app.selftest.run import marked_object
from engine.index.arrivals import Arrivals
from engine.index.operations import OperationKind, Request
from engine.settings import EngineSettings
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    monkeypatch.setattr("engine.app.selftest.filed.ROW_SECONDS", 0)
    monkeypatch.setattr("engine.app.selftest.filed.REMOVAL_SECONDS", 0)
    with depot_in(tmp_path) as depot:
        yield depot


def find(depot: Depot, uid: str) -> FiledObject | StepResult:
    depot.index.flush()
    settings = EngineSettings(depot.root)
    with closing(Arrivals(settings.index_file)) as arrivals:
        return find_filed(settings, arrivals, 0, uid, depot.clock)


def received(depot: Depot) -> FiledObject:
    """File a marked object and return where it is."""
    uid, _ = marked_object(depot.clock.now())
    depot.receive(SOPInstanceUID=uid, StudyInstanceUID=uid[:-1] + "2", label="SELFTEST")
    found = find(depot, uid)
    assert isinstance(found, FiledObject)
    return found


def test_a_row_that_does_not_come_is_said(depot: Depot) -> None:
    found = find(depot, "1.2.3")
    assert isinstance(found, StepResult)
    assert (found.is_good, found.exit_code) == (False, 1)
    assert "no row of the object" in found.detail


def test_where_it_went_is_said_with_the_warning_of_its_row(depot: Depot) -> None:
    found = received(depot)
    assert route(found).detail == (
        "project NEURO-01, subject S1, session SELFTEST, in the prearchive"
    )
    warned = FiledObject(found.place, found.session, "kept beside it")
    assert route(warned).detail.endswith("(kept beside it)")


def test_other_bytes_and_no_bytes_are_told_apart(depot: Depot) -> None:
    found, settings = received(depot), EngineSettings(depot.root)
    assert "changed by script or processor" in on_disk(settings, found, b"other").detail
    for file in depot.all_objects():
        file.unlink()
    gone = on_disk(settings, found, b"other")
    assert not gone.is_good
    assert "can't be read" in gone.detail


def test_what_can_t_be_removed_stays_and_says_how_it_goes(depot: Depot) -> None:
    settings = EngineSettings(depot.root)
    found = received(depot)
    stays = remove(settings, found, "CT1", depot.clock)
    assert not stays.is_good
    assert stays.detail.endswith("the engine has not deleted it in 0 s")
    assert stays.remedy == f"remove it with: sessions delete {found.session.id}"
    depot.ledger.cancel(found.session.id)
    depot.ledger.ask(found.session.id, Request(OperationKind.DELETE, "admin"))
    depot.lifecycle.run_requests()
    assert "can't become" in remove(settings, found, "CT1", depot.clock).detail


def test_a_session_that_is_not_the_object_s_own_is_left_alone(depot: Depot) -> None:
    depot.receive(SOPInstanceUID="1.2.9")
    found = find(depot, "1.2.9")
    assert isinstance(found, FiledObject)
    assert (
        "not the object's own"
        in remove(EngineSettings(depot.root), found, "CT1", depot.clock).detail
    )
