"""The one thread that works on whole sessions: it sleeps until something is due, or it is rung."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.sessions.faults import in_words
from engine.sessions.lifecycle import RETRY_SECONDS

if TYPE_CHECKING:
    from engine.sessions.bell import Bell
    from engine.sessions.lifecycle import Lifecycle

_logger = logging.getLogger(__name__)


class SessionTimer:
    """Runs a lifecycle until it is stopped."""

    def __init__(self, lifecycle: Lifecycle, bell: Bell) -> None:
        self._lifecycle = lifecycle
        self._bell = bell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session-timer")

    def start(self) -> None:
        """Begin to look for what is due."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread after the session that it is working on."""
        self._stopping.set()
        self._bell.ring()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                seconds = self._look()
            except (EngineError, OSError) as error:
                _logger.warning("the sessions can't be looked after: %s", error)
                seconds = RETRY_SECONDS
            except Exception:
                # One session that nobody foresaw must not end the care for all the others.
                _logger.exception("looking after the sessions failed; trying again")
                seconds = RETRY_SECONDS
            if not self._stopping.is_set():
                self._bell.wait(seconds)

    @in_words()
    def _look(self) -> float:
        return self._lifecycle.run_due(self._stopping.is_set)
