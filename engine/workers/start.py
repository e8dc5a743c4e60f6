"""How worker processes are started: anew, or forked from one that has loaded what scripts need.

Loading pydicom and the parser takes a good second, as long as a thousand objects; a fork takes a
few milliseconds and shares their memory. What is loaded before a fork is our own and libraries':
code of plug-ins gets a process that was started anew.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from contextlib import redirect_stderr, suppress
from enum import Enum
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import (
        ForkServerContext,
        ForkServerProcess,
        SpawnContext,
        SpawnProcess,
    )


_SPAWN: Final = multiprocessing.get_context("spawn")
_FORKSERVER: Final = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["__main__", "engine.workers.preload"])
_table = threading.Lock()
"""Guards what `multiprocessing` notes of all processes, which is not thread-safe."""


class Start(Enum):
    """How the processes of one function are started; a fork of ours would copy held locks."""

    ANEW = "anew"
    FORKED = "forked"


def start_process(
    start: Start, target: Callable[..., None], arguments: tuple[object, ...]
) -> SpawnProcess | ForkServerProcess:
    """Start a process; for the first one that is forked, wait until everything is loaded.

    Raises:
        OSError: if none can be started.
    """
    if start is Start.FORKED:
        # What others are forked from has a socket in the temporary folder, which may be missing.
        with suppress(OSError):
            return _started(_FORKSERVER, target, arguments, start)
    return _started(_SPAWN, target, arguments, Start.ANEW)


def _started(
    context: SpawnContext | ForkServerContext,
    target: Callable[..., None],
    arguments: tuple[object, ...],
    start: Start,
) -> SpawnProcess | ForkServerProcess:
    process = context.Process(target=target, args=arguments, name="script", daemon=True)
    with _table:
        _start_helpers(start)
        process.start()
    return process


def load_ahead() -> None:
    """Start the fork server, if it does not run, without waiting for it.

    Raises:
        OSError: if it can't be started.
    """
    with _table:
        _start_helpers(Start.FORKED)


def end_process(process: SpawnProcess | ForkServerProcess) -> int | None:
    """Kill a process, if it is still there, and return its exit code."""
    process.kill()
    with _table:
        process.join()
        code = process.exitcode
        process.close()
    return code


def _start_helpers(start: Start) -> None:
    """Start what `multiprocessing` keeps beside its own processes, if it is not there yet.

    It is given the descriptor of `sys.stderr`; a console puts something there that has none.
    All of them are `python -c`, which would look for modules in the current directory first.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    with redirect_stderr(sys.__stderr__):
        resource_tracker.ensure_running()
        if start is Start.FORKED:
            forkserver.ensure_running()


def detach_from_terminal() -> None:
    """Leave the terminal and its signals to the parent; what libraries print may be values."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.umask(0o077)
    # One object at a time needs one thread; NumPy's library reserves memory for each of all cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with suppress(OSError):  # where memory is short, it is a worker that ends
        Path("/proc/self/oom_score_adj").write_text("500")
    logging.disable()
    warnings.simplefilter("ignore")
