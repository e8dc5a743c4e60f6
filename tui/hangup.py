"""An engine that goes on without its console, after the terminal is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from enum import StrEnum

from engine import terminal


class OnHangup(StrEnum):
    """What becomes of an engine whose console loses its terminal."""

    HEADLESS = "headless"
    """It goes on until it is told to stop; a later console attaches to it."""
    STOP = "stop"


class Headless:
    """The rest of the process's life once the console has ended; for the main thread."""

    def __init__(self) -> None:
        self._told_to_stop = threading.Event()
        self.begun = False
        """Whether the terminal is gone."""

    def begin(self) -> None:
        """Stop for SIGTERM and SIGINT from now on, at once for a second one; ignore SIGHUP."""
        self.begun = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # A shell that ends tells its jobs what the kernel has told them already.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait(self) -> None:
        """Return when the process is told to stop."""
        terminal.say(
            f"the engine goes on without a console (pid {os.getpid()}); "
            "dicomdock attaches to it, SIGTERM stops it"
        )
        _let_go_of_the_terminal()
        self._told_to_stop.wait()

    def _stop(self, number: int, _frame: object) -> None:
        if self._told_to_stop.is_set():
            # What was confirmed is on disk already; nothing is left that must be tidied.
            os._exit(128 + number)
        self._told_to_stop.set()


def _let_go_of_the_terminal() -> None:
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
