"""Sessions shown, archived, moved and deleted by commands, with an engine and without one."""

from __future__ import annotations

import argparse
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.cli import completions
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.host.wakeup import WakeupPipe
from engine.index.removed_rows import note_instances
from engine.model.project import AutoArchive, Project
from engine.settings import EngineSettings
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run, TypeIn


@contextmanager
def filled(data: Path) -> Iterator[Depot]:
    with depot_in(data) as depot:
        yield depot


@pytest.fixture(autouse=True)
def _three_sessions(data: Path, store: ConfigurationStore) -> None:
    """1 is ready, 2 unassigned and ready, 3 being received."""
    with filled(data) as depot:
        depot.receive(label="E1", subject="S\x1b[2J")
        depot.receive(project=None, label="E2", StudyInstanceUID="1.2.7")
        depot.fall_silent()
        depot.receive(label="E3", StudyInstanceUID="1.2.8")
    store.save_project(Project("NEURO-01", auto_archive=AutoArchive.MANUAL), "test")
    store.save_project(Project("NEURO-02", auto_archive=AutoArchive.MANUAL), "test")


def states(run: Run) -> dict[int, str]:
    listed = run("sessions", "list", "--json").data["sessions"]
    return {session["id"]: session["status"] for session in listed}


def test_sessions_are_listed_as_a_table_and_as_json(run: Run, data: Path) -> None:
    assert completions.sessions(argparse.Namespace(data=data)) == ["3", "2", "1"]
    table = run("sessions", "list").out.splitlines()
    assert table[0].split() == [
        *("ID", "PROJECT", "SUBJECT", "SESSION", "STATUS", "MODALITY", "OBJECTS", "MB", "LAST")
    ]
    assert table[1].split()[:2] == ["3", "NEURO-01"]
    assert "\x1b" not in "".join(table)
    (newest, *_) = run("sessions", "list", "--json").data["sessions"]
    assert (newest["id"], newest["label"], newest["status"]) == (3, "E3", "RECEIVING")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["project:NEURO-01"], [3, 1]),
        (["project:unassigned"], [2]),
        (["status:ready"], [2, 1]),
        (["modality:CT", "project:NEURO-01"], [1]),
        (["receiver:XNAT"], [3, 2, 1]),
        (["receiver:XNAT:8105"], []),
        (["since:2000-01-01"], [3, 2, 1]),
        (["since:2100-01-01"], []),
        (["text:e1", "area:prearchive"], [1]),
        (["area:trash"], []),
        (["project:NEURO*"], [3, 1]),
    ],
)
def test_sessions_are_looked_for_by_words(run: Run, filters: list[str], found: list[int]) -> None:
    listed = run("sessions", "list", *filters, "--json").data["sessions"]
    assert sorted((session["id"] for session in listed), reverse=True) == found


def test_a_wrong_word_is_refused(run: Run) -> None:
    outcome = run("sessions", "list", "state:x", "--json")
    assert (outcome.code, outcome.error["title"]) == (2, "Not a filter for sessions")


def test_one_session_is_shown_with_its_path_and_its_objects(run: Run, data: Path) -> None:
    shown = run("sessions", "show", "1", "--json").data
    assert shown["path"].startswith(str(data / "prearchive/NEURO-01"))
    assert shown["states"] == [{"state": "stored", "objects": 1, "bytes": shown["bytes"]}]
    assert "objects stored" in run("sessions", "show", "1").out
    assert run("sessions", "show", "99").code == 4


def test_without_an_engine_the_command_archives_by_itself(run: Run, data: Path) -> None:
    outcome = run("sessions", "archive", "1", "--json")
    assert outcome.data == {"sessions": [{"id": 1, "status": "ARCHIVED", "reason": ""}]}
    assert (data / "archive/NEURO-01/arc001/E1/SCANS/4/DICOM").is_dir()
    assert states(run)[1] == "ARCHIVED"


def test_what_is_not_possible_is_said_and_does_not_hold_up_the_rest(run: Run) -> None:
    outcome = run("sessions", "archive", "1", "2", "3", "99")
    assert outcome.code == 7
    assert "session 2: a session without a project can't be archived" in outcome.err
    assert "session 3: a session that is RECEIVING can't become QUEUED_ARCHIVING" in outcome.err
    assert "session 99: there is no session 99" in outcome.err
    assert states(run) == {1: "ARCHIVED", 2: "READY", 3: "RECEIVING"}


