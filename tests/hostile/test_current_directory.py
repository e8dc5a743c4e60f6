"""Nothing in the current directory is imported or run, whoever put it there (V5)."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.app.demo.sender import CT_SCANNER, study
from tests.hostile.conftest import SECONDS
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver
from tests.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("dicomdock")
SCRIPT = 'version "6.6"\n(0010,0010) := "X"\n'


@pytest.fixture(autouse=True)
def _no_safe_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that ran in this process before has set it for its helper processes."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)


@pytest.fixture
def hits(place: Path) -> Path:
    """Give the file in which traps write; they lie in every place that an import could look."""
    hits, traps = place / "hits", place / "traps"
    trap = f"import sys\nopen({str(hits)!r}, 'a').write(f'{{__name__}} {{sys.argv}}\\n')\n"
    for package in (
        "",
        "engine",
        "engine/app",
        "engine/app/demo",
        "engine/intake",
        "tui",
        "pydicom",
        "argcomplete",
    ):
        (traps / package).mkdir(exist_ok=True)
        (traps / package / "__init__.py").write_text(trap)
    for name in (
        *sys.stdlib_module_names,
        "sitecustomize",
        "engine/app/demo/sender",
        "engine/errors",
    ):
        if not (traps / name).is_dir():
            (traps / f"{name}.py").write_text(trap)
    subprocess.run(
        (sys.executable, "-c", "import wave"), cwd=traps, stderr=subprocess.DEVNULL, check=False
    )
    assert hits.read_text()  # traps do catch
    hits.unlink()
    return hits


@pytest.fixture
def dicomdock(hits: Path, place: Path) -> Callable[..., str]:
    """Give what runs a command of the installed program in the folder of traps."""

    def run(*arguments: str) -> str:
        command = (str(PROGRAM), "--data", str(place / "data"), *arguments)
        done = subprocess.run(command, cwd=hits.parent / "traps", capture_output=True, text=True,
                              timeout=SECONDS, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def port(dicomdock: Callable[..., str], place: Path) -> int:
    """Configure a receiver with a script and a processor, which need processes of their own."""
    port = free_port()
    configure(place / "data", make_receiver("XNAT", port, custom_processing=True))
    (place / "script.das").write_text(SCRIPT)
    dicomdock("site", "set", "--script", str(place / "script.das"), "--script-enabled")
    dicomdock(
        "processors",
        "add",
        "--class",
        "setElements",
        "--label",
        "Set",
        "--set",
        f"script=@{place}/script.das",
    )
    return port


@pytest.mark.timeout(180)  # a dozen programs, each with its libraries
def test_neither_engine_nor_commands_run_code_of_the_current_directory(
    dicomdock: Callable[..., str], hits: Path, port: int, place: Path
) -> None:
    engine = subprocess.Popen(
        (str(PROGRAM), "--data", str(place / "data"), "engine"),
        cwd=place / "traps",
        stderr=subprocess.PIPE,
        text=True,
    )
    assert engine.stderr is not None
    with engine:
        try:
            assert "listening" in engine.stderr.readline()
            ds = next(study(CT_SCANNER, 1, "NEURO", datetime.now(UTC)))
            to = Destination(LOOPBACK, port, "XNAT", "CT")
            with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
                assert peer.send(ds) == 0
            ds.save_as(place / "object.dcm", enforce_file_format=True)
            dicomdock("objects", "show", ds.SOPInstanceUID)
            dicomdock("objects", "image", ds.SOPInstanceUID, "-o", str(place / "image.png"))
            dicomdock("script", "try", ds.SOPInstanceUID, str(place / "script.das"))
            dicomdock("processors", "test", "Set", str(place / "object.dcm"))
        finally:
            engine.terminate()
            engine.stderr.read()
    assert not hits.exists(), hits.read_text()


def test_a_console_runs_no_code_of_the_current_directory(
    hits: Path, port: int, place: Path, tmp_path: Path
) -> None:
    arguments = (str(PROGRAM), "--data", str(place / "data"))
    with Terminal(arguments, tmp_path, folder=place / "traps") as terminal:
        assert terminal.shows("listening")
        ds = next(study(CT_SCANNER, 1, "NEURO", datetime.now(UTC)))
        to = Destination(LOOPBACK, port, "XNAT", "CT")
        with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
            assert peer.send(ds) == 0
    assert not hits.exists(), hits.read_text()


def test_the_demonstration_runs_no_code_of_the_current_directory(
    dicomdock: Callable[..., str], hits: Path
) -> None:
    told = json.loads(dicomdock("demo", "--headless", "--seconds", "0.5"))
    assert told["associations"] > 0
    assert not hits.exists(), hits.read_text()


@pytest.mark.parametrize("module", ["engine", "tui"])
def test_a_module_that_was_found_looks_for_no_other_code_in_the_current_directory(
    module: str, place: Path
) -> None:
    (place / "argcomplete.py").write_text("open('hit', 'w')")
    (place / "stray.dist-info").mkdir()
    command = (sys.executable, "-m", module, "completion", "bash")
    done = subprocess.run(command, cwd=place, capture_output=True, timeout=SECONDS, check=True)
    assert b"dicomdock" in done.stdout
    assert not (place / "hit").exists()
