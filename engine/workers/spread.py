"""Spreads work that needs no connection and no lock over processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from engine.errors import OutOfResources
from engine.workers.start import detach_from_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 3
"""Tasks for each process that are begun before the result of the first one is used."""


def processes_for(jobs: int | None, *, is_worth: bool) -> int:
    """Return how many processes to spread work over.

    Args:
        jobs: how many were asked for; None for one for each core, if that is worth it.
        is_worth: whether there is so much to do that starting processes (0.5 s) is worth it.
    """
    if jobs is not None:
        return jobs
    return len(os.sched_getaffinity(0)) if is_worth else 1


def spread(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, processes: int
) -> Iterator[Result]:
    """Yield the result of each task, in their order.

    Only a few tasks are begun ahead, so that neither tasks nor results fill the memory.

    Args:
        work: an importable function.
        tasks: values that can be pickled; taken one by one, on the thread of the caller.
        processes: how many; 1 for none but this one.

    Raises:
        OutOfResources: if a process was killed.
    """
    if processes == 1:
        yield from map(work, tasks)
        return
    # Started anew: a fork would copy locks that threads of this process hold.
    executor = ProcessPoolExecutor(
        *(processes, multiprocessing.get_context("spawn")), initializer=begin_worker
    )
    begun: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            begun.append(executor.submit(work, task))
            if len(begun) > _AHEAD * processes:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    except BrokenProcessPool as error:
        raise OutOfResources("a worker process was ended; is memory short?") from error
    finally:
        executor.shutdown(cancel_futures=True)


def begin_worker() -> None:
    """Make the process a worker: silent, and ended with the process that started it."""
    detach_from_terminal()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with the one that started it, also if that one is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        # The queue of tasks stays open in the other workers: its end would never be seen.
        parent.join()
        os._exit(1)
