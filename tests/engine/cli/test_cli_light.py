"""Both programs: what they load, and what they say where there is no terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine import __version__
from engine.cli import main
from engine.cli.commands import COMMANDS
from tests.engine.cli.outcome import spawn
from tui.cli import main as dicomdock

if TYPE_CHECKING:
    from pathlib import Path


def test_the_light_commands_load_neither_dicom_nor_terminal_libraries(data: Path) -> None:
    program = (
        "import sys; from engine.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = {'pynetdicom', 'pydicom', 'textual', 'rich', 'watchfiles', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "--data", str(data), "receivers", "list", "--json"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "[]\n")


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_of_the_help_has_a_help_of_its_own(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: python -m engine {command}" in capsys.readouterr().out


def test_a_command_loads_nothing_of_the_others(data: Path) -> None:
    program = (
        "import sys; from engine.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "mine = {'commands', 'context', 'options', 'parser', 'running'}\n"
        "loaded = {n.split('.')[2] for n in sys.modules if n.startswith('engine.cli.')}\n"
        "print(sorted(loaded - mine), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "--data", str(data), "plugins"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "['plugins']\n")


def test_both_programs_run_and_tell_their_version(data: Path) -> None:
    for module in ("engine", "tui"):
        outcome = spawn(module, "--version")
        assert (outcome.returncode, outcome.stdout) == (0, f"dicomdock {__version__}\n")
    outcome = spawn("tui", "--data", str(data), "projects", "add", "BRAIN", "--json")
    assert outcome.returncode == 0
    assert json.loads(outcome.stdout)["revision"] == 1


def test_a_terminal_that_knows_ascii_only_is_no_reason_to_fail(data: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    added = spawn("engine", "--data", str(data), "projects", "add", "Z", "--title", "Zürich",
                  env=environment)  # fmt: skip
    assert (added.returncode, added.stdout.splitlines()[1]) == (0, "Z   Z\\xfcrich")
    refused = spawn("engine", "--data", str(data), "receivers", "list", "x", env=environment)
    assert refused.returncode == 2


@pytest.mark.parametrize("arguments", [("receivers", "list", "--json"), ("status", "--json")])
def test_a_reader_that_has_seen_enough_causes_no_traceback(
    data: Path, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    outcome = subprocess.run(
        [sys.executable, "-m", "engine", "--data", str(data), *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=buffered,
        check=False,
    )
    os.close(writing)
    assert (outcome.returncode, outcome.stderr) == (0, b"")


def test_the_console_without_a_terminal_says_what_to_use_instead(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dicomdock(["--data", str(data)]) == 2
    assert "dicomdock engine" in capsys.readouterr().err
    assert not any(data.iterdir())


@pytest.mark.parametrize("refresh", ["0", "-1", "nan", "inf", "31", "x"])
def test_a_refresh_rate_that_makes_no_sense_is_refused(refresh: str) -> None:
    assert dicomdock(["--refresh", refresh]) == 2


def test_what_becomes_of_an_engine_without_a_terminal_is_one_of_two(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert dicomdock(["--on-hangup", "nothing"]) == 2
    assert "none of headless, stop" in capsys.readouterr().err
