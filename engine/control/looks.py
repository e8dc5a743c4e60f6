"""Looks at an engine that never hold up who looks: what takes too long is taken at a later look."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING

from engine.control.failures import EngineSilent

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 0.3
"""How long the first look waits for its answer."""


class Looks:
    """Asks on a thread of its own; `look` is for one caller's thread."""

    def __init__(
        self, ask: Callable[[str, bytes], bytes], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Take what asks: it gets the path of a method and its arguments, and may take long."""
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._questions: SimpleQueue[tuple[str, bytes, Future[bytes]] | None] = SimpleQueue()
        self._asked: dict[str, tuple[bytes, Future[bytes]]] = {}
        self._thread: threading.Thread | None = None

    def look(self, path: str, arguments: bytes) -> bytes:
        """Return an answer if there is one soon enough; it may come from an earlier look.

        Raises:
            EngineSilent: if the engine has not answered yet; its answer is kept for the next look.
        """
        asked, future = self._asked.get(path, (None, None))
        patience = 0.0
        if future is None or asked != arguments:
            future, patience = self._put(path, arguments), self._patience_seconds
        try:
            return future.result(patience)
        except TimeoutError:
            raise EngineSilent("it has not answered yet", "it is asked on") from None
        finally:
            if future.done():
                del self._asked[path]

    def close(self) -> None:
        """Ask no more; what is being asked ends when its connection does."""
        if self._thread is not None:
            self._questions.put(None)

    def _put(self, path: str, arguments: bytes) -> Future[bytes]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="looks", daemon=True)
            self._thread.start()
        future: Future[bytes] = Future()
        self._asked[path] = arguments, future
        self._questions.put((path, arguments, future))
        return future

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            path, arguments, future = question
            try:
                future.set_result(self._ask(path, arguments))
            except Exception as error:  # whatever it is belongs to who looks
                future.set_exception(error)
