"""Content of a configuration file, a backup of it or a kept revision; checks scripts.

A fault is named by line and column, without text of the file: that text may be half of a secret,
and faults go into events, alerts and logs.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass, field, replace
from functools import lru_cache
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, NoReturn, Self

from engine.errors import ConfigurationError, InvalidProject, InvalidSite
from engine.model.anonymization import SITE_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.errors import Problem
    from engine.model.anonymization import SiteScript
    from engine.model.configuration import Configuration
    from engine.model.project import Project


LARGEST_FILE_BYTES = 16 * 1024 * 1024

Tables = dict[str, dict[str, Any]]


class Unreadable(Exception):
    """A file is no configuration: the reason, with line and column where there is one."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a configuration file, and the tables that they mean.

    Records are shared between contents: replace a record, never change one.
    """

    raw: bytes
    tables: Tables
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """The JSON of each record with its key, by table and id, as far as it was made here."""

    @classmethod
    def of(cls, tables: Mapping[str, Any], known: Content | None = None) -> Self:
        """Return the content that says these tables, as readable JSON.

        The JSON of records that `known` has as well is taken from there: with 10,000 projects that
        is half of a save (2026).
        """
        texts: dict[str, dict[str, str]] = {}
        parts = []
        for name, records in tables.items():
            if isinstance(records, dict) and records:
                texts[name] = _record_texts(name, records, known)
                members = ",\n".join(texts[name].values())
                parts.append(f" {_encode(name)}: {{\n{members}\n }}")
            else:
                parts.append(f" {_encode(name)}: {_indented(records, 1)}")
        members = ",\n".join(parts)
        text = f"{{\n{members}\n}}\n" if parts else "{}\n"
        # A lone surrogate becomes \udXXX, which is JSON's own way to write it.
        return cls(text.encode("utf-8", "backslashreplace"), separate(tables), texts)


# No NaN: JSON has none, and `parse_tables` would refuse the file.
_encode = json.JSONEncoder(indent=1, ensure_ascii=False, allow_nan=False).encode


def _record_texts(
    name: str, records: Mapping[str, object], known: Content | None
) -> dict[str, str]:
    """Return the JSON of each record with its key."""
    same: Mapping[str, object] = known.tables.get(name, {}) if known is not None else {}
    made = known.texts.get(name, {}) if known is not None else {}
    return {
        key: made[key]
        if key in made and same[key] is record
        else f"  {_encode(key)}: {_indented(record, 2)}"
        for key, record in records.items()
    }


def _indented(value: object, depth: int) -> str:
    # Only JSON's own line breaks: those in texts are escaped.
    return _encode(value).replace("\n", "\n" + depth * " ")


def share(tables: Tables, known: Mapping[str, Any]) -> Tables:
    """Return tables with the very records of others where they are the same.

    So the next comparison of both looks at addresses only.
    """
    shared = separate(tables)
    for name in shared:
        records: Any = shared[name]
        others = known.get(name)
        if isinstance(records, dict) and isinstance(others, dict):
            # Most are one object already: no call for each.
            different = [key for key, record in records.items() if others.get(key) is not record]
            for key in different:
                if key in others and is_same_record(records[key], others[key]):
                    records[key] = others[key]
    return shared


def is_same_record(one: object, other: object) -> bool:
    """Tell whether two records are the same JSON, in which 0 is not false."""
    # Python's own comparison takes 0 and False for equal.
    return one is other or repr(one) == repr(other)


def separate(tables: Mapping[str, Any]) -> Tables:
    """Return tables that can be changed without the others; the records are shared."""
    # An unknown table, written by hand, may be anything.
    return {
        name: dict(records) if isinstance(records, dict) else records
        for name, records in tables.items()
    }


def read_tables(path: Path) -> Tables | None:
    """Return the tables of a file; None if the file is absent, and only then.

    Raises:
        Unreadable: if it is no regular file, too large, or not JSON tables.
    """
    raw = read_bytes(path)
    return None if raw is None else parse_tables(raw)


def read_bytes(
    path: Path, most: int = LARGEST_FILE_BYTES, *, follows_links: bool = False
) -> bytes | None:
    """Return the bytes of a file; None if the file is absent, and only then.

    Raises:
        Unreadable: if it is no regular file, or has more than `most` bytes.
    """
    # A FIFO of this name does not block the reader.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    flags |= 0 if follows_links else os.O_NOFOLLOW
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is not a regular file")
            if status.st_size > most:
                raise Unreadable(f"is larger than {most:,} bytes")
            # Bounded as well: the file may grow after its size was checked.
            return file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        linked = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if linked else error.strerror or str(error)
        raise Unreadable(f"can't be opened: {reason}") from error


def parse_tables(content: bytes) -> Tables:
    """Return the tables that the bytes of a file mean.

    Raises:
        Unreadable: if they are not JSON tables, with line and column.
    """
    if not content.strip():
        raise Unreadable(f"is empty ({len(content)} bytes), which no configuration is")
    try:
        # Some editors write a byte order mark.
        text = content.decode("utf-8-sig")
        # By itself Python's json takes NaN, Infinity, and one name twice.
        tables = json.loads(text, object_pairs_hook=_members, parse_constant=_not_a_number)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"is not UTF-8 text (byte {error.start})", line) from error
    except JSONDecodeError as error:
        raise Unreadable(f"is not JSON: {error.msg}", error.lineno, error.colno) from error
    # Python's json calls itself for each level.
    except RecursionError as error:
        raise Unreadable("is not acceptable JSON: it is nested too deeply") from error
    # int() refuses more digits than sys.get_int_max_str_digits().
    except ValueError as error:
        raise Unreadable("is not acceptable JSON: a number has too many digits") from error
    if not isinstance(tables, dict):
        raise Unreadable("is not a JSON object of tables")
    return tables


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Unreadable("contains one name twice in one place")
    return members


def _not_a_number(_text: str) -> NoReturn:
    raise Unreadable("contains a number that JSON does not know")


_FIELD = "anonymization_script"
_REMEMBERED = 64
"""Scripts whose result is kept: some commands read the whole history."""


def require_script(script: SiteScript) -> None:
    """Check the site's script, if there is any.

    Raises:
        InvalidSite: naming line, column and remedy.
    """
    problems = _problems(script.text, f"site.{SITE_SCRIPT}")
    if problems:
        raise InvalidSite(*problems)


def require_project_script(project: Project) -> None:
    """Check a project's script, if it has any.

    Raises:
        InvalidProject: naming line, column and remedy.
    """
    problems = _problems(project.anonymization_script, _FIELD)
    if problems:
        raise InvalidProject(*problems)


def require_scripts_in_force(configuration: Configuration) -> None:
    """Check every script that is enabled; one that is off may be invalid.

    Raises:
        ConfigurationError: naming table, record, line, column and remedy.
    """
    site = configuration.site.script
    problems = list(_problems(site.text, f"site.{SITE_SCRIPT}")) if site.enabled else []
    for project in configuration.projects.projects:
        if project.anonymization_script_enabled:
            where = f"projects[{project.id}].{_FIELD}"
            problems.extend(_problems(project.anonymization_script, where))
    if problems:
        raise ConfigurationError(*problems)


@lru_cache(_REMEMBERED)
def _problems(text: str, field: str) -> tuple[Problem, ...]:
    if not text.strip():
        return ()
    from engine.anonymize import Script, ScriptError  # Lark and pydicom, which take a while

    try:
        Script.parse(text, field)
    except ScriptError as error:
        return tuple(replace(problem, field=field) for problem in error.problems)
    return ()
