"""Returns memory to the operating system that a crowd of associations has needed."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

CROWD: Final = 200
"""Of so many at once, memory is returned to the system when most have gone."""


class Crowd:
    """Tells when few are left of many; for one thread at a time."""

    def __init__(self) -> None:
        self._most = 0

    def has_gone(self, number: int) -> bool:
        """Take how many there are now; return true once when a crowd has gone."""
        self._most = max(self._most, number)
        if self._most < CROWD or number >= self._most // 10:
            return False
        self._most = 0
        return True


def release_free_memory() -> None:
    """Return the memory that nothing needs any more; takes milliseconds, on any thread.

    An association and its connection know each other, so they wait for the garbage collector, which
    looks at old objects rarely; and glibc keeps what has been freed. After 1,000 associations these
    are 8 and 15 MB (2026, Debian 13). Another C library has no such function, and keeps it.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
