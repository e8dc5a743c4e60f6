"""How many files and connections this process may have open at once (RLIMIT_NOFILE).

What a configuration needs is in `engine.model.configuration`.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

WANTED = 65_536


def descriptors_allowed() -> int:
    """Return how many this process could have open if it raised its limit (RLIMIT_NOFILE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = WANTED
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(soft, min(hard, WANTED))


def raise_limit() -> int:
    """Raise the limit of open files (RLIMIT_NOFILE) as far as the system allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = descriptors_allowed()
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return allowed
    with suppress(OSError, ValueError):  # some systems refuse even the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft
