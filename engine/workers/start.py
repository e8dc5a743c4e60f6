"""Starts worker processes: anew, or forked from a server that has loaded what scripts need.

Loading pydicom and the parser takes more than a second, as long as a thousand objects. A fork takes
a few milliseconds and shares their memory. Only our own code and libraries are loaded before a
fork; code of plug-ins runs in a process that was started anew.
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
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import (
        ForkServerProcess,
        SpawnProcess,
    )


_SPAWN: Final = multiprocessing.get_context("spawn")
_FORKSERVER: Final = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["__main__", "engine.workers.preload"])
RECEIVING: Final = "engine.service.receiving"
"""The module of the main function of receiving processes."""
_table = threading.Lock()
"""Guards the list of processes of `multiprocessing`, which is not thread-safe."""


class Start(Enum):
    """How the processes of one function are started.

    Never by a fork of the engine itself: that would copy locks that its threads hold.
    """

    ANEW = "anew"
    FORKED = "forked"


def load_receiving_ahead() -> None:
    """Load what receiving processes are forked from, while this process loads the engine."""
    preload_receiving()
    with suppress(OSError):  # the engine tries again, and reports it
        load_ahead()


def preload_receiving() -> None:
    """Let the fork server load what receiving processes need; before its first process."""
    _FORKSERVER.set_forkserver_preload(["__main__", RECEIVING, "engine.workers.preload"])


def start_process(
    start: Start,
    target: Callable[..., None],
    arguments: tuple[object, ...],
    *,
    name: str = "script",
    daemon: bool = True,
) -> SpawnProcess | ForkServerProcess:
    """Start a process; the first forked one waits until the server has loaded everything.

    Args:
        start: how.
        target: an importable function.
        arguments: what it is called with.
        name: of the process.
        daemon: whether it is killed when this process ends; such a process may start no others.

    Raises:
        OSError: if no process can be started.
    """
    if start is Start.FORKED:
        # The fork server has a socket in the temporary folder, which may be missing or full.
        with suppress(OSError):
            process = _FORKSERVER.Process(target=target, args=arguments, name=name, daemon=daemon)
            return _started(process, start)
    return _started(
        _SPAWN.Process(target=target, args=arguments, name=name, daemon=daemon), Start.ANEW
    )


def _started(
    process: SpawnProcess | ForkServerProcess, start: Start
) -> SpawnProcess | ForkServerProcess:
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
    """Kill a process, if it still runs, and return its exit code."""
    process.kill()
    # Not with the lock: a process that waits for a storage ends only when that answers.
    wait([process.sentinel])
    with _table:
        process.join()
        code = process.exitcode
        process.close()
    return code


def _start_helpers(start: Start) -> None:
    """Start the resource tracker and the fork server of `multiprocessing`, if they do not run."""
    # They are `python -c`, which would look for modules in the current directory first.
    os.environ["PYTHONSAFEPATH"] = "1"
    # They inherit the descriptor of `sys.stderr`, and a console puts an object there that has none.
    with redirect_stderr(sys.__stderr__):
        resource_tracker.ensure_running()
        if start is Start.FORKED:
            forkserver.ensure_running()


def detach_from_terminal() -> None:
    """Silence stdout and stderr, ignore SIGINT and SIGHUP, and set limits of a worker process.

    Messages of libraries may contain values of objects, so nothing is printed or logged.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    # Ctrl+C and a closed terminal go to the whole process group: the engine decides when its
    # workers end.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # The signal of the CPU limit: its default ends the process.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.umask(0o077)
    # One object at a time needs one thread; NumPy's library reserves memory for each of all cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # If memory is short, the kernel kills a worker before the engine.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    logging.disable()
    warnings.simplefilter("ignore")


def use_as_engine() -> None:
    """Make a process that was forked a part of the engine: it logs, and ends only with the engine.

    It is as important as the engine, which the kernel must not end either if memory is short.
    """
    logging.disable(logging.NOTSET)
    # A service manager may signal all processes at once, and the engine drains.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(0o027)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")
