"""Looks at an engine that never hold up who looks: what takes too long is taken at a later look."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from engine.control.failures import EngineSilent

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 0.3
"""How long the first look waits for its answer."""


class Looks:
    """Asks on a thread of its own; its methods are for one caller's thread."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="looks")
        self._asked: dict[str, tuple[bytes, Future[bytes]]] = {}

    def look(self, path: str, arguments: bytes, ask: Callable[[str, bytes], bytes]) -> bytes:
        """Return an answer if there is one soon enough.

        Args:
            path: of the method that is asked.
            arguments: those of the question; its answer may come from an earlier look.
            ask: asks it.

        Raises:
            EngineSilent: if the engine has not answered yet; its answer is kept for the next look.
        """
        asked, future = self._asked.get(path, (None, None))
        patience = 0.0
        if future is None or asked != arguments:
            future = self._threads.submit(ask, path, arguments)
            patience = self._patience_seconds
        self._asked[path] = arguments, future
        try:
            answer = future.result(patience)
        except TimeoutError:
            if not future.done():
                raise EngineSilent("it has not answered yet", "it is asked on") from None
            raise
        finally:
            if future.done():
                del self._asked[path]
        return answer

    def close(self) -> None:
        """Ask no more; what is being asked ends when its connection does."""
        self._threads.shutdown(wait=False, cancel_futures=True)
