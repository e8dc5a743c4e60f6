"""The limit of open files of a process, which every process of the engine raises for itself."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

WANTED = 65_536
FEW = 4_096
"""One association may need 20 descriptors: its connection, its object, and open folders."""

_logger = logging.getLogger(__name__)


def raise_limit() -> int:
    """Raise the limit of open files (RLIMIT_NOFILE) as far as the system allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(OSError, ValueError):  # some systems refuse even the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft != resource.RLIM_INFINITY and soft < FEW:
        _logger.warning(
            "only %d files and connections may be open at once; "
            "raise the limit (ulimit -n, LimitNOFILE=) for more than a few associations",
            soft,
        )
    return soft
