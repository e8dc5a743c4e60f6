"""What a running engine is asked and told by commands, in this process over its real socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import Caller
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.cli.outcome import Run


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def engine(data: Path, port: int) -> Iterator[Engine]:
    configure(data, make_receiver("XNAT", port))
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    yield engine
    end()
    engine.stop(drain_seconds=0)


@pytest.mark.parametrize(
    "words",
    [
        ("associations", "list"),
        ("senders", "list"),
        ("receivers", "retry", "XNAT"),
        ("objects", "recent"),
        ("objects", "show", "1.2.3"),
        ("objects", "image", "1.2.3", "-o", "x"),
        ("script", "try", "1.2.3"),
        ("senders", "show", "CT1", "10.0.0.1"),
        ("sessions", "objects", "1", "4"),
        ("sessions", "archive", "1", "--dry-run"),
        ("receivers", "echo", "XNAT"),
        ("health",),
        ("metrics",),
    ],
)
def test_without_a_running_engine_there_is_nobody_to_ask(run: Run, words: tuple[str, ...]) -> None:
    outcome = run(*words, "--json")
    assert (outcome.code, outcome.out) == (4, "")
    assert "no engine runs" in outcome.error["detail"]


def test_associations_are_listed_shown_and_aborted(run: Run, engine: Engine, port: int) -> None:
    with Caller(port) as caller:
        caller.ask("XNAT", "CT1")
        caller.await_acceptance()
        (live,) = run("associations", "list", "--live", "--json").data["associations"]
        assert (live["calling_ae_title"], live["end"]) == ("CT1", None)
        assert "open" in run("associations", "list").out
        shown = run("associations", "show", live["id"], "--json").data
        assert [c["sop_class"] for c in shown["contexts_accepted"]] == ["Verification SOP Class"]
        assert "Verification" in run("associations", "show", live["id"]).out
        assert run("associations", "abort", live["id"]).code == 10
        assert run("associations", "abort", live["id"], "--yes").code == 0
        assert caller.is_aborted()
    assert run("associations", "abort", "A-9999", "--yes", "--json").code == 4


def test_senders_are_listed(run: Run, engine: Engine, port: int) -> None:
    with Caller(port) as caller:
        assert caller.associate("NOBODY", "CT1") is not None
    assert engine._index.flush(10)
    (sender,) = run("senders", "list", "CT", "--json").data["senders"]
    assert (sender["calling_ae_title"], sender["rejected"]) == ("CT1", 1)
    assert "CT1" in run("senders", "list").out


def test_ports_are_tested_and_failed_receivers_tried_again(
    run: Run, engine: Engine, port: int
) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        assert run("receivers", "test-port", str(taken)).code == 1
        engine.save_receiver(make_receiver("NEW", taken), "anna")
        assert "failed" in run("receivers", "retry", f"NEW:{taken}").out
    assert run("receivers", "retry", "NEW", "--json").data["state"] == "listening"
    assert run("receivers", "test-port", str(port), "--json").data["state"] == "ours"
    assert run("receivers", "retry", "OTHER").code == 4
