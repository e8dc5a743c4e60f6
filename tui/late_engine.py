"""Loads and starts the engine after the console's first picture.

Importing this module must not load Textual, which reads its environment when it is imported.
"""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from engine.cli import load_ahead
from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine import Engine
    from engine.events import Listener
    from engine.settings import EngineSettings


@contextmanager
def loading() -> Iterator[None]:
    """Hold off collections while modules are imported and what stays is built.

    Nothing of it is garbage, but all of it would be looked through again and again; afterwards
    it counts as there for good, so that no later collection holds the screen for it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class EngineStarting(EngineError):
    """The engine is asked before it can answer."""

    title = "The engine is being started"


class LazyEngine:
    """An `EngineView` that takes listeners at once, and everything else from its start on.

    Loading the engine takes longer than drawing the console, so it is loaded here and not before.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._engine: Engine | None = None
        self._running = ExitStack()
        self._served = self._stopped = False
        self._changing = threading.Lock()
        """Held while it is started or stopped, which takes a while."""
        self._listeners: dict[Listener, Callable[[], None] | None] = {}
        """With what ends their subscription, where there is one."""
        self._subscribing = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Hand on to the engine.

        Raises:
            EngineStarting: if it is not there yet.
        """
        if self._engine is None:
            raise EngineStarting("it can't be asked yet", "try again in a moment")
        return getattr(self._engine, name)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with urgent events, also those of the start; return how to end that."""
        # Not `_changing`, which is held while the engine starts: this is the UI thread.
        with self._subscribing:
            engine = self._engine
            self._listeners[listener] = engine.subscribe(listener) if engine else None

        def unsubscribe() -> None:
            with self._subscribing:
                end = self._listeners.pop(listener, None)
            if end is not None:
                end()

        return unsubscribe

    def start(self) -> None:
        """Load and start it, unless it was stopped before; on a worker thread.

        Raises:
            EngineError: if it can't be started; see `Engine.start`.
        """
        with self._changing:
            if self._stopped:
                return
            load_ahead(self._settings)
            with loading():
                from engine import Engine

                engine = Engine(self._settings)
                engine.start()
            self._running.callback(engine.stop)  # first in, last out: servers end before it
            self._serve_metrics(engine)
            with self._subscribing:
                self._engine = engine
                for listener in self._listeners:
                    self._listeners[listener] = engine.subscribe(listener)

    def serve(self) -> None:
        """Serve it to other consoles and commands, once it runs."""
        with self._changing:
            if self._engine is None or self._served or self._stopped:
                return
            with loading():
                from engine.remote.host import serve

            engine = self._engine
            self._running.callback(serve(engine, self._settings, report=engine.record))
            self._served = True

    def _serve_metrics(self, engine: Engine) -> None:
        if not self._settings.metrics:
            return
        with loading():
            from engine.remote.metrics import serve_metrics

        engine.before_closing(serve_metrics(engine, self._settings, engine.record))

    def stop(self) -> None:
        """Stop it, and what uses it before; waits for a start that goes on."""
        with self._changing:
            self._stopped = True
            self._running.close()

    def started(self) -> Engine | None:
        """Wait for a start that goes on, and return the engine, if it runs."""
        with self._changing:
            return self._engine
