"""Returns memory to the operating system that a crowd of associations has needed."""

from __future__ import annotations

import ctypes


def release_free_memory() -> None:
    """Return the memory that the C library keeps for later; takes milliseconds, on any thread.

    glibc keeps what has been freed. After 1,000 associations these are 15 MB (2026, Debian 13).
    Another C library has no such function, and nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
