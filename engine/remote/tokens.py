"""Files with the token that clients of a TCP port must show."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_SHORTEST_TOKEN = 16
_LONGEST_TOKEN_BYTES = 4096


def token_of(file: Path) -> str:
    """Return the token of a file; a missing file is made, with a new token.

    Raises:
        ConfigurationError: if others may read the file, or it holds no token.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with suppress(FileExistsError):
            _make_token(file)
        descriptor = os.open(file, flags)
    except OSError as error:
        raise _invalid(file, error.strerror or str(error)) from error
    try:
        mode = os.fstat(descriptor).st_mode
        token = os.read(descriptor, _LONGEST_TOKEN_BYTES).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    # Whoever reads the token has full control of the engine.
    if mode & 0o077:
        raise _invalid(file, "others may read it", "chmod 600 it")
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        shortest = f"holds no token of {_SHORTEST_TOKEN} characters or more"
        raise _invalid(file, shortest, "remove it; a new one is made")
    return token


def _make_token(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_urlsafe(32)}\n".encode())
    finally:
        os.close(descriptor)


def _invalid(file: Path, message: str, remedy: str = "check the file") -> ConfigurationError:
    return ConfigurationError(Problem("token_file", str(file)[:200], message, remedy))
