"""Tables of labels: CSV that gives project, subject and session for a key.

A file is read when an instance first needs it, and again whenever it changes. If the new text is no
table, the last good one stays in force, and `LabelTable.problem` says why.
"""

from __future__ import annotations

import csv
import io
import os
import stat
import threading
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_ROWS: Final = 500_000
MAX_KEY_CHARACTERS: Final = 256
MAX_LABEL_CHARACTERS: Final = 64
MAX_SCRIPT_CHARACTERS: Final = 100_000
LABELS: Final = ("project", "subject", "session")
SCRIPT: Final = "script"
_MOST_FAULTS: Final = 10


@dataclass(frozen=True, slots=True)
class LabelRow:
    """The row of one key; an empty label is left to the identifier."""

    project: str = ""
    subject: str = ""
    session: str = ""
    script: str = ""
    fault: str = ""
    """Why the objects of this key must be refused; the script is empty then."""


class BadTable(Exception):
    """The text is no table; the message names the line, without its values."""


def parse_table(
    text: str, key: str, check_script: Callable[[str], str] | None = None
) -> dict[str, LabelRow]:
    """Return the rows of a CSV by their keys.

    Args:
        text: a header line that names `key` and at least one of project, subject, session (and
            script, if there may be one); then one line for each key.
        key: the name of the column of keys.
        check_script: returns the problem of a script; None if the table may have no scripts. A
            row with a bad script has a `fault`; the other rows keep their meaning.

    Raises:
        BadTable: naming the first line that is wrong.
    """
    columns = (key, *LABELS, *((SCRIPT,) if check_script else ()))
    # strict: a quote in the wrong place is an error, not part of a label.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[str, LabelRow] = {}
    scripts: dict[str, str] = {}
    faults: dict[str, str] = {}
    names: tuple[str, ...] = ()
    for line, cells in _lines(reader):
        if not names:
            names = _heads(cells, columns, key)
            continue
        if len(cells) != len(names):
            raise BadTable(f"line {line} has {len(cells)} columns instead of {len(names)}")
        values = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        _require_good(values, key, line)
        if values[key] in rows:
            raise BadTable(f"line {line} has the key of an earlier line")
        script = values.get(SCRIPT, "")
        if script and check_script is not None:
            fault = scripts.setdefault(script, check_script(script))
            if fault:
                values[SCRIPT] = ""
                faults[values[key]] = f"line {line}: {fault}"
        rows[values[key]] = LabelRow(
            **{name: values[name] for name in names if name != key},
            fault=faults.get(values[key], ""),
        )
        if len(rows) > MAX_ROWS:
            raise BadTable(f"it has more than {MAX_ROWS:,} rows")
    if not names:
        raise BadTable(f"it is empty; begin with a line such as {','.join(columns)}")
    return rows


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadTable(f"line {reader.line_num}: {error}") from error  # type: ignore[attr-defined]
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _heads(cells: Sequence[str], columns: Sequence[str], key: str) -> tuple[str, ...]:
    names = tuple(cell.strip().lower().lstrip("\ufeff") for cell in cells)
    unknown = [place for place, name in enumerate(names, start=1) if name not in columns]
    if unknown:
        # Named by number: if the line of names is missing, these are values of a patient.
        raise BadTable(f"column {unknown[0]} of the first line is none of {', '.join(columns)}")
    if len(set(names)) < len(names):
        raise BadTable("two columns have the same name")
    if key not in names or len(names) < 2:
        raise BadTable(
            f"the first line must name {key} and what it gives: {', '.join(columns[1:])}"
        )
    return names


def _require_good(values: Mapping[str, str], key: str, line: int) -> None:
    for name, value in values.items():
        longest = {key: MAX_KEY_CHARACTERS, SCRIPT: MAX_SCRIPT_CHARACTERS}
        if len(value) > longest.get(name, MAX_LABEL_CHARACTERS):
            raise BadTable(f"line {line}: {name} is too long")
        if name != SCRIPT and not value.isprintable():
            raise BadTable(f"line {line}: {name} contains a control character")
    if not values[key]:
        raise BadTable(f"line {line} has no key")


