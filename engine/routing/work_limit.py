"""A limit on the work of one thread: `regex` itself counts the CPU time of the whole process."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_ATTEMPTS: Final = 4


class WorkLimit:
    """Time that one thread may work on something; other threads' work takes none of it."""

    __slots__ = ("_began", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = thread_time()

    def run(self, attempt: Callable[[float], T]) -> T:
        """Return what an attempt returns that is given a timeout in seconds.

        An attempt that others have brought to its timeout is made again with twice the time.

        Raises:
            TimeoutError: if this thread's own time is used up, or too many attempts are.
        """
        for factor in (1 << n for n in range(MOST_ATTEMPTS)):
            left = self._seconds - (thread_time() - self._began)
            if left <= 0:
                break
            try:
                return attempt(left * factor)
            except TimeoutError:
                continue
        raise TimeoutError
