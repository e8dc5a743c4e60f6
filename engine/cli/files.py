"""Reads and writes files named on the command line, with a size limit and clear errors."""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.errors import EngineError

LARGEST_FILE_BYTES = 4 * 1024 * 1024
STANDARD_STREAM = "-"


class FileRefused(EngineError):
    """A file that a command names can't be read or written."""

    title = "The file can't be used"
    exit_code = 2


def read_text(name: str) -> str:
    """Return the text of a file, or of standard input if it is named ``-``.

    Raises:
        FileRefused: if it can't be read, is too large, or is not UTF-8 text.
    """
    try:
        content = _content(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't read {name}: {reason}", "name a readable file") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise FileRefused(
            f"{name} is larger than {LARGEST_FILE_BYTES:,} bytes",
            "name the right file, or split it",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileRefused(f"{name} is not UTF-8 text (line {line})", "save it as UTF-8") from error


def write_text(name: str, text: str) -> None:
    """Write a file anew.

    Raises:
        FileRefused: if that fails.
    """
    try:
        Path(name).write_text(text, "utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't write {name}: {reason}", "name another file") from error


def _content(name: str) -> bytes:
    """Read one byte more than is acceptable, so that endless files end too."""
    with contextlib.ExitStack() as resources:
        if name == STANDARD_STREAM:
            file = resources.enter_context(open(0, "rb", closefd=False))
        else:
            file = resources.enter_context(Path(name).open("rb"))
        return file.read(LARGEST_FILE_BYTES + 1)