def read_table_file(path: Path) -> str:
    """Return what a file says.

    Raises:
        BadTable: if it is no regular file of at most 16 MiB of UTF-8 text.
    """
    # O_NONBLOCK: opening a named pipe would wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadTable("the file is not a regular file")
            # Limited here, not by the size before: the file may grow while it is read.
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadTable(f"the file can't be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise BadTable(f"the file is larger than {MAX_BYTES:,} bytes")
    try:
        # Spreadsheets write a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(f"the file is not UTF-8 text (byte {error.start})") from error


class LabelTable:
    """One table and the problem of its newest text; used by any thread."""

    def __init__(self, read: Callable[[], dict[str, LabelRow]]) -> None:
        self._read = read
        self._rows: dict[str, LabelRow] | None = None
        self.problem = ""
        """Why the newest text is not in force; empty if it is."""
        self.close: Callable[[], None] = lambda: None
        """Ends the watch of the file; there is no further call after it."""

    def refresh(self) -> None:
        """Read the text again; if it is no table, the last good one stays in force."""
        try:
            rows = self._read()
        except BadTable as error:
            kept = "; the last good table is in force" if self._rows is not None else ""
            self.problem = f"table: {error}{kept}"
        else:
            # The rows are replaced as a whole: an object sees the old table or the new one.
            self._rows, self.problem = rows, _problem_of(rows)

    @property
    def rows(self) -> Mapping[str, LabelRow] | None:
        """The last good table; None if there never was one."""
        return self._rows


class LabelTables:
    """Opens tables and reads them again when their files change; for all threads."""

    def __init__(
        self,
        watch: Callable[[Path, Callable[[], None]], Callable[[], None]] | None = None,
        report: Callable[[str, str], object] | None = None,
        label: str = "",
    ) -> None:
        """Take the file watcher, if there is one, and the callback for new problems.

        Args:
            watch: begins to watch a file, and calls back after it changed; returns what ends that.
            report: gets `label` and the problem, which is empty once it is over.
            label: whose tables these are.
        """
        self._watch = watch
        self._report = report or (lambda _label, _problem: None)
        self._label = label
        self._lock = threading.Lock()

    def of(self, label: str) -> LabelTables:
        """Return what opens tables for the processor of that label."""
        return LabelTables(self._watch, self._report, label)

    def of_text(self, read: Callable[[], dict[str, LabelRow]]) -> LabelTable:
        """Return a table that does not change."""
        table = LabelTable(read)
        table.refresh()
        return table

    def of_file(self, path: Path, parse: Callable[[str], dict[str, LabelRow]]) -> LabelTable:
        """Return the table that a file holds, read again whenever the file changes."""
        table = LabelTable(lambda: parse(read_table_file(path)))

        def refresh() -> None:
            with self._lock:  # also while it is reported, so that the last report is the newest
                before = table.problem
                table.refresh()
                if table.problem != before:
                    self._report(self._label, table.problem)

        # Watched before it is read: a change in between is not missed.
        if self._watch is not None:
            table.close = self._watch(path, refresh)
        refresh()
        return table


def table_problems(
    field: str, text: str, parse: Callable[[str], Mapping[str, LabelRow]]
) -> Iterator[Problem]:
    """Yield the problem of a text that is no table, or those of its scripts."""
    try:
        faults = _faults(parse(text))
    except BadTable as error:
        yield Problem(field, "", str(error), "correct that line")
        return
    for fault in islice(faults, _MOST_FAULTS):
        yield Problem(field, "", fault, "correct that script")


def file_problems(
    field: str, path: Path, parse: Callable[[str], Mapping[str, LabelRow]]
) -> Iterator[Problem]:
    """Yield what is wrong with the table in a file; nothing if it can't be read just now."""
    try:
        text = read_table_file(path)
    except BadTable:
        return
    for problem in table_problems(field, text, parse):
        yield replace(problem, value=str(path)[:40])


def _faults(rows: Mapping[str, LabelRow]) -> Iterator[str]:
    return (row.fault for row in rows.values() if row.fault)


def _problem_of(rows: Mapping[str, LabelRow]) -> str:
    faults = list(_faults(rows))
    if not faults:
        return ""
    others = f", and {len(faults) - 1:,} other lines" if len(faults) > 1 else ""
    return f"table: {faults[0]}{others}; objects of such keys are refused"
