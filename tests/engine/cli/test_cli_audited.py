"""What commands do without an engine is in the audit log at once, with who did it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.cli.context import actor
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.index.operations import OperationKind, Request
from engine.index.store import SessionIndex
from engine.sessions.ledger import SessionRepository
from tests.engine.index.depot import depot_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

SCRIPT = 'script=version "6.6"\n(0010,0010) := "New^Name"\n'
ADD = ("receivers", "add", "--ae-title", "CT9", "--port", "11999")


def audited(data: Path) -> list[tuple[str, str]]:
    """Return the kind and the author of each line."""
    file = data / "logs" / "audit.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(line["kind"], line["by"]) for line in map(json.loads, lines)]


@pytest.mark.parametrize(
    "command",
    [
        ADD,
        ("projects", "add", "NEURO"),
        ("processors", "add", "--label", "A", "--class", "setElements", "--set", SCRIPT),
    ],
    ids=["receiver", "project", "processor"],
)
def test_a_saved_configuration_is_audited(run: Run, data: Path, command: tuple[str, ...]) -> None:
    assert run(*command).code == 0
    assert audited(data) == [("ConfigurationSaved", actor())]
    (line,) = run("events", "--audit").out.splitlines()
    assert line.endswith(f"configuration revision 1 saved by {actor()}; no engine runs")


def test_a_change_beside_an_engine_is_audited_by_the_engine_that_applies_it(
    run: Run, data: Path
) -> None:
    lock = EngineLock.acquire(data / "engine.lock", SystemClock())
    try:
        assert run(*ADD).code == 0
    finally:
        lock.release()
    assert audited(data) == []


def test_a_log_that_can_not_be_written_keeps_no_change_from_being_saved(
    run: Run, data: Path
) -> None:
    (data / "logs").touch()
    assert run(*ADD).code == 0
    assert "CT9" in run("receivers", "list").out


def test_study_routes_are_audited(run: Run, data: Path) -> None:
    run("projects", "add", "NEURO")
    assert run("study-routes", "add", "1.2.3", "--project", "NEURO").code == 0
    assert run("study-routes", "delete", "1.2.3", "--yes").code == 0
    assert audited(data)[1:] == [("StudyRouteChanged", actor())] * 2


@pytest.mark.parametrize(
    ("verb", "kind"), [("rebuild", "SessionRebuildAsked"), ("cancel", "SessionCancelled")]
)
def test_what_is_asked_for_a_session_is_audited(run: Run, data: Path, verb: str, kind: str) -> None:
    with depot_in(data) as depot:
        session = depot.receive()
        depot.fall_silent()
    with closing(SessionIndex(data / "index.sqlite", durable=False)) as index:
        if verb == "cancel":
            SessionRepository(index, SystemClock()).ask(
                session, Request(OperationKind.DELETE, "anna")
            )
    assert run("sessions", verb, str(session)).code == 0
    assert (kind, actor()) in audited(data)
