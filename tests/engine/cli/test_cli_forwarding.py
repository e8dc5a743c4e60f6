"""Forward copies shown and steered by commands, with an engine and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.cli.context import actor
from engine.events.delivery import ForwardsDropped
from engine.host.clock import SystemClock
from engine.processing.forward.queue import ForwardingQueue
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from engine.state.outbox import Position
from tests.running import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

UIDS = ("1.2.1", "1.2.2", "1.2.3")


@pytest.fixture
def queue(run: Run, data: Path) -> Path:
    """A destination with three objects, of which two were given up; return the queue's file."""
    port = str(free_port())
    told = [f"--set={name}" for name in ("ae_title=PACS", "host=127.0.0.1", f"port={port}")]
    added = run("processors", "add", "--label", "PACS 1", "--class", "forwardCopy", *told)
    assert added.code == 0
    file = EngineSettings(data).state_file
    with ForwardingQueue(file) as queue:
        queue.set_targets([1], [1], Position(0, ""))
        objects = [(1, number, uid) for number, uid in enumerate(UIDS, start=1)]
        queue.put(objects, Position(3, "2026-01-01"), [1], "2026-01-01T00:00:00+00:00")
        for item, reason in ((1, "no room"), (2, "no\x1b[2J")):
            queue.fail(item, reason)
        queue.note_trouble(1, "connection refused", SystemClock().now(), None)
    return file


def test_destinations_are_listed_with_what_waits_and_why(run: Run, queue: Path) -> None:
    outcome = run("forwarding", "list")
    assert "PACS 1" in outcome.out
    assert "stopped  1       2       0     connection refused" in outcome.out
    (record,) = run("forwarding", "list", "--json").data["destinations"]
    assert (record["queued"], record["failed"], record["state"]) == (1, 2, "stopped")
    assert record["oldest_queued_at"] == "2026-01-01T00:00:00+00:00"


def test_without_a_destination_it_is_said_how_to_add_one(run: Run) -> None:
    assert run("forwarding", "list").code == run("forwarding", "failed").code == 0
    assert run("forwarding", "list", "--json").data["destinations"] == []
    outcome = run("forwarding", "retry", "PACS")
    assert outcome.code == 4
    assert "processors add --class forwardCopy" in outcome.err


def test_what_was_given_up_is_listed_with_the_reason(run: Run, queue: Path) -> None:
    table = run("forwarding", "failed", "PACS 1").out
    assert "no\\x1b[2J" in table
    found = run("forwarding", "failed", "1", "--json").data["failed"]
    assert [item["sop_instance_uid"] for item in found] == ["1.2.2", "1.2.1"]
    assert len(run("forwarding", "failed", "--limit", "1", "--json").data["failed"]) == 1


def test_it_is_tried_again_all_or_one(run: Run, queue: Path) -> None:
    outcome = run("forwarding", "retry", "PACS 1", "--item", "2")
    assert outcome.err == "1 object queued again; it is tried when an engine runs\n"
    again = run("forwarding", "retry", "1", "--json")
    assert again.data == {"queued_again": 1, "engine_runs": False}


def test_it_is_forgotten_after_a_question(run: Run, queue: Path) -> None:
    assert run("forwarding", "drop", "1").code == 10
    assert run("forwarding", "drop", "1", "--yes", "--item", "1", "--json").data == {"dropped": 1}
    assert run("forwarding", "drop", "1", "--yes", "--waiting").err == "1 object dropped\n"
    (left,) = run("forwarding", "failed", "--json").data["failed"]
    assert left["id"] == 2


def test_a_destination_that_is_not_there_is_exit_code_4(run: Run, queue: Path) -> None:
    for verb in ("retry", "drop", "failed"):
        outcome = run("forwarding", verb, "PACS 9")
        assert outcome.code == 4
        assert "forwarding list" in outcome.err


def test_a_running_engine_is_asked(run: Run, queue: Path, data: Path) -> None:
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    try:
        assert run("forwarding", "retry", "1").err.endswith("it is tried now\n")
        (record,) = run("forwarding", "list", "--json").data["destinations"]
        assert run("forwarding", "drop", "1", "--yes", "--waiting").code == 0
        told = [r.event for r in engine.events_since(0, 1000).events]
    finally:
        end()
        engine.stop(0)
    assert (record["queued"] + record["failed"], record["state"] != "stopped") == (3, True)
    assert [event.by for event in told if isinstance(event, ForwardsDropped)] == [actor()]


def test_a_wrong_peer_is_refused_when_it_is_saved(run: Run, data: Path) -> None:
    def add(*told: str) -> str:
        sets = [f"--set={name}" for name in told]
        outcome = run("processors", "add", "--label", "x", "--class", "forwardCopy", *sets)
        assert outcome.code == 2
        return outcome.err

    assert "parameters.host" in add("ae_title=P", "host=a b", "port=104")
    assert "parameters.ae_title" in add("ae_title=" + "P" * 17, "host=a", "port=104")
    assert "parameters.port" in add("ae_title=P", "host=a", "port=70000")
    tls = ("ae_title=P", "host=a", "port=104", "tls=true", "tls_ca=/none.pem")
    assert "parameters.tls_ca" in add(*tls)
    assert "parameters.tls_key" in add(*tls[:-1], "tls_certificate=/none.pem")
