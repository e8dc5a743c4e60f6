"""The engine and the status command as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity

from engine.cli import build_parser, settings_of
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.cli.outcome import Run

VERIFICATION = UID("1.2.840.10008.1.1")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def engine_on(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "engine",
        "--data",
        str(data),
        "engine",
        "--durability",
        "none",
        "--receiving-processes",
        "0",
        *options,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as engine:
        yield engine
        engine.kill()


def line_of(engine: subprocess.Popen[str]) -> str:
    assert engine.stderr is not None
    return engine.stderr.readline()


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_an_engine_runs_until_it_is_told_to_stop(
    run: Run, data: Path, number: signal.Signals
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    run("receivers", "add", "--ae-title", "OFF", "--port", str(port), "--no-enabled")
    with engine_on(data) as engine:
        assert line_of(engine).startswith(f"CT1:{port} listening on ")
        assert line_of(engine).startswith(f"OFF:{port} disabled")
        status = run("status", "--json").data
        assert status["running"]["pid"] == engine.pid
        assert status["revision"] == 2
        assert [r["state"] for r in status["receivers"]] == ["listening", "disabled"]
        assert f"running, pid {engine.pid}" in run("status").out
        second = run("engine")
        assert second.code == 3
        assert f"pid {engine.pid}" in second.err
        engine.send_signal(number)
        out, err = engine.communicate(timeout=20)
        assert (engine.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert run("status", "--json").data["running"] is None


@pytest.mark.parametrize(("finish", "code"), [("release", 0), ("second signal", 143)])
def test_a_stopping_engine_waits_for_an_association_unless_it_is_told_twice(
    run: Run, data: Path, finish: str, code: int
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    requestor = ApplicationEntity("SCU")
    requestor.add_requested_context(VERIFICATION)
    with engine_on(data) as engine:
        assert "listening" in line_of(engine)
        association = requestor.associate("127.0.0.1", port, ae_title="CT1")
        assert association.is_established
        engine.send_signal(signal.SIGTERM)
        assert line_of(engine).startswith("stopping")
        if finish == "release":
            association.release()
        else:
            engine.send_signal(signal.SIGTERM)
        assert engine.wait(timeout=9) == code
        association.abort()
    assert run("status", "--json").data["running"] is None


def test_a_port_that_is_taken_is_told_and_does_not_stop_the_engine(run: Run, data: Path) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::", port))
        other.listen()
        run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
        with engine_on(data) as engine:
            line = line_of(engine)
            assert line.startswith(f"CT1:{port} failed: address in use")
            assert engine.poll() is None


def test_the_status_of_an_empty_directory(run: Run, data: Path) -> None:
    status = run("status", "--json").data
    assert status["running"] is None
    # The one that the first start makes.
    assert [one["label"] for one in status["receivers"]] == ["XNAT:8104"]
    assert "not running" in run("status").out
    assert not any(data.iterdir())


def test_an_engine_on_a_held_directory_is_refused_before_it_touches_anything(
    run: Run, data: Path
) -> None:
    lock = EngineLock.acquire(data / "engine.lock", SystemClock())
    outcome = run("engine")
    lock.release()
    assert outcome.code == 3
    assert outcome.err.splitlines()[0] == "An engine already runs on this data directory:"
    assert not (data / "config.json").exists()


def test_an_engine_that_does_not_start_writes_no_text_of_its_configuration_into_a_log(
    data: Path,
) -> None:
    faulty = {"site": {"1": {"alerts": {"targets": [{"name": "S3CRET pw", "webhook": "x"}]}}}}
    (data / "config.json").write_text(json.dumps(faulty))
    with engine_on(data) as engine:
        _, said = engine.communicate(timeout=60)
    assert engine.returncode == 2
    assert "site.alerts.name" in said
    assert "dicomdock status" in said
    assert "S3CRET" not in said


def test_an_engine_with_receiving_processes_shows_each_and_ends_with_all(
    run: Run, data: Path
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    with engine_on(data, "--receiving-processes", "2") as engine:
        assert line_of(engine).startswith(f"CT1:{port} listening on ")
        processes = two_processes(run)
        assert [p["number"] for p in processes] == [1, 2]
        assert "PROCESS  ASSOCIATIONS  OBJECTS" in run("status").out
        engine.kill()
        engine.wait(20)
        for process in processes:
            psutil.wait_procs([psutil.Process(p) for p in psutil.pids() if p == process["pid"]], 20)
            assert not psutil.pid_exists(process["pid"])


def two_processes(run: Run) -> list[dict[str, Any]]:
    """Return the receiving processes once both run: an engine does not wait for them."""
    while True:
        processes: list[dict[str, Any]] = run("status", "--json").data["processes"]
        if len(processes) == 2:
            return processes


def test_ctrl_c_in_a_terminal_leaves_the_receiving_processes_to_the_engine(
    run: Run, data: Path
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    requestor = ApplicationEntity("SCU")
    requestor.add_requested_context(VERIFICATION)
    with engine_on(data, "--receiving-processes", "2") as engine:
        assert "listening" in line_of(engine)
        processes = two_processes(run)
        association = requestor.associate("127.0.0.1", port, ae_title="CT1")
        assert association.is_established
        os.killpg(engine.pid, signal.SIGINT)
        assert line_of(engine).startswith("stopping")
        assert association.send_c_echo().Status == 0
        association.release()
        assert engine.wait(timeout=20) == 0
        assert not any(psutil.pid_exists(process["pid"]) for process in processes)


@pytest.mark.parametrize(("cores", "processes"), [(1, 0), (2, 2), (4, 4), (64, 4)])
def test_one_process_for_each_core_receives_by_default_and_at_most_four(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    parser, _ = build_parser("dicomdock")
    usual = parser.parse_args(["engine"])
    assert settings_of(usual).receiving_processes == processes
    chosen = parser.parse_args(["engine", "--receiving-processes", "0"])
    assert settings_of(chosen).receiving_processes == 0


@pytest.mark.parametrize("wrong", ["65", "-1", "two", "\u0662"])
def test_a_number_of_processes_out_of_range_is_refused(run: Run, wrong: str) -> None:
    refused = run("engine", f"--receiving-processes={wrong}")
    assert refused.code == 2
    assert "is not a whole number from 0 to 64" in refused.err
