"""The configuration as a TOML document, with the files and variables that it refers to.

A text may be written as ``{ file = "scripts/site.das" }``, relative to the document, or as
``{ env = "NAME" }``. Nothing of a file or variable is part of an error.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.config.reading import Unreadable, read_bytes
from engine.errors import ConfigurationError, Problem
from engine.model.secrets import is_secret
from engine.model.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DOCUMENT = "dicomdock.toml"
"""The name of the document in its folder."""
LARGEST_TEXT_BYTES = 1024 * 1024
MOST_REFERENCES = 10_000

Record = dict[str, object]
TABLES = {
    "projects": "id",
    "receivers": "ae_title",
    "processors": "label",
    "peers": "ae_title",
}
"""The tables with many records, and the member that names one; receivers have a port too."""

_GROUPS = frozenset(
    ("limits", "sessions", "routing", "profile", "alerts", "identifier_settings", "parameters")
)
"""Members that are records; a TOML table as any other member is a reference."""
_TEXTS = ("script", "routing", "filter")
"""Ends of the names of texts whose last line end counts."""
_SECRET_NAMES = frozenset(("webhook", "command"))
_STAND_INS = {"webhook": "https://not-read.invalid"}
"""What stands for a text that can't be read, by its member, so that nothing else is reported."""
_STAND_IN = "not-read"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says; texts of references are in their places."""

    path: Path
    site: Record | None
    """None if the document has no site settings."""
    tables: Mapping[str, tuple[Record, ...]]
    """The records of each table that the document has, which may be none."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the form of the document, and with its references."""
    unread: tuple[str, ...] = ()
    """References to secrets that could not be read, if that is no problem."""


def read_document(
    path: Path, named: set[Path] | None = None, *, needs_secrets: bool = True
) -> Document:
    """Read a document. Symbolic links are followed, as Kubernetes mounts ConfigMaps with them.

    Args:
        path: the document.
        named: gets the paths of all files that it refers to, also if reading fails.
        needs_secrets: whether a secret that can't be read is a problem.

    Raises:
        ConfigurationError: if it can't be read or is not TOML; with line and column.
    """
    try:
        raw = read_bytes(path, follows_links=True)
    except Unreadable as fault:
        raise _invalid(path, fault.message, "name a readable file") from fault
    if raw is None:
        raise _invalid(path, "does not exist", "name a readable file")
    reading = _Reading(path, set() if named is None else named, needs_secrets)
    return reading.document(_toml(path, raw))


def document_at(path: Path) -> Path:
    """Return the document of a folder, or the path itself if it is no folder."""
    return path / DOCUMENT if path.is_dir() else path


def _toml(path: Path, raw: bytes) -> dict[str, object]:
    try:
        # Some editors write a byte order mark.
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _invalid(path, "is not UTF-8 text", "save it as UTF-8", line) from error
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        found = (int(number) if number else None for number in place.groups()) if place else ()
        at_line, column = (*found, None, None)[:2]
        reason = _PLACE.sub("", str(error))
        raise _invalid(path, f"is not TOML: {reason}", "correct it", at_line, column) from error
    except RecursionError as error:
        raise _invalid(path, "is nested too deeply", "correct it") from error
    # int() refuses more digits than sys.get_int_max_str_digits().
    except ValueError as error:
        raise _invalid(path, "has a value that is none", "correct it") from error


def _invalid(
    path: Path, message: str, remedy: str, line: int | None = None, column: int | None = None
) -> ConfigurationError:
    return ConfigurationError(Problem(path.name[:40], str(path), message, remedy, line, column))


def key_of(table: str, record: Mapping[str, object]) -> str:
    """Return the AE:PORT, id, label or AE title that names a record; empty if it has none."""
    named = record.get(TABLES[table])
    name = named.strip(" ") if isinstance(named, str) else ""
    if table != "receivers" or not name:
        return name
    port = record.get("port")
    is_port = isinstance(port, int | str) and not isinstance(port, bool)
    return f"{name}:{str(port).strip()}" if is_port else ""


def place_of(table: str, record: Mapping[str, object], number: int) -> str:
    """Return how problems name a record, such as ``receivers[XNAT:8104]``."""
    return f"{table}[{key_of(table, record)[:40] or f'number {number}'}]"


