"""`events`, `status --watch` and `completion`: what people and programs read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine.events import ConfigurationApplied, ReceiverFailed, ReceiverListening
from engine.events.journal import Journal
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.cli.outcome import Run


@pytest.fixture
def journal(data: Path) -> Iterator[Journal]:
    (data / "logs").mkdir(parents=True)
    journal = Journal(SystemClock(), data / "logs" / "events.jsonl")
    journal.record(ReceiverListening(receiver="CT1:8105", address="[::]:8105"))
    journal.record(ReceiverFailed(receiver="MR\x1b:8106", reason="in\nuse", remedy="stop it"))
    yield journal
    journal.close()


def test_events_are_lines_for_people_and_for_programs(run: Run, journal: Journal) -> None:
    first, second = run("events").out.splitlines()
    assert first.endswith("INFO   CT1:8105  listening on [::]:8105")
    assert second.endswith(r"ERROR  MR\x1b:8106  can't listen: in use; stop it")
    (line,) = run("events", "--json", "--level", "warn", "--since", "1h").out.splitlines()
    assert json.loads(line)["kind"] == "ReceiverFailed"
    assert run("events", "receiver:CT1", "--limit", "1").out.splitlines() == [first]
    assert run("events", "kind:Nothing").out == ""


@pytest.mark.parametrize(
    "words", [("colour:red",), ("--since", "soon"), ("--level", "loud"), ("--limit", "0")]
)
def test_questions_that_make_no_sense_are_refused(
    run: Run, journal: Journal, words: tuple[str, ...]
) -> None:
    assert run("events", *words).code == 2


def test_what_people_did_is_read_from_the_audit_log(run: Run, data: Path, journal: Journal) -> None:
    logs = data / "logs"
    audited = Journal(SystemClock(), logs / "events.jsonl", audit_file=logs / "audit.jsonl")
    audited.record(ConfigurationApplied(revision=2, receivers=1, enabled=1, by="anna"))
    audited.close()
    (line,) = run("events", "--audit").out.splitlines()
    assert "changed by anna" in line
    assert len(run("events").out.splitlines()) == 3


def test_where_no_engine_has_run_there_are_no_events(run: Run) -> None:
    assert run("events").code == 4


def test_what_happens_later_is_shown_as_it_happens(data: Path, journal: Journal) -> None:
    command = [sys.executable, "-m", "engine", "--data", str(data), "events", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        before = [json.loads(following.stdout.readline())["sequence"] for _ in range(2)]
        journal.record(ReceiverListening(receiver="CT1:8105", address="later"))
        after = json.loads(following.stdout.readline())
        following.terminate()
    assert (before, after["address"]) == ([1, 2], "later")


def test_a_watched_status_is_told_again_when_it_has_changed(run: Run, data: Path) -> None:
    command = [sys.executable, "-m", "engine", "--data", str(data), "status", "--json"]
    command += ["--watch", "0.05"]
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=buffered) as watching:
        assert watching.stdout is not None
        before = json.loads(watching.stdout.readline())["revision"]
        run("receivers", "add", "--ae-title", "CT1", "--port", "8105")
        after = json.loads(watching.stdout.readline())["revision"]
        watching.terminate()
    assert (before, after) == (0, 1)
    assert run("status", "--watch", "0").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_read_what_completes_our_commands(run: Run, shell: str) -> None:
    assert "_ARGCOMPLETE" in run("completion", shell).out


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("dicomdock sess", "sessions"), ("dicomdock sessions arc", "archive")],
    ids=["commands", "verbs"],
)
def test_a_shell_that_asks_is_answered(tmp_path: Path, typed: str, answer: str) -> None:
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed)),
             "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")}  # fmt: skip
    command = [sys.executable, "-m", "engine"]
    subprocess.run(command, env=os.environ | asked, check=False, timeout=20)
    assert (tmp_path / "answer").read_text().split() == [answer]


def test_following_ends_when_nobody_reads_any_more(
    run: Run, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(3))

    def flush() -> None:
        look = next(looks)
        if look == 0:
            journal.record(ReceiverListening(receiver="CT1:8105", address="later"))
        elif look == 2:
            raise BrokenPipeError

    monkeypatch.setattr("engine.host.terminal.flush", flush)
    monkeypatch.setattr("engine.host.terminal.stop_writing", lambda: 0)
    monkeypatch.setattr("threading.Event.wait", lambda *_: True)
    outcome = run("events", "--follow", "--limit", "1", "kind:ReceiverListening")
    assert outcome.code == 0
    assert [line.rpartition(" ")[2] for line in outcome.out.splitlines()] == ["[::]:8105", "later"]


def test_a_status_on_a_terminal_begins_on_an_empty_screen(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("time.sleep", interrupt)
    outcome = run("status", "--watch", "5")
    assert outcome.code == 130
    assert outcome.out.startswith("\x1b[H\x1b[2JSTATUS")
