"""Permission errors: files of the data directory belong to another user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from engine.errors import NotTheOwner, StorageUnusable
from engine.host.data_directory import access_faults
from engine.host.owner import owner_of, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.errors import EngineError
    from engine.settings import EngineSettings

_SQLITE_DENIED: Final = frozenset({3, 8, 14})
"""SQLite's PERM, READONLY and CANTOPEN."""


def denial(error: Exception, settings: EngineSettings) -> EngineError | None:
    """Return the error of ownership behind another error; None if there is none.

    Args:
        error: what a command raised.
        settings: name the data directory that it worked on.
    """
    directory = settings.data_dir
    if not any(_is_denied(cause, directory) for cause in _causes(error)):
        return None
    owner = owner_of(directory)
    if owner.uid != os.geteuid():
        return NotTheOwner(
            f"{directory} belongs to {owner}, and the user {user(os.geteuid())} may not use it",
            "give the command with sudo: root works there with the owner's rights",
        )
    for fault in access_faults(settings):
        return StorageUnusable(f"{fault.path} {fault.what}", fault.remedy)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_denied(error: BaseException, directory: Path) -> bool:
    if isinstance(error, PermissionError):
        return error.filename is None or str(error.filename).startswith(str(directory))
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DENIED