def test_a_session_is_moved_to_a_project_that_exists(run: Run, data: Path) -> None:
    assert run("sessions", "move", "2", "--project", "NOWHERE").code == 4
    assert run("sessions", "move", "2", "--project", "NEURO-02").code == 0
    shown = run("sessions", "show", "2", "--json").data
    assert (shown["project"], shown["status"]) == ("NEURO-02", "READY")
    assert shown["path"].startswith(str(data / "prearchive/NEURO-02"))


def test_deleting_asks_first(run: Run, stdin: TypeIn, data: Path) -> None:
    stdin("n\n", True)
    assert run("sessions", "delete", "1", "3").code == 10
    assert states(run)[1] == "READY"
    stdin("y\n", True)
    assert run("sessions", "delete", "1", "3").code == 0
    assert states(run) == {1: "DELETED", 2: "READY", 3: "DELETED"}
    assert len(list((data / "trash").rglob("*.dcm"))) == 2
    assert run("sessions", "restore", "1", "2").code == 7
    assert states(run) == {1: "READY", 2: "READY", 3: "DELETED"}


def test_a_session_is_built_at_once_on_demand(run: Run) -> None:
    assert run("sessions", "rebuild", "3").code == 0
    assert states(run)[3] == "READY"


def test_a_running_engine_is_asked_and_rung(run: Run, data: Path) -> None:
    settings = EngineSettings(data)
    lock, wakeup_pipe = (
        EngineLock.acquire(settings.lock_file, SystemClock()),
        WakeupPipe(settings.wakeup_file),
    )
    try:
        outcome = run("sessions", "archive", "1", "--overwrite", "--json")
        assert outcome.data["sessions"][0]["status"] == "QUEUED_ARCHIVING"
        assert wakeup_pipe._poll.poll(0)
        assert run("sessions", "cancel", "1", "--json").data["sessions"][0]["status"] == "READY"
    finally:
        wakeup_pipe.close()
        lock.release()
    assert states(run)[1] == "READY"


def test_where_nothing_was_received_nothing_comes_to_be(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for verb in (("list",), ("archive", "1")):
        assert run("--data", str(empty), "sessions", *verb).code == 4
    assert not any(empty.iterdir())


def test_a_trace_tells_what_became_of_an_object_or_a_study(run: Run) -> None:
    by_object = run("trace", "1.2.3.2", "--json").data
    assert [one["session"]["id"] for one in by_object["sessions"]] == [2]
    assert by_object["arrivals"][0]["state"] == "stored"
    table = run("trace", "1.2.3.2").out.splitlines()
    words = table[1].split()
    assert words[words.index("stored") :][:4] == ["stored", "0x0000", "session", "2:"]
    assert "E3" in run("trace", "1.2.8").out
    assert run("trace", "P-0001").code == 4


def test_a_trace_says_that_the_row_of_an_object_was_removed(run: Run, data: Path) -> None:
    with closing(sqlite3.connect(data / "index.sqlite")) as connection, connection:
        connection.execute("DELETE FROM objects WHERE session = 2")
        connection.execute("UPDATE sessions SET rows_removed_at = last_object_at WHERE id = 2")
        note_instances(connection, 2, ["1.2.3.2"])
    traced = run("trace", "1.2.3.2")
    assert "E2" in traced.out
    assert "row of the object was removed; an engine reads it again: objects trail" in traced.err
    assert run("trace", "1.2.8").err == ""


def test_a_session_is_renamed_and_that_is_listed_and_undone(run: Run, data: Path) -> None:
    outcome = run("sessions", "edit", "2", "--project", "NEURO-02", "--label", "E9", "--json")
    assert outcome.data == {"sessions": [{"id": 2, "status": "READY", "reason": ""}]}
    (folder,) = (data / "prearchive/NEURO-02").glob("*/E9")
    for options, words in (
        (("--label", "E 9\x1b"), "is no label; use 1 to 64 letters"),
        (("--label", "E9"), "has these names already"),
        (("--project", "NOWHERE"), "there is no project 'NOWHERE'"),
    ):
        refused = run("sessions", "edit", "2", *options)
        assert refused.code
        assert words in refused.err
        assert "\x1b" not in refused.err
    refused = run("sessions", "scans", "remove", "2", "4", "--yes")
    assert "these are all scans of the session" in refused.err
    (action,) = run("sessions", "undo", "--json").data["actions"]
    assert (action["number"], action["what"], action["why_not"]) == (1, "edit", "")
    assert run("sessions", "undo").out.splitlines()[1].endswith("yes")
    assert run("sessions", "undo", "1", "--json").data["sessions"][0]["status"] == "READY"
    assert not folder.exists()
    again = run("sessions", "undo", "1")
    assert again.code == 7
    assert "can't be undone: undone by" in again.err
