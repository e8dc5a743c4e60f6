"""An event loop that knows when nothing is left to do, so that no test guesses how long to sleep.

Textual's pilot sleeps until the process used no processor time for a while: too short when other
programs have the processor, and for most keys far too long.
"""

from __future__ import annotations

import asyncio
import re
import selectors
import sys
import threading
from concurrent.futures import _base as futures
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

from textual._context import active_app
from textual._wait import SLEEP_GRANULARITY
from textual.app import ScreenStackError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from textual.app import App

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Events = list[tuple[selectors.SelectorKey, int]]

PATIENCE_SECONDS = 30.0
"""What is not idle after that never is."""
SILENT_SECONDS = 2.0
"""After so long an engine elsewhere is one that a test holds."""
LEAVING_SECONDS = 1.0
"""After so long it is asked whether the console has been left meanwhile."""

_WAITING = {threading.__file__, futures.__file__}
_CLIENT = re.compile(r"/engine/remote/|/httpcore/")


class WatchedSelector(selectors.DefaultSelector):
    """Asks before it waits: an event loop waits only when it has nothing to run."""

    def __init__(self, before_waiting: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._before_waiting = before_waiting

    def select(self, timeout: float | None = None) -> Events:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return super().select(self._before_waiting(timeout))


@dataclass
class _Job:
    """What runs in a thread."""

    began: float
    thread: int | None = None


class IdleLoop(asyncio.SelectorEventLoop):
    """Tells who awaits `idle` when all callbacks ran, no thread works and no timer is due soon."""

    def __init__(self) -> None:
        super().__init__(WatchedSelector(self._before_waiting))
        self._waiting: list[asyncio.Future[None]] = []
        self._jobs: dict[asyncio.Future[Any], _Job] = {}

    async def idle(self) -> None:
        """Return when only time or another program can bring something to do."""
        self._waiting.append(waiting := self.create_future())
        await waiting

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it in a thread; the loop is not idle until it returns or waits for another thread."""
        job = _Job(monotonic())

        def run() -> T:
            job.thread = threading.get_ident()
            return func(*args)

        future = super().run_in_executor(executor, run)
        self._jobs[future] = job
        future.add_done_callback(self._jobs.pop)
        return future

    def _before_waiting(self, timeout: float | None) -> float | None:
        if not self._waiting or (timeout is not None and timeout <= SLEEP_GRANULARITY):
            return timeout
        if not all(map(_is_held, self._jobs.values())):
            return SLEEP_GRANULARITY
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()
        return 0


def _is_held(job: _Job) -> bool:
    """Tell whether a job waits for another thread, as one does that a test holds."""
    if job.thread is None:
        return False
    frame = top = sys._current_frames().get(job.thread)
    while frame is not None and frame.f_code.co_filename in _WAITING:
        frame = frame.f_back
    if top is None or frame is top:
        return top is None
    # The client of an engine that is elsewhere has threads of its own, which go on. It is held only
    # if that engine is, which nothing here can see but by the time.
    is_elsewhere = frame is not None and _CLIENT.search(frame.f_code.co_filename)
    return not is_elsewhere or monotonic() > job.began + SILENT_SECONDS


def run_in_idle_loop(main: Coroutine[Any, Any, T]) -> T:
    """Take the place of `asyncio.run`, which Textual calls for a picture."""
    with asyncio.Runner(loop_factory=IdleLoop) as runner:
        return runner.run(main)


async def until_idle(
    _min_sleep: float = SLEEP_GRANULARITY, max_sleep: float = PATIENCE_SECONDS
) -> None:
    """Wait until all messages are taken and all that they changed is drawn, and no longer.

    Takes the place of Textual's `wait_for_idle`, which goes on after a second, idle or not.
    """
    loop, app = cast("IdleLoop", asyncio.get_running_loop()), active_app.get()
    until = loop.time() + max_sleep
    while True:
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                await loop.idle()
                while has_drawn(app):
                    await loop.idle()
                return
        except TimeoutError:
            if app._exit or not app.is_running:
                return  # it leaves, and draws nothing any more
            if loop.time() >= until:
                raise


def has_drawn(app: App[object]) -> bool:
    """Draw what the screen would draw at its next turn, as `Pilot.pause` does; tell if it was any.

    Those turns are up to a thirtieth of a second away.
    """
    try:
        screen: Any = app.screen
    except ScreenStackError:
        return False
    if not screen._update_timer._active.is_set():
        return False
    screen._on_timer_update()
    return True
