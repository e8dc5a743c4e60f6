"""How many files and connections this process may have open at once: as many as it is allowed."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

WANTED = 65_536
FEW = 4_096
"""An association takes up to some twenty: its connection, its object, and folders kept open."""

_logger = logging.getLogger(__name__)


def raise_limit() -> int:
    """Raise the limit of this process as far as the system lets it, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(OSError, ValueError):  # some systems refuse what they said was allowed
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft != resource.RLIM_INFINITY and soft < FEW:
        _logger.warning(
            "only %d files and connections may be open at once; "
            "raise the limit (ulimit -n, LimitNOFILE=) for more than a few associations",
            soft,
        )
    return soft
