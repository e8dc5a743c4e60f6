"""Runs the commands of README, tutorials and how-tos as printed, against one engine.

A program: it wants a network of its own, because the pages name ports. Commands of dicomdock run in
this process, which saves a start of Python for each; all other lines run in a shell. Before each
page the configuration is that of a fresh engine. What fails is printed; the exit code is the number
of failed commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.data import get_testdata_file

from tui.cli import main as dicomdock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/tutorials/*.md")),
    *sorted(ROOT.glob("docs/how-to/*.md")),
)
BLOCK = re.compile(r"(?:<!-- (not run): [^>]*-->\n)?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECONDS = 30.0
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'")
_FOR_THE_SHELL = re.compile(r"[|<>$*&`;]")


def commands(block: str) -> Iterator[str]:
    """Yield the commands of a block, each with its continued lines and here-documents."""
    lines = iter(block.splitlines())
    for line in lines:
        command = line
        while command.endswith("\\"):
            command = f"{command}\n{next(lines)}"
        begun = _HERE_DOCUMENT.search(command)
        while begun and command.splitlines()[-1] != begun[1]:
            command = f"{command}\n{next(lines)}"
        if command.strip() and not command.startswith("#"):
            yield command


def failure(command: str) -> str:
    """Run one command; return what it printed if it failed, else nothing."""
    command = command.replace("$PWD", str(Path.cwd()))
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    without_texts = re.sub(r"'[^']*'|#.*", "", command)
    if words[0] != "dicomdock" or _FOR_THE_SHELL.search(without_texts):
        strict = f"set -euo pipefail\n{command}"
        ran = subprocess.run(["bash", "-c", strict], capture_output=True, text=True, check=False,
                             timeout=SECONDS, stdin=subprocess.DEVNULL)  # fmt: skip
        return f"exit code {ran.returncode}: {ran.stdout}{ran.stderr}" if ran.returncode else ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = dicomdock(words[1:])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return f"exit code {code}: {printed.getvalue()}" if code else ""


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """Run an engine in a process of its own until the block ends."""
    arguments = [sys.executable, "-m", "engine", "engine", "--receiving-processes", "0"]
    arguments += ["--durability", "none"]
    running = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None
        assert "listening" in running.stderr.readline()
        yield
    finally:
        running.terminate()
        running.communicate(timeout=SECONDS)


def run_pages(scratch: Path) -> int:
    """Run all pages, print what fails, and return the number of failures."""
    failures = 0
    for page in PAGES:
        folder = scratch / page.stem
        (folder / "STUDY").mkdir(parents=True)
        os.chdir(folder)
        for name in ("image.dcm", "STUDY/image.dcm"):
            shutil.copy(str(get_testdata_file("CT_small.dcm")), name)
        failure("dicomdock config restore 1 --yes")
        for skipped, block in BLOCK.findall(page.read_text("utf-8")):
            for command in () if skipped else commands(block):
                said = failure(command)
                failures += bool(said)
                if said:
                    sys.__stdout__.write(f"{page.name}: {command}\n{said}\n")  # type: ignore[union-attr]
    return failures


def main() -> int:
    """Run everything in a scratch directory."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DICOMDOCK_DATA"] = str(Path(scratch) / "data")
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with engine():
            return run_pages(Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