@dataclass(slots=True)
class _Reading:
    path: Path
    named: set[Path]
    needs_secrets: bool
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    references: int = 0

    def document(self, content: dict[str, object]) -> Document:
        known = ("site", *TABLES)
        for name in content.keys() - set(known):
            remedy = f"{did_you_mean(name, known)} Use {', '.join(known)}".strip()
            self.problems.append(Problem(name[:40], "", "is no part of a configuration", remedy))
        site = content.get("site")
        if site is not None and not isinstance(site, dict):
            self.problems.append(Problem("site", "", "is not a table", "write [site]"))
        tables = {name: self._records(name, content[name]) for name in TABLES if name in content}
        return Document(
            self.path,
            self._record(site, "site") if isinstance(site, dict) else None,
            tables,
            tuple(self.problems),
            tuple(self.unread),
        )

    def _records(self, table: str, content: object) -> tuple[Record, ...]:
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            remedy = f"write [[{table}]] before each record"
            self.problems.append(Problem(table, "", "is not a list of records", remedy))
            return ()
        return tuple(
            self._record(one, place_of(table, one, number))
            for number, one in enumerate(content, start=1)
        )

    def _record(self, record: Record, where: str) -> Record:
        return {name: self._value(name, v, f"{where}.{name[:40]}") for name, v in record.items()}

    def _value(self, name: str, value: object, where: str) -> object:
        if isinstance(value, list):
            if name == "targets":
                return [
                    self._record(one, f"{where}[{str(one.get('name'))[:40]}]")
                    if isinstance(one, dict)
                    else one
                    for one in value
                ]
            return [self._text(name, one, where) for one in value]
        if isinstance(value, dict) and name in _GROUPS:
            return {
                member: self._text(member, one, f"{where}.{member[:40]}")
                if name != "alerts"
                else self._value(member, one, f"{where}.{member[:40]}")
                for member, one in value.items()
            }
        return self._text(name, value, where)

    def _text(self, name: str, value: object, where: str) -> object:
        """Return a value, or the text that it refers to."""
        if not isinstance(value, dict):
            return value
        kind, target = next(iter(value.items()), ("", ""))
        if len(value) != 1 or kind not in {"file", "env"} or not isinstance(target, str):
            remedy = 'write a text, { file = "…" } or { env = "…" }'
            return self._faulty(name, where, "", "is no reference", remedy)
        self.references += 1
        if self.references > MOST_REFERENCES:
            message = f"is one of more than {MOST_REFERENCES:,} references"
            return self._faulty(name, where, target, message, "write fewer")
        text = self._variable(target) if kind == "env" else self._file(target)
        if isinstance(text, Unreadable):
            if not self.needs_secrets and (is_secret(name) or name in _SECRET_NAMES):
                self.unread.append(f"{where}: {kind} {target[:80]!r}")
                return _STAND_INS.get(name, _STAND_IN)
            remedy = "set the variable" if kind == "env" else "name a readable file"
            what = f"the {'variable' if kind == 'env' else 'file'} {text.message}"
            return self._faulty(name, where, target, what, remedy)
        # A secret in a file mostly ends with a line end, which is no part of it.
        return text if name.endswith(_TEXTS) else text.rstrip("\r\n")

    def _faulty(self, name: str, where: str, target: str, message: str, remedy: str) -> object:
        self.problems.append(Problem(where, target[:80], message, remedy))
        return _STAND_INS.get(name, _STAND_IN)

    def _variable(self, name: str) -> str | Unreadable:
        text = os.environ.get(name) if _VARIABLE.fullmatch(name) else None
        return text or Unreadable("is not set")

    def _file(self, name: str) -> str | Unreadable:
        if not name or not name.isprintable():
            return Unreadable("has no such name")
        path = self.path.parent / name
        self.named.add(path)
        try:
            raw = read_bytes(path, LARGEST_TEXT_BYTES, follows_links=True)
            return Unreadable("does not exist") if raw is None else raw.decode("utf-8-sig")
        except Unreadable as fault:
            return fault
        except UnicodeDecodeError:
            return Unreadable("is not UTF-8 text")
