"""Preloads modules in the fork server so that script workers start fast.

Loads all that a worker needs for its first object, so that none loads it for itself.
"""

from __future__ import annotations

import gc
from contextlib import suppress

from engine.workers.start import detach_from_terminal

detach_from_terminal()
with suppress(Exception):  # a job will meet the same, and say so
    from engine.anonymize import Script
    from engine.anonymize.profile import table
    from engine.index import uid_maps  # noqa: F401

    Script.parse('version "6.1"\n')
    table()
    gc.collect()
    gc.freeze()
