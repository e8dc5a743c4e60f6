"""Finds the engine that runs on a data directory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.errors import AlreadyRunning
from engine.host.lock import EngineLock

if TYPE_CHECKING:
    from engine.remote.client import RemoteEngine
    from engine.settings import EngineSettings


STARTING_SECONDS = 5.0
"""How long an engine that holds the directory may take until its socket answers."""
_PAUSE_SECONDS = 0.1


def find_engine(
    settings: EngineSettings, wait_seconds: float = STARTING_SECONDS
) -> RemoteEngine | None:
    """Return the running engine of a data directory; None if none runs.

    Raises:
        AlreadyRunning: if one holds the directory and does not answer.
        StorageUnusable: if the lock file can't be read.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        engine, why = _reached(settings)
        if engine is not None:
            return engine
        holder = EngineLock.holder(settings.lock_file)
        if holder is None:
            return None
        if time.monotonic() > deadline:
            raise AlreadyRunning(
                f"{settings.data_dir} is in use by {holder}, which does not answer: {why}",
                "wait if it is just starting; else stop it, and start it again",
            )
        time.sleep(_PAUSE_SECONDS)


def _reached(settings: EngineSettings) -> tuple[RemoteEngine | None, str]:
    if not settings.control_file.exists():
        return None, f"{settings.control_file.name} is not there"
    # Imported only now: without a socket file the HTTP client is not needed.
    from engine.remote.client import RemoteEngine
    from engine.remote.failures import EngineSilent

    engine = RemoteEngine(settings.control_file)
    try:
        engine.channel.greet()
    except EngineSilent as silent:
        engine.close()
        return None, silent.detail
    return engine, ""
