"""Handles signals and a lost terminal, and restores the terminal at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.driver import Driver

CHECK_SECONDS = 1
"""Often enough that Textual's output queue of 30 writes cannot fill up and block this thread."""


class TerminalWatch:
    """Watches for one console, on its thread; signals are heard on the main thread only."""

    def __init__(self, on_hangup: Callable[[], None], on_terminate: Callable[[], None]) -> None:
        self._on_hangup = on_hangup
        self._on_terminate = on_terminate
        self._terminals: list[int] = []

    def begin(self) -> None:
        """Listen for signals, and note which of the standard streams are a terminal."""
        self._terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
            loop.add_signal_handler(signal.SIGTERM, self._on_terminate)

    def release_signals(self) -> None:
        """Remove the signal handlers, so that others can be installed."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            loop.remove_signal_handler(signal.SIGHUP)
            loop.remove_signal_handler(signal.SIGTERM)

    def check(self) -> None:
        """Take a lost terminal as a hang-up: not everyone who loses it gets the signal."""
        if self._is_lost():
            self._on_hangup()

    def forget_lost_terminal(self, driver: Driver | None) -> None:
        """Read and write nothing more, if the terminal is gone."""
        if not self._is_lost():
            return
        # Textual's input thread would read the end of file again and again, its output thread
        # dies of the first write, and the queue between it and this thread would block.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        self._terminals = []
        if driver is not None:
            cast("Any", driver).write = _discard
            driver.disable_input()

    def _is_lost(self) -> bool:
        return 0 in self._terminals and not os.isatty(0)


def end_at_once(driver: Driver | None) -> NoReturn:
    """End the process though a thread still works, which Python would wait for."""
    if driver is not None:
        driver.stop_application_mode()
        driver.close()
    os._exit(128 + signal.SIGTERM)


def _discard(data: str) -> None:
    """Discard output: the terminal is gone."""
