"""Preloads modules in the fork server so that script workers start fast.

Loads everything that a worker needs for its first object, so that all of them share it.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from engine.workers.start import detach_from_terminal

detach_from_terminal()
# A job will meet the same error, and report it.
with suppress(Exception):
    from engine.anonymize import Script
    from engine.anonymize.profile import table
    from engine.state import uid_maps  # noqa: F401

    Script.parse('version "6.1"\n')
    table()
    # Frozen objects are not visited by the collector, which would write to their pages and so copy
    # them into each worker (gc.freeze).
    gc.collect()
    gc.freeze()
