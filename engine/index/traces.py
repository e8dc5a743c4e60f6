"""Accession numbers and patient IDs of sessions, kept as keyed hashes: `finding` looks them up.

The key is a file beside the index. Without it, values can neither be read nor guessed by trial.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import OutOfResources, StorageUnusable
from engine.storage.files import flush_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.index.session_reader import Connection


ACCESSION_NUMBER, PATIENT_ID = 0x00080050, 0x00100020
TRACED = (ACCESSION_NUMBER, PATIENT_ID)

_KEY_BYTES = 32
_HASH_BYTES = 16
_REMEMBERED = 10_000
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class TraceKey:
    """Turns values into hashes; may be used by any thread."""

    def __init__(self, path: Path) -> None:
        try:
            if not path.exists():
                with suppress(FileExistsError):  # another process was faster
                    _make_key(path)
            self._key = path.read_bytes()
        except OSError as error:
            raise StorageUnusable(
                f"the key for traces {path.name} can't be used: {error.strerror}",
                "make it readable for this user",
            ) from error
        if len(self._key) != _KEY_BYTES:
            raise StorageUnusable(
                f"the key for traces {path.name} is damaged",
                "restore it, or remove it; what was traced by it can't be found then",
            )
        self.hash = lru_cache(_REMEMBERED)(self._hash)
        """Cached: the objects of a study have the same values."""

    def _hash(self, tag: int, value: str) -> bytes:
        """Return the hash of an element's value, surrounding blanks and case apart."""
        # PS3.5 6.2: blanks around an LO or SH do not count. A value may hold lone surrogates, which
        # strict UTF-8 refuses.
        # With the tag: an accession number and a patient ID of one text have different hashes.
        message = f"{tag:08X}:{value.strip().casefold()}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256")[:_HASH_BYTES]


class TraceIndex:
    """Notes hashes with their session; may be used by any thread."""

    def __init__(self, index: Connection, key: TraceKey) -> None:
        self._index = index
        self._key = key
        self._noted: set[tuple[int, bytes]] = set()

    def note(self, session_id: int, values: Iterable[tuple[int, str | None]]) -> None:
        """Note the values of an object that joins a session; noted values are not written again.

        Raises:
            OutOfResources: if the index can't be written.
        """
        for tag, value in values:
            if not value:
                continue
            pair = (session_id, self._key.hash(tag, value))
            if pair not in self._noted:
                self._insert(pair)
                self._remember(pair)

    def _insert(self, pair: tuple[int, bytes]) -> None:
        try:
            with self._index.changing() as connection:
                connection.execute("INSERT OR IGNORE INTO traces VALUES (?, ?)", pair[::-1])
        except sqlite3.Error as error:
            raise OutOfResources(f"session index: {error}") from error

    def _remember(self, pair: tuple[int, bytes]) -> None:
        # Bounded: a peer may send ever new values. What is forgotten is only inserted again.
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted.add(pair)


def _make_key(path: Path) -> None:
    """Write a new key, all of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    # What a crash left of an earlier try.
    part.unlink(missing_ok=True)
    fd = os.open(part, _FLAGS, 0o600)
    try:
        os.write(fd, secrets.token_bytes(_KEY_BYTES))
        os.fsync(fd)
        # A link, not a rename: it fails if another process has made the key, and never replaces it.
        os.link(part, path)
        flush_folder(path.parent)
    finally:
        os.close(fd)
        part.unlink()
