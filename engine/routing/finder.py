"""Finds a Java pattern in a value, ignoring case, within a limit of work (XNAT 11.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import thread_time
from typing import TYPE_CHECKING, Final, TypeVar

from engine.errors import Problem
from engine.routing.errors import InvalidRule, PatternFault, RuleError, RuleTimeout
from engine.routing.java.regex import compile_java

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.routing.java.regex import JavaPattern


FIND_SECONDS: Final = 0.010
_ANY_CASE: Final = "(?i)"


@dataclass(frozen=True, slots=True)
class Finder:
    """A pattern; made by `parse_finder`, which checks it."""

    pattern: str
    """Java's syntax, as written."""
    compiled: JavaPattern = field(repr=False, compare=False)

    def finds(self, value: str) -> bool:
        """Tell whether the pattern is found in a value.

        Raises:
            RuleTimeout: if it takes longer than the time limit.
            RuleError: if searching fails for want of memory.
        """
        try:
            return self.compiled.compiled.search(value, timeout=FIND_SECONDS) is not None
        except TimeoutError as error:
            detail = f"the pattern took longer than {FIND_SECONDS * 1000:g} ms"
            raise RuleTimeout(detail, "avoid repeated groups that repeat inside") from error
        except MemoryError as error:
            raise RuleError("the pattern ran out of memory", "simplify it") from error


def parse_finder(pattern: str) -> Finder:
    """Return the finder of a pattern.

    Raises:
        InvalidRule: if Java refuses the pattern or it can't be translated faithfully.
    """
    try:
        return Finder(pattern, compile_java(_ANY_CASE + pattern))
    except PatternFault as fault:
        column = max(0, fault.offset - len(_ANY_CASE)) + 1
        problem = Problem("pattern", pattern[:80], fault.reason, fault.remedy, None, column)
        raise InvalidRule(problem) from fault


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
