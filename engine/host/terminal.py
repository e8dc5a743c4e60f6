"""Output of the commands: data to stdout, everything else to stderr, no control characters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import MOST_PROBLEMS_SHOWN, ConfigurationError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.errors import Problem


class NotConfirmed(EngineError):
    """A command that can't be undone was not confirmed."""

    title = "Nothing was changed"
    exit_code = 10


class OutputFailed(EngineError):
    """Standard output can't be written; the work of the command itself is done."""

    title = "The output can't be written"


def accept_any_text() -> None:
    """Let stdout and stderr write characters that their encoding lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stop_writing() -> int:
    """Send further output to /dev/null: its reader, such as ``head``, has closed it."""
    # Not only closed: Python flushes stdout once more at exit, and would print an error then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def flush() -> None:
    """Flush stdout.

    Raises:
        OutputFailed: if it can't be written.
    """
    with _writing():
        sys.stdout.flush()


def visible(text: str) -> str:
    """Return text with control characters as escapes, so that it can't control a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 receiver`` or ``2 receivers``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def say(text: str) -> None:
    """Write a line for people, to stderr."""
    sys.stderr.write(f"{visible(text)}\n")


def print_json(value: object) -> None:
    """Write data for programs, as indented JSON."""
    with _writing():
        sys.stdout.write(json_text(value))


def print_line(value: object) -> None:
    """Write one value as one line of JSON, for programs that read line by line."""
    # JSON escapes all control characters but DEL.
    text = json.dumps(value, default=_plain).replace("\x7f", "\\u007f")
    with _writing():
        sys.stdout.write(f"{text}\n")


def clear() -> None:
    """Clear the screen and go to its top."""
    with _writing():
        sys.stdout.write("\x1b[H\x1b[2J")


def print_text(text: str) -> None:
    """Write a text of several lines, with control characters as escapes; tabs are kept."""
    lines = ("\t".join(map(visible, line.split("\t"))) for line in text.splitlines())
    with _writing():
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def json_text(value: object) -> str:
    """Return indented JSON in printable ASCII; times are ISO 8601."""
    text = json.dumps(value, indent=2, default=_plain)
    return text.replace("\x7f", "\\u007f") + "\n"


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows of data as a table for people.

    On a terminal the widest columns are cut until the table fits; a pipe or file gets everything.
    """
    lines = [heads, *([visible(cell_text(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    if sys.stdout.isatty():
        widths = _fitted(widths, shutil.get_terminal_size().columns)
    padded = ([_cut(c, w).ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    with _writing():
        sys.stdout.write("".join("  ".join(cells).rstrip() + "\n" for cells in padded))


_LEAST_WIDTH = 6
"""Columns are not cut below this: a table with too many of them is wider than the terminal."""


def _fitted(widths: Sequence[int], columns: int) -> list[int]:
    """Return the widths of columns, the widest ones reduced so that a table fits."""
    fitted = [min(width, columns) for width in widths]
    room = columns - 2 * (len(fitted) - 1)
    while sum(fitted) > room and max(fitted) > _LEAST_WIDTH:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _cut(text: str, width: int) -> str:
    """Cut a text: heads and words at the end, a UID or a path in its middle."""
    if len(text) <= width:
        return text
    if " " in text or width <= _LEAST_WIDTH or text.isupper():
        return f"{text[: width - 1]}…"
    behind = (width - 1) // 2
    return f"{text[: width - 1 - behind]}…{text[len(text) - behind :]}"


def cell_text(value: object) -> str:
    """Return a value as text for a column."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}"
    return "" if value is None else str(value)


def print_error(error: EngineError, *, as_json: bool) -> None:
    """Write title, detail and remedy of an error to stderr, as text or JSON."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    if as_json:
        said = {"title": error.title, "detail": error.detail, "remedy": error.remedy}
        found = [problem_record(problem) for problem in problems]
        sys.stderr.write(json.dumps({"error": {**said, "problems": found}}) + "\n")
        return
    say(f"{error.title}:")
    parts = [(p.sentence().removesuffix(f"; {p.remedy}"), p.remedy) for p in problems]
    for detail, remedy in parts[:MOST_PROBLEMS_SHOWN] or [(error.detail, error.remedy)]:
        say(f"  {detail}")
        if remedy:
            say(f"  → {remedy}")
    # Of hundreds of problems the first ones, and the title, would scroll away.
    if len(parts) > MOST_PROBLEMS_SHOWN:
        say(f"  … and {len(parts) - MOST_PROBLEMS_SHOWN} more problems; solve these first")


def problem_record(problem: Problem) -> dict[str, object]:
    """Return a problem for programs, with line and column if they are known."""
    place = {"line": problem.line, "column": problem.column}
    return {
        "field": problem.field,
        "value": problem.value,
        "message": problem.message,
        "remedy": problem.remedy,
        **{name: number for name, number in place.items() if number is not None},
    }


def fault(error: Exception) -> EngineError:
    """Return an unexpected error with its type, place and text in one line."""
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name} line {last.lineno}"
    return EngineError(
        f"{type(error).__name__} in {place}: {str(error)[:200]}",
        "this is a fault of dicomdock; report it with the line above",
    )


def confirm(question: str, *, already: bool) -> None:
    """Ask on the terminal whether to go on, unless the user has said yes already.

    Raises:
        NotConfirmed: if the answer is not yes, or stdin is no terminal.
    """
    if already:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} There is no terminal to ask on.", "add --yes")
    flush()
    sys.stderr.write(f"{visible(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise NotConfirmed(f"{question} The answer was no.", "answer y, or add --yes")


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        stop_writing()
        raise OutputFailed(
            error.strerror or str(error), "free space, or write elsewhere"
        ) from error


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
