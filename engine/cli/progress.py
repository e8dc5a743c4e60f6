"""The progress of long commands, on stderr: a line that changes, or lines where it can't."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.host import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ON_TERMINAL_SECONDS = 0.5
ELSEWHERE_SECONDS = 10.0
"""A log file gets no more than a line in this time."""
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress_of(what: str) -> Iterator[Progress]:
    """Yield what shows the progress of one piece of work; see `Progress`."""
    progress = Progress(what)
    try:
        yield progress
    finally:
        progress.end()


class ProgressLine:
    """A line that changes on a terminal, and lines where it can't; for one thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Take the time in seconds."""
        self._now = now
        self._is_terminal = sys.stderr.isatty()
        self._pause = ON_TERMINAL_SECONDS if self._is_terminal else ELSEWHERE_SECONDS
        self._began = self._shown = now()

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return self._now() - self._began

    def show(self, words: Callable[[], str]) -> None:
        """Show a line, if the last time was long enough ago."""
        now = self._now()
        if now - self._shown < self._pause:
            return
        self._shown = now
        if self._is_terminal:
            sys.stderr.write(f"{_CLEAR_LINE}{words()}")
            sys.stderr.flush()
        else:
            terminal.say(words())

    def end(self) -> None:
        """Remove the line from a terminal."""
        if self._is_terminal and self._shown != self._began:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()


class Progress:
    """Shows how much of some work is done, and how long the rest will take; for one thread."""

    def __init__(self, what: str, now: Callable[[], float] = time.monotonic) -> None:
        """Take what is done, such as ``sessions compared``, and the time in seconds."""
        self._what = what
        self._line = ProgressLine(now)

    def __call__(self, done: int, total: int) -> None:
        """Show that so many of all are done, if the last time was long enough ago."""
        self._line.show(lambda: self._words(done, total))

    def _words(self, done: int, total: int) -> str:
        words, seconds = f"{done:,} of {total:,} {self._what}", self._line.seconds
        if not done or not seconds:
            return words
        return f"{words}, {done / seconds:,.0f}/s, {time_left(seconds, done, total)} left"

    def end(self) -> None:
        """Remove the line from a terminal."""
        self._line.end()


def time_left(seconds: float, done: int, total: int) -> str:
    """Return how long the rest will take, if it goes on as in these seconds; `done` is not 0."""
    return _duration(seconds * max(0, total - done) / done)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
