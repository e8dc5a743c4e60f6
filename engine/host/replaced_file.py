"""Small files of the engine's own that are replaced as a whole, such as the last metrics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file in the place of another at once; it is not flushed.

    Raises:
        OSError: if that can't be done.
    """
    beside = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, mode), "wb") as file:
        file.write(content)
    beside.replace(path)
