"""What the command line says: data to stdout, everything else to stderr, nothing that steers."""

from __future__ import annotations

import io
import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class NotConfirmed(EngineError):
    """Something that can't be undone was asked for without a yes."""

    title = "Nothing was deleted"
    exit_code = 2


def accept_any_text() -> None:
    """Let stdout and stderr write what their encoding lacks as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stop_writing() -> int:
    """Write nothing more, for whoever reads our output has seen enough; that is no failure."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def visible(text: str) -> str:
    """Return text with control characters as escapes, harmless to a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    sys.stderr.write(f"{visible(text)}\n")


def print_json(value: object) -> None:
    """Write data for programs; times are ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows of data for people, in columns."""
    lines = [heads, *([visible(cell_text(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def cell_text(value: object) -> str:
    """Return a value as people read it in a column."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}"
    return "" if value is None else str(value)


def print_error(error: EngineError, *, as_json: bool) -> None:
    """Say on stderr what happened, the detail, and what to do about it."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    if as_json:
        said = {"title": error.title, "detail": error.detail, "remedy": error.remedy}
        found = [
            {"field": p.field, "value": p.value, "message": p.message, "remedy": p.remedy}
            | ({} if p.line is None else {"line": p.line})
            for p in problems
        ]
        sys.stderr.write(json.dumps({"error": {**said, "problems": found}}) + "\n")
        return
    say(f"{error.title}:")
    parts = [(p.sentence().removesuffix(f"; {p.remedy}"), p.remedy) for p in problems]
    for detail, remedy in parts or [(error.detail, error.remedy)]:
        say(f"  {detail}")
        say(f"  → {remedy}" if remedy else "")


def confirm(question: str, *, already: bool) -> None:
    """Ask on a terminal whether to go on.

    Raises:
        NotConfirmed: if the answer is not yes, or there is nobody to ask.
    """
    if already:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} There is no terminal to ask on.", "add --yes")
    sys.stderr.write(f"{visible(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise NotConfirmed(f"{question} The answer was no.", "answer y, or add --yes")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
