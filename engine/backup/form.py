"""The form of a backup: a tar file that begins with what it is and ends with all its files.

    backup.json         format, version, time
    data/...            files of the data directory
    manifest.jsonl      size and SHA-256 of each file, in the same order

Any tar can unpack it. Files that a backup has twice, or that had another place at its end, are
marked in the manifest; only dicomdock leaves them out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
HEAD = "backup.json"
MANIFEST = "manifest.jsonl"
DATA = "data/"
"""Before the names of files."""
CHUNK_BYTES = 1 << 20

DATABASES = ("index.sqlite", "state.sqlite")
TREES = ("prearchive", "archive", "trash", "quarantine")
"""Folders of objects, which are in a backup by choice."""
STATE = (
    *("format.json", "config.json", "config.history", *DATABASES),
    *("trace.key", "sender-hours.json", "logs"),
)
"""Files and folders that are in every backup, as far as they exist."""

_STATE_FILE = re.compile(
    r"format\.json|config\.json|config\.history/[0-9]{8,}(-changes-of-[0-9]{8,})?\.json|(index|state)\.sqlite"
    r"|trace\.key|sender-hours\.json|logs/(events|audit)\.jsonl(\.[0-9]{1,4})?"
    r"|logs/commands/[0-9A-Za-z_.-]{1,200}",
    re.ASCII,
)
_LONGEST_PART_BYTES = 255
_LONGEST_NAME_BYTES = 2048
_MOST_PARTS = 16


class BackupRefused(EngineError):
    """A file is no backup that can be used: damaged, incomplete, or made to do harm."""

    title = "The backup can't be used"
    exit_code = 2


class BackupNotMade(EngineError):
    """A backup can't be written; there is no file of its name."""

    title = "No backup was made"
    exit_code = 5


@dataclass(frozen=True, slots=True)
class Head:
    """What the first file of a backup says."""

    at: str
    """When it was begun, ISO 8601, UTC."""
    version: str
    """Of the dicomdock that made it."""
    objects: bool
    """Whether it has the trees."""

    def to_json(self) -> bytes:
        """Return the content of that file."""
        record = {"format": FORMAT, "dicomdock": self.version, "at": self.at}
        return json.dumps(record | {"objects": self.objects}).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> Head:
        """Return what such a file says.

        Raises:
            BackupRefused: if a later version wrote it, or it is none.
        """
        raw = _record(content, HEAD)
        number = raw.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise BackupRefused(
                f"the backup has format {number}, this version reads {FORMAT}",
                "use the dicomdock that made it, or a newer one",
            )
        if number != FORMAT:
            raise BackupRefused(f"{HEAD} names no format", "name a file that backup has written")
        return cls(_text(raw, "at"), _text(raw, "dicomdock"), raw.get("objects") is True)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup."""

    name: str
    """Relative to the data directory."""
    size: int
    sha256: str
    left_out: bool = False
    """Whether a restore leaves it out: a later one has its place, or it had none at the end."""

    def to_json(self) -> bytes:
        """Return the line of the manifest."""
        record: dict[str, object] = {"name": self.name, "size": self.size, "sha256": self.sha256}
        if self.left_out:
            record["left_out"] = True
        return json.dumps(record).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Member:
        """Return what a line of the manifest says.

        Raises:
            BackupRefused: if it is none.
        """
        raw = _record(line, MANIFEST)
        size = raw.get("size")
        if not isinstance(size, int):
            raise BackupRefused(f"{MANIFEST} has a line without size", _DAMAGED)
        left_out = raw.get("left_out") is True
        return cls(_text(raw, "name"), size, _text(raw, "sha256"), left_out)


@dataclass(frozen=True, slots=True)
class Tail:
    """The last line of the manifest."""

    files: int
    """How many files are before it."""
    consistent_at: str
    """Every object that was answered before is in the backup; ISO 8601, UTC."""
    schemas: Mapping[str, int]
    """The versions of the databases' tables."""

    def to_json(self) -> bytes:
        """Return that line."""
        record = {"files": self.files, "consistent_at": self.consistent_at}
        return json.dumps(record | {"schemas": dict(self.schemas)}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Tail:
        """Return what that line says.

        Raises:
            BackupRefused: if it is none.
        """
        raw = _record(line, MANIFEST)
        files, schemas = raw.get("files"), raw.get("schemas")
        if not isinstance(files, int) or not isinstance(schemas, dict):
            raise BackupRefused(f"{MANIFEST} does not end as it should", _DAMAGED)
        known = {name: schemas[name] for name in DATABASES if isinstance(schemas.get(name), int)}
        return cls(files, _text(raw, "consistent_at"), known)


_DAMAGED = "use another backup"


def is_state(name: str) -> bool:
    """Tell whether a file is in every backup, not only in one with objects."""
    return _STATE_FILE.fullmatch(name) is not None


def require_name(name: str) -> None:
    """Check that a file of a backup may have this name in the data directory.

    Raises:
        BackupRefused: if it is not one that a backup has; nothing else is ever written.
    """
    if is_state(name):
        return
    parts = name.split("/")
    fault = ""
    if parts[0] not in TREES or len(parts) == 1:
        fault = "is no file of a data directory that a backup has"
    elif any(part in {"", ".", ".."} for part in parts):
        fault = "leads out of its folder"
    elif any(ord(character) < ord(" ") or character == "\x7f" for character in name):
        fault = "has control characters"
    elif (
        len(parts) > _MOST_PARTS
        or len(os_bytes(name)) > _LONGEST_NAME_BYTES
        or any(len(os_bytes(part)) > _LONGEST_PART_BYTES for part in parts)
    ):
        fault = "is too long"
    if fault:
        raise BackupRefused(f"it has a file whose name {fault}: {shown(name)}", _DAMAGED)


def os_bytes(name: str) -> bytes:
    """Return a name as the file system has it."""
    return name.encode("utf-8", "surrogateescape")


def shown(name: str) -> str:
    """Return the beginning of a name, without control characters."""
    return ascii(name[:100])


def _record(content: bytes, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise BackupRefused(f"{where} can't be read", _DAMAGED)
    return raw


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise BackupRefused(f"the backup does not say its {key}", _DAMAGED)
    return value
