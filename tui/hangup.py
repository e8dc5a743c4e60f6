"""An engine that goes on without its console, after the terminal is gone."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from engine import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Engine
    from engine.headless import Signals


class OnHangup(StrEnum):
    """What becomes of an engine whose console loses its terminal."""

    HEADLESS = "headless"
    """It goes on until it is told to stop; a later console attaches to it."""
    STOP = "stop"


def go_on(engine: Engine, signals: Signals, stop: Callable[[], None]) -> None:
    """Keep an engine running until a signal ends it.

    Args:
        engine: it goes on.
        signals: installed when the terminal was lost.
        stop: stops the engine, and what uses it before.
    """
    from engine.headless import run
    from engine.systemd.notify import Notifier

    terminal.say(
        f"the engine goes on without a console (pid {os.getpid()}); "
        "dicomdock attaches to it, SIGTERM stops it"
    )
    _let_go_of_the_terminal()
    run(engine, signals, Notifier(), terminal.say, stop)


def _let_go_of_the_terminal() -> None:
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
