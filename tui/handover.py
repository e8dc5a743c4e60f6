"""The process that the shell waits for, so that an engine can go on when its console is closed.

A shell gives its prompt back when the process that it started ends. So this process only waits,
and a child of it is the console with its engine. An engine that goes on leaves the terminal's
session and lets this process end; its associations notice nothing.

Importing this module must not load Textual, and `stand_in_front` must run before any thread starts.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

_LET_GO = b"g"


class Front:
    """The waiting process, as its child sees it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def let_go(self) -> None:
        """Leave the terminal and its session, and let the waiting process end with 0."""
        _release_terminal()
        # A child is never the leader of its group, so this can't fail.
        os.setsid()
        with suppress(BrokenPipeError):
            os.write(self._pipe, _LET_GO)
        os.close(self._pipe)


def stand_in_front() -> Front:
    """Fork: the child returns, this process waits and ends as the child does."""
    sys.stdout.flush()
    sys.stderr.flush()
    told, telling = os.pipe()
    # Held back until the handler is there: otherwise an early SIGTERM would not reach the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        os.close(telling)
        _wait(child, told)
    os.close(told)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return Front(telling)


def _wait(child: int, told: int) -> NoReturn:
    # The terminal sends these to the child as well, which decides what becomes of them.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: _pass_on(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if os.read(told, 1) == _LET_GO:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _pass_on(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _release_terminal() -> None:
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
