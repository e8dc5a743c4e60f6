"""What is said after an unforeseen exception has ended the console: where, and no patient's value.

Texts of exceptions and local variables may hold names of patients, so neither is kept. Types,
places and lines of our code are enough to find the fault.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from textual.worker import WorkerFailed

from engine import __version__
from tui.terminal_output import TerminalOutput, reopened

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT_NAME = "console-fault.txt"
EXIT_CODE = 1
_MOST_CAUSES = 10


def report(error: BaseException, folder: Path) -> int:
    """Write the report into a folder, say on stderr where it is, and return the exit code.

    Without a file, the report itself is said. Nothing waits for a terminal that nobody reads.
    """
    text, path = described(error), folder / REPORT_NAME
    place = _place(next(_chain(error)))
    said = f"The console has ended by a fault of dicomdock {__version__}: {place}\n"
    try:
        _write(path, text)
    except OSError as failure:
        said += f"{text}  → report it with the lines above; {path}: {failure.strerror}\n"
    else:
        said += f"  → report it with {path}, which holds no value of a patient\n"
    _say(said)
    return EXIT_CODE


def described(error: BaseException) -> str:
    """Return the traceback of an exception and of its causes, without texts and variables."""
    lines = [f"dicomdock {__version__}, Python {sys.version.split()[0]}\n"]
    # The cause comes first, as in Python's own tracebacks.
    for one in reversed(tuple(_chain(error))):
        lines.append("Traceback (most recent call last):\n")
        lines += traceback.format_tb(one.__traceback__)
        lines.append(f"{type(one).__module__}.{type(one).__qualname__}\n")
    return "".join(lines)


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if one is None:
            return
        # Textual's wrapper of what a worker raised has no traceback of its own.
        if isinstance(one, WorkerFailed):
            one = one.error
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _say(text: str) -> None:
    try:
        own = reopened(sys.stderr.fileno())
    except (OSError, ValueError):  # closed, or replaced by something without a descriptor
        own = -1
    if own < 0:
        sys.stderr.write(text)
        return
    try:
        TerminalOutput(own, "utf-8", lambda: None).write(text)
    finally:
        os.close(own)
